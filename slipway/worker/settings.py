"""The worker's own settings, by environment variables SLIPWAY_…; AWS and Temporal have theirs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from slipway.api import TASK_QUEUE
from slipway.errors import RefusedError
from slipway.git.mirror import Author
from slipway.git.rules import AllowedBranch, split_branch
from slipway.pipecd.client import PipecdApi
from slipway.policy.model import policy_of_branches
from slipway.policy.source import Policies, fixed, policies_at

IDENTITY_LIMIT = 200
"""Letters of the name and of the address that the worker commits by."""


def default_work_folder() -> Path:
    """Where a program keeps what it can make again, by the XDG base directory specification."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "slipway"


def git_identity(text: str) -> str:
    """A name or an address as git writes it into a commit.

    Raises:
        ValueError: Git would change it, or it is not one line.
    """
    if (
        not text.isprintable()
        or text != text.strip(" .,:;<>\"\\'")
        or re.search(r"[<>]", text)
        or not 0 < len(text) <= IDENTITY_LIMIT
    ):
        raise ValueError(f"write 1 to {IDENTITY_LIMIT} printable characters, without < and >, and without signs at both ends")
    return text


def readable_key(key: Path | None) -> Path | None:
    """The file of a key.

    Raises:
        ValueError: It cannot be read. The text is not repeated: it may be the key itself.
    """
    if key is None or key == Path():
        return None
    try:
        with key.open("rb"):
            return key.resolve()
    except (OSError, ValueError):
        raise ValueError("it names no file that the worker can read: write the path of an SSH private key, not the key") from None


def readable_file(file: Path | None) -> Path | None:
    """A file that is there.

    Raises:
        ValueError: It cannot be read.
    """
    if file is None or file == Path():
        return None
    try:
        with file.open("rb"):
            # Links are kept: what a mounted secret links to is another file after each change.
            return file.absolute()
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}") from error


class WorkerSettings(BaseSettings):
    """What a worker is told by its environment."""

    # Compose passes a variable that is not set as an empty one: an empty address would open the ports to everybody.
    model_config = SettingsConfigDict(
        env_prefix="SLIPWAY_", env_ignore_empty=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    repositories: Annotated[tuple[str, ...], NoDecode] = ()
    """The branches that the worker may promote from, for one team: `<url>@<branch>`, separated by commas; `main` where no branch
    is written. A URL that ends in `/*` stands for all below it. Who can push to one of them may use all that the worker may."""
    policy: str = ""
    """Instead of the repositories, for apps that must not touch each other: the file that says what each app may do
    (docs/policy.md), as a path or as `<url>@<branch>:<path>` of a file in a repository."""
    work_folder: Annotated[Path, Field(default_factory=default_work_folder)]
    """Where mirrors of the repositories are kept. It may be emptied while the worker is stopped."""
    git_author: Annotated[str, AfterValidator(git_identity)] = Author().name
    """The name that the worker commits by. Change neither name, address nor key while promotions run: only commits that carry
    them are taken for the worker's own."""
    git_email: Annotated[str, AfterValidator(git_identity)] = Author().email
    """The address that the worker commits by."""
    git_signing_key: Annotated[Path | None, AfterValidator(readable_key)] = None
    """The file of an SSH private key without a passphrase. The worker signs its commits with it, and takes no commit for its own
    that is not signed with it."""
    sigstore_root: Annotated[Path | None, AfterValidator(readable_file)] = None
    """The file of Sigstore's trusted root, `trusted_root.json`: whom the worker believes about keyless signatures
    (docs/signatures.md). It is read again when it changes."""
    poll_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
    """Seconds between two looks at what is followed: tasks, executions, scans, endpoints, alarms."""
    event_queue: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80})?$")] = ""
    """The ARN of an SQS queue that EventBridge sends AWS's events to. They say when to look at something before its turn. Several
    workers may share one queue."""
    watch_seconds: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    """Seconds between two looks at a deployment branch on which PipeCD's event watcher writes images (git.writer: pipecd). Other
    branches are looked at 20 times less often."""
    pipecd_api: Annotated[str, Field(pattern=r"^(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})?$")] = ""
    """Host and port of PipeCD's API, as `pipecd.example.com:443`: where piped runs the task (task.launcher: pipecd), PipeCD is
    asked how its deployment is (docs/pipecd.md). Without it, the tags on the tasks are the only witness of piped."""
    pipecd_api_key_file: Annotated[Path | None, AfterValidator(readable_file)] = None
    """The file of an API key of PipeCD; READ_ONLY suffices. It is read again for each call."""
    pipecd_api_ca_file: Annotated[Path | None, AfterValidator(readable_file)] = None
    """The file of the certificate authorities, in PEM, that PipeCD's certificate is checked by; the usual ones without it."""
    pipecd_api_plaintext: bool = False
    """Whether PipeCD is asked without TLS. The key then goes over the network as it is."""
    task_queue: Annotated[str, Field(min_length=1)] = TASK_QUEUE
    """The Temporal task queue."""
    versioned: bool = False
    """Whether Temporal tells this worker's build from others (Worker Versioning). Promotions then move to the current version at
    their next step, and a rollout stays with the version that began it. Set the current version with
    `temporal worker deployment set-current-version`."""
    deployment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")] = "slipway"
    """The name of the worker deployment, where workers are versioned."""
    build_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,128}$")] = ""
    """The build of this worker: the image's version or the commit. The worker image sets it. Without it, Slipway's version is
    shown in histories."""
    bind: str = "127.0.0.1"
    """The address that the health and metrics ports are opened on."""
    health_port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """`/healthz` answers while the process lives, `/readyz` while it polls. 0: not opened."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9090
    """Prometheus' metrics, at `/metrics`. 0: not opened."""
    shutdown_seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    """How long activities in flight may take to hand over on SIGTERM, before they are cancelled."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """The least level that is logged."""

    @field_validator("repositories", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (part.strip() for part in value.split(",")) if part)
        return value

    @model_validator(mode="after")
    def _names_its_build(self) -> Self:
        if self.versioned and not self.build_id:
            raise ValueError("SLIPWAY_VERSIONED needs SLIPWAY_BUILD_ID, the image's version or the commit of this worker")
        return self

    @field_validator("repositories")
    @classmethod
    def _are_repositories(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for entry in value:
                AllowedBranch.of(*split_branch(entry))
        except RefusedError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _has_one_policy(self) -> Self:
        if bool(self.repositories) == bool(self.policy):
            raise ValueError("set either SLIPWAY_REPOSITORIES or SLIPWAY_POLICY")
        return self

    @model_validator(mode="after")
    def _may_ask_pipecd(self) -> Self:
        if self.pipecd_api and self.pipecd_api_key_file is None:
            raise ValueError("SLIPWAY_PIPECD_API needs SLIPWAY_PIPECD_API_KEY_FILE, the file of an API key of PipeCD")
        return self

    def author(self) -> Author:
        """Who the worker's commits are by."""
        return Author(self.git_author, self.git_email, self.git_signing_key)

    def pipecd(self) -> PipecdApi | None:
        """PipeCD's API; none where it is not to be asked."""
        if not self.pipecd_api or self.pipecd_api_key_file is None:
            return None
        plaintext = self.pipecd_api_plaintext
        return PipecdApi(self.pipecd_api, self.pipecd_api_key_file, self.pipecd_api_ca_file, plaintext=plaintext)

    def policies(self) -> Policies:
        """What apps may do.

        Raises:
            RefusedError: `policy` is no place of a file.
        """
        if self.policy:
            return policies_at(self.policy, self.work_folder.resolve())
        return fixed(policy_of_branches(self.repositories))
