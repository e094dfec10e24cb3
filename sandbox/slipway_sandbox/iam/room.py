"""The dial for strict accounts, which no call of IAM can set. moto answers IAM's calls."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, dial


class Strictness(Frozen):
    """Whether an account is strict."""

    account: str = Field(pattern=r"^\d{12}$")
    strict: bool = True


class IamRoom(Room):
    """Makes accounts strict."""

    service = "iam"
    over_moto = True

    def reset(self, account: str | None) -> None:
        """Make one account lenient again, or all."""
        for key in [key for key in self.world.strict if account in (None, key)]:
            del self.world.strict[key]

    @dial("strict")
    def be_strict(self, body: dict[str, Any]) -> dict[str, Any]:
        """Bind an account's roles and users as AWS does: `{"account", "strict"?}`.

        In a strict account a role or user may do only what a policy allows, and a role that IAM does not know cannot be
        assumed. In other accounts such roles may do anything, which is handy where a test is not about permissions.
        """
        wanted = Strictness.model_validate(body)
        if wanted.strict:
            self.world.strict[wanted.account] = True
        else:
            self.world.strict.pop(wanted.account, None)
        return {"account": wanted.account, "strict": wanted.strict}
