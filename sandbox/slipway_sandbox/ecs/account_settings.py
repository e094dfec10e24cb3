"""Account settings: kept and shown. `containerInsights` decides what new clusters have; the others change nothing here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.ecs import errors
from slipway_sandbox.ecs.listing import page
from slipway_sandbox.ecs.store import Store

SWITCH = ("enabled", "disabled", "on", "off")
DEFAULTS = {
    "serviceLongArnFormat": "enabled",
    "taskLongArnFormat": "enabled",
    "containerInstanceLongArnFormat": "enabled",
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "fargateFIPSMode": "disabled",
    "tagResourceAuthorization": "on",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "defaultLogDriverMode": "non-blocking",
    "fargateEventWindows": "disabled",
}
VALUES = {
    "containerInsights": (*SWITCH, "enhanced"),
    "fargateTaskRetirementWaitPeriod": ("0", "7", "14"),
    "defaultLogDriverMode": ("blocking", "non-blocking"),
}
MANAGED = "guardDutyActivate"
"""GuardDuty's own, which no caller of ECS can change."""
PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):(?:root|user/.+|role/.+)")
SESSION = re.compile(r"arn:aws[a-z-]*:sts::\d{12}:assumed-role/(?P<role>[^/]+)/.+")
LARGEST_PAGE = 10
DIFFERS = "the settings are kept and shown, and only containerInsights has an effect; the wording of its errors is not verified"

Settings = Mapping[tuple[str, str, str, str], str]


class AccountSettingsRoom(Room):
    """Sets, shows and takes back settings."""

    service = "ecs"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world)
        self._settings = store.settings

    def reset(self, account: str | None) -> None:
        """The room of tasks forgets the store."""

    @operation("PutAccountSetting", differs=f"{DIFFERS}; long ARNs cannot be turned off, whatever is set")
    def put(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Set one for a principal."""
        return {"setting": self._put(caller, principal_of(caller, request), request)}

    @operation("PutAccountSettingDefault", differs=DIFFERS)
    def put_default(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Set one for all who have none of their own."""
        return {"setting": self._put(caller, root_of(caller), request)}

    @operation("DeleteAccountSetting", differs=DIFFERS)
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Go back to the default."""
        name, principal = request["name"], principal_of(caller, request)
        self._settings.pop((caller.account, caller.region, principal, name), None)
        return {"setting": shown(name, effective(self._settings, caller, name, principal), principal)}

    @operation("ListAccountSettings", differs=DIFFERS)
    def list_settings(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Those that are set, or all that are in effect."""
        if "value" in request and "name" not in request:
            raise errors.invalid_parameter("You must also specify an account setting name to filter by a value.")
        principal = principal_of(caller, request)
        names = [name for name in DEFAULTS if request.get("name") in (None, name)]
        if not request.get("effectiveSettings"):
            names = [name for name in names if (caller.account, caller.region, principal, name) in self._settings]
        values = {name: effective(self._settings, caller, name, principal) for name in names}
        rows = [shown(name, value, principal) for name, value in values.items() if request.get("value") in (None, value)]
        found, token = page(rows, request, LARGEST_PAGE)
        return {"settings": found, "nextToken": token}

    def _put(self, caller: Caller, principal: str, request: dict[str, Any]) -> dict[str, Any]:
        name, value = request["name"], request["value"]
        if name == MANAGED:
            raise errors.invalid_parameter(f"The account setting {name} is managed by AWS and cannot be changed.")
        if value not in VALUES.get(name, SWITCH):
            raise errors.invalid_parameter(f"The value {value} is not valid for the account setting {name}.")
        self._settings[caller.account, caller.region, principal, name] = value
        return shown(name, value, principal)


def effective(settings: Settings, caller: Caller, name: str, principal: str | None = None) -> str:
    """What holds for a principal: its own setting, else the root user's, else AWS's."""
    holders = (principal or root_of(caller), root_of(caller))
    keys = [(caller.account, caller.region, holder, name) for holder in holders]
    return next((settings[key] for key in keys if key in settings), DEFAULTS[name])


def root_of(caller: Caller) -> str:
    """The account's root user."""
    return f"arn:aws:iam::{caller.account}:root"


def own_principal(caller: Caller) -> str:
    """Who calls: a user, or the role of a session."""
    session = SESSION.fullmatch(caller.principal)
    if session:
        return f"arn:aws:iam::{caller.account}:role/{session['role']}"
    return caller.principal if PRINCIPAL.fullmatch(caller.principal) else root_of(caller)


def principal_of(caller: Caller, request: dict[str, Any]) -> str:
    """Whose setting a request is about.

    Raises:
        AwsError: `InvalidParameterException`; no principal of the account.
    """
    principal = request.get("principalArn") or own_principal(caller)
    found = PRINCIPAL.fullmatch(principal)
    if found is None or found["account"] != caller.account:
        raise errors.invalid_parameter("Invalid principal ARN.")
    return principal


def shown(name: str, value: str, principal: str) -> dict[str, str]:
    """As `setting` in answers."""
    return {"name": name, "value": value, "principalArn": principal, "type": "aws_managed" if name == MANAGED else "user"}
