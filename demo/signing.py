"""How the demo's operator signs: her key, and the policy of a worker that takes signed decisions only."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from demo.stack import REGION
from demo.team import FOLDER, Team

INSTALL = "ssh-keygen is not installed (Debian: openssh-client): decisions are claimed, as with CLAIMED=1"
CLAIMED = "CLAIMED=1: decisions are not signed. Whoever can reach this Temporal can approve under any name"


@dataclass(frozen=True)
class Signer:
    """Somebody who signs decisions, and where that is checked.

    Args:
        name: As `promotion.yaml` has it.
        folder: Holds the key, the file of allowed signers, and the policy.
    """

    name: str
    folder: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / self.name

    @property
    def allowed_signers(self) -> Path:
        """OpenSSH's file that says whose key it is."""
        return self.folder / "allowed_signers"

    @property
    def policy(self) -> Path:
        """The worker's policy."""
        return self.folder / "policy.yaml"

    @property
    def options(self) -> tuple[str, ...]:
        """What a command gets to sign."""
        return ("--sign", "--key", str(self.key))

    @property
    def environment(self) -> dict[str, str]:
        """What makes each command of a shell sign under this name."""
        return {"SLIPWAY_USER": self.name, "SLIPWAY_SIGN": "1", "SLIPWAY_SIGNING_KEY": str(self.key)}

    @property
    def fingerprint(self) -> str:
        """The key's, as `SHA256:…`."""
        return _keygen("-l", "-f", f"{self.key}.pub").split()[1]

    def enrol(self, team: Team) -> None:
        """Make the key, and the policy by which the worker takes its signatures for the team's app."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _keygen("-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(self.key))
        public = self.key.with_suffix(".pub").read_text()
        self.allowed_signers.write_text(f'{self.name} namespaces="slipway-decision" {public}')
        self.policy.write_text(yaml.safe_dump(policy_of(team, self.allowed_signers), sort_keys=False))


def policy_of(team: Team, allowed_signers: Path) -> dict[str, object]:
    """The policy of a worker that serves the team's app, and nothing else."""
    account, spec = team.ml_account, team.spec.spec
    entry = {
        "repository": team.remote.url,
        "folder": FOLDER,
        "accounts": [account],
        "regions": [REGION],
        "imageSources": [spec.image.source],
        "imageTargets": [spec.image.target],
        "families": ["screening-*"],
        "clusters": [f"arn:aws:ecs:{REGION}:{account}:cluster/ml"],
        "pipelines": [spec.pipeline.name],
        "packageGroups": [spec.model.package_group],
        "endpoints": ["screening-*"],
        "roles": [f"arn:aws:iam::{account}:role/screening-*"],
        "allowedSigners": str(allowed_signers),
        "approval": {"quorum": 1, "identity": "signed"},
    }
    return {"apiVersion": "slipway.dev/v1", "kind": "WorkerPolicy", "apps": [entry]}


def why_claimed() -> str:
    """Why decisions are not signed in this demo; empty where they are."""
    if os.environ.get("CLAIMED") == "1":
        return CLAIMED
    return "" if shutil.which("ssh-keygen") else INSTALL


def _keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout
