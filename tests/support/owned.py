"""Scenarios whose worker has a policy file: what it allows each app, and the keys of those who approve."""

from __future__ import annotations

from typing import Any

import yaml

from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import FOLDER
from slipway.api import SignedCommand, StageName, StageState
from slipway.temporal.start import send_update
from tests.support.forked import ForkingCrew
from tests.support.keys import Keyring, document, subject_of
from tests.support.scenario import Scenario

NEIGHBOUR = "spam"


class OwnedScenario(Scenario):
    """A team whose worker has a policy: one entry for the team's app, and one for its neighbour's."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        super().__init__(stack, model_image)
        self.given_a_team()
        self.policy = stack.folder / f"policy-{self.team.ml_account}.yaml"
        self.given_the_policy()
        self.crew = ForkingCrew(stack, self.team.ml_account, self.crew.namespace, policy=self.policy)

    def given_the_policy(self, **changes: Any) -> None:
        """The worker's owner allows the team's app what it needs, but for the changes, and its neighbour names of its own."""
        account, image = self.team.ml_account, self.team.spec.spec.image
        team = {
            "repository": self.team.remote.url,
            "folder": FOLDER,
            "accounts": [account],
            "regions": ["us-east-1"],
            "imageSources": [image.source],
            "imageTargets": [image.target],
            "families": ["screening-*"],
            "clusters": [f"arn:aws:ecs:us-east-1:{account}:cluster/ml"],
            "pipelines": ["screening-*"],
            "packageGroups": ["screening"],
            "endpoints": ["screening-*"],
            "roles": [f"arn:aws:iam::{account}:role/screening-*"],
            "approval": {"identity": "claimed"},
        }
        neighbour = {
            **team,
            "folder": NEIGHBOUR,
            "endpoints": ["spam-*"],
            "families": ["spam-*"],
            "packageGroups": ["spam"],
            "roles": [f"arn:aws:iam::{account}:role/spam-*"],
            "approval": {"auto": True, "identity": "claimed"},
        }
        document = {"apiVersion": "slipway.dev/v1", "kind": "WorkerPolicy", "apps": [{**team, **changes}, neighbour]}
        self.policy.write_text(yaml.safe_dump(document))


class SignedScenario(OwnedScenario):
    """A team whose approvers sign. Two have to approve, and the file with their keys is out of the app's reach."""

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        self.keys: Keyring
        super().__init__(stack, model_image)
        self.given_its_file("promotion.yaml", "approvers: [ana, bo], quorum: 1", "approvers: [ana, bo, cy, ci], quorum: 2")

    def given_the_policy(self, **changes: Any) -> None:
        """The worker's owner wants decisions that are signed."""
        folder = self.stack.folder / f"keys-{self.team.ml_account}"
        self.keys = Keyring(folder)
        self.signers = folder / "allowed_signers"
        self.given_keys(ana="ana", bo="bo", cy='valid-before="20200101" cy', ci="ci")
        signed = {"approval": {"identity": "signed"}, "allowedSigners": str(self.signers)}
        super().given_the_policy(**{**signed, **changes})

    def given_keys(self, **people: str) -> None:
        """The owner's file has these keys."""
        self.signers.write_text(self.keys.allowed(**people))

    async def signed(self, by: str, kind: str = "approve", key: str = "", **changes: Any) -> SignedCommand:
        """A person's decision on the promotion as it is now."""
        return self.keys.sign(document(await subject_of(self.handle), kind, by, **changes), key or by)

    async def when_it_is_signed(self, by: str, kind: str = "approve", key: str = "") -> str:
        """A person decides; returns the receipt."""
        if kind in {"approve", "reject"}:
            await self.until_stage(StageName.approval, StageState.waiting)
        return (await send_update(self.handle, kind, await self.signed(by, kind, key))).text
