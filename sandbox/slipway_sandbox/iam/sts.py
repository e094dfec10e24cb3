"""STS: temporary credentials of roles. Other calls are moto's."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.iam import stored, web_identity
from slipway_sandbox.iam.actions.asked import tags_of
from slipway_sandbox.iam.policies import parse
from slipway_sandbox.iam.principals import Principals, Session, new_access_key

CHAINED = 3600
"""Seconds that a role lasts at most which another role assumed."""
POLICY_LIMIT = 2048
"""Characters of session policies, that is of what AWS packs them into."""
ROLE_PARTS = 6


class Ending(Frozen):
    """Which sessions are to end."""

    account: str | None = None
    role: str | None = None
    """A role's ARN."""


class StsRoom(Room):
    """Hands out temporary credentials.

    Args:
        world: What all rooms share.
        principals: Keeps the sessions, and knows who calls.
    """

    service = "sts"
    over_moto = True

    def __init__(self, world: World, principals: Principals) -> None:
        super().__init__(world)
        self._principals = principals

    def reset(self, account: str | None) -> None:
        """End the sessions."""
        for key in [key for key in self._principals.sessions if account in (None, key[0])]:
            del self._principals.sessions[key]

    @operation(
        "AssumeRole",
        differs="any principal can assume a role that IAM does not have, unless the account is strict; a session policy takes "
        "as much of its room as it has characters, of 2,048",
    )
    def assume_role(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Credentials of a role, in its account."""
        parts = role_parts(request["RoleArn"])
        role, source = stored.role(request["RoleArn"]), self._principals.of(caller.access_key)
        if role is None and parts[4] in self.world.strict:
            raise not_assumed(caller.principal or source.arn, request["RoleArn"])
        seconds = request.get("DurationSeconds", 3600)
        check_duration(seconds, role, chained=source.session is not None)
        inherited = source.session
        name = request["RoleSessionName"]
        role_name = parts[5].rpartition("/")[2]
        user_id = f"{role.id if role else new_id('AROA')}:{name}"
        passed_on = {key: inherited.tags[key] for key in inherited.transitive} if inherited else {}
        session = self._session(
            parts[4], f"arn:aws:sts::{parts[4]}:assumed-role/{role_name}/{name}", user_id, request["RoleArn"], seconds
        )
        session = replace(
            session,
            name=name,
            policies=self._policies(parts[4], request),
            tags={**passed_on, **tags_of(request.get("Tags"))},
            transitive=(*passed_on, *request.get("TransitiveTagKeys", ())),
            source_identity=request.get("SourceIdentity") or (inherited.source_identity if inherited else None),
        )
        return self._answer(session) | {
            "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": session.arn},
            "SourceIdentity": session.source_identity,
            **packed(session),
        }

    @operation(
        "AssumeRoleWithWebIdentity",
        differs="the token's signature is not checked; wording for a token that has expired is not verified on AWS",
    )
    def assume_role_with_web_identity(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A role's credentials for the holder of a token of a provider that the role trusts, such as a GitHub workflow."""
        arn, name = request["RoleArn"], request["RoleSessionName"]
        account, path = role_parts(arn)[4:]
        identity = web_identity.read(request["WebIdentityToken"], self.world.clock.now())
        web_identity.check(identity, arn)
        role, seconds = stored.role(arn), request.get("DurationSeconds", 3600)
        check_duration(seconds, role, chained=False)
        user_id = f"{role.id if role else new_id('AROA')}:{name}"
        session_arn = f"arn:aws:sts::{account}:assumed-role/{path.rpartition('/')[2]}/{name}"
        session = self._session(account, session_arn, user_id, arn, seconds)
        session = replace(session, name=name, policies=self._policies(account, request))
        return self._answer(session) | {
            "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": session_arn},
            "SubjectFromWebIdentityToken": identity.subject,
            "Audience": identity.audience,
            "Provider": f"arn:aws:iam::{account}:oidc-provider/{identity.provider}",
            **packed(session),
        }

    @operation("GetCallerIdentity", differs="a key of twelve digits is the root user of that account")
    def get_caller_identity(self, caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """Who calls."""
        who = self._principals.of(caller.access_key)
        return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}

    @dial("expire-sessions")
    def expire(self, body: dict[str, Any]) -> dict[str, Any]:
        """End temporary credentials before their time: `{"account"?, "role"?}`; answers how many."""
        wanted, now = Ending.model_validate(body), self.world.clock.now()
        found = [
            (key, session)
            for key, session in self._principals.sessions.items()
            if wanted.account in (None, session.account) and wanted.role in (None, session.source) and session.expires > now
        ]
        for key, session in found:
            self._principals.sessions[key] = replace(session, expires=now)
        return {"expired": len(found)}

    def _session(self, account: str, arn: str, user_id: str, source: str, seconds: int) -> Session:
        now = self.world.clock.now()
        return Session(
            account=account,
            access_key=new_access_key(account),
            arn=arn,
            user_id=user_id,
            source=source,
            name="",
            issued=now,
            expires=now + timedelta(seconds=seconds),
        )

    def _answer(self, session: Session) -> dict[str, Any]:
        self._principals.sessions[session.account, session.access_key] = session
        return {
            "Credentials": {
                "AccessKeyId": session.access_key,
                "SecretAccessKey": secrets.token_urlsafe(30),
                "SessionToken": secrets.token_urlsafe(96),
                "Expiration": session.expires,
            }
        }

    def _policies(self, account: str, request: dict[str, Any]) -> tuple[str, ...]:
        """The session policies, as one document: what any of them allows is allowed."""
        documents = [request["Policy"]] if request.get("Policy") else []
        for given in request.get("PolicyArns", ()):
            found = stored.managed_policy(account, given["arn"])
            if found is None:
                raise AwsError("ValidationError", f"Policy {given['arn']} does not exist or is not attachable.")
            documents.append(found)
        for document in documents:
            if not parse(document):
                raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.")
        size = sum(map(len, documents[:1]))
        if size > POLICY_LIMIT:
            percent = 100 * size // POLICY_LIMIT
            raise AwsError(
                "PackedPolicyTooLarge", f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
            )
        return tuple(documents)


def role_parts(arn: str) -> list[str]:
    """The six parts of a role's ARN.

    Raises:
        AwsError: It is none.
    """
    parts = arn.split(":", ROLE_PARTS - 1)
    if len(parts) < ROLE_PARTS or parts[2] != "iam" or not parts[5].startswith("role/"):
        raise AwsError("ValidationError", f"{arn} is invalid")
    return parts


def not_assumed(who: str, arn: str) -> AwsError:
    """The error of one who may not assume a role, or of a role that is not there: AWS does not tell these apart."""
    message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
    return AwsError("AccessDenied", message, HTTPStatus.FORBIDDEN)


def check_duration(seconds: int, role: stored.Identity | None, *, chained: bool) -> None:
    """How long a role may be assumed for.

    Raises:
        AwsError: Not that long.
    """
    if chained and seconds > CHAINED:
        raise AwsError(
            "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if role and seconds > role.longest_session:
        raise AwsError("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


def packed(session: Session) -> dict[str, Any]:
    """How much of a session's room policies and tags take, in percent."""
    size = sum(map(len, session.policies)) + sum(len(key) + len(value) for key, value in session.tags.items())
    return {"PackedPolicySize": 100 * size // POLICY_LIMIT} if size else {}


def new_id(prefix: str) -> str:
    """An id such as IAM gives."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return prefix + "".join(secrets.choice(letters) for _ in range(17))
