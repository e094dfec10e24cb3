"""Who may approve for an application, and whether it was them: by the policy, the branch's head and the approvers' keys."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.origin import Origin
from activities.repositories import Repositories
from slipway.api import SignedCommand
from slipway.app.spec import SPEC_FILE, Approval
from slipway.app.spec_reader import parse_spec
from slipway.decisions.document import DecisionDocument
from slipway.decisions.signatures import Signer, verify
from slipway.errors import NeedsPersonError, RefusedError
from slipway.git.rules import app_file
from slipway.people import same_person
from slipway.policy.check import entry_for
from slipway.policy.model import AppEntry
from slipway.policy.source import Signers


class Approvers:
    """The people of each application.

    Args:
        repositories: Where the lists of approvers are, and the policy.
        signers: Where their keys are.
    """

    def __init__(self, repositories: Repositories, signers: Signers) -> None:
        self._repositories = repositories
        self._signers = signers

    async def entry(self, origin: Origin) -> AppEntry:
        """What the policy says of the application, as it is now.

        Raises:
            RefusedError: It has no entry.
        """
        return entry_for(await self._repositories.policies(), origin.app)

    async def listed_now(self, origin: Origin) -> Approval:
        """The approval rules at the head of the deployment branch. A promotion's own were read when it began.

        Raises:
            RefusedError: The file is wrong or gone.
        """
        repository = await self._repositories.open(origin.app)
        head = await repository.head(origin.app.branch)
        path = app_file(origin.app.folder, SPEC_FILE)
        content = await repository.read(head, path)
        return parse_spec(content.decode(errors="replace"), path).spec.approval

    async def require_listed(self, origin: Origin, name: str) -> None:
        """Checks that somebody still is an approver.

        Raises:
            RefusedError: They are not on the list at the branch's head.
        """
        listed = (await self.listed_now(origin)).approvers
        if not any(same_person(name, each) for each in listed):
            raise RefusedError(
                f"looking for {name} among the approvers",
                f"{name} is not on the list of approvers in {SPEC_FILE} at the head of {origin.app.branch}: {', '.join(listed)}",
                f"one of them decides, or {name} is put on the list there",
            )

    async def signer_of(self, origin: Origin, signed: SignedCommand, document: DecisionDocument) -> Signer:
        """Whose key signed a document.

        Raises:
            RefusedError: Not a key that the policy's file names for the person, or not one that is valid now.
            NeedsPersonError: The policy names no file of keys.
        """
        place = (await self.entry(origin)).allowed_signers
        if place is None:
            raise NeedsPersonError(
                f"looking for the key of {document.by}",
                "the worker's policy names no file of keys for this app",
                "add allowedSigners to the app's entry in the policy",
            )
        keys = await self._signers.at(place)
        return await verify(signed.document, signed.signature, keys, document.by, datetime.now(UTC))
