"""Secrets and environment files for containers, read as the execution role."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers.go_errors import go_error
from slipway_sandbox.ecs.model import TaskContainer
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.roles.credentials import RoleCredentials

SECRETS = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
FILES = "ResourceInitializationError: failed to download env files: "
RETRIED = "service call has been retried 1 time(s): "
SECRET_PARTS = (2, 5)
"""`secret:<name>`, and `secret:<name>:<json key>:<version stage>:<version id>`."""
MOST_PARAMETERS = 10
"""Names that one GetParameters takes."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LARGEST_FILE = 1 << 20


class ResourceError(Exception):
    """Something cannot be had; the text is the task's `stoppedReason`."""


class Resources:
    """Fetches, as a task's execution role.

    Args:
        role: The task's execution role.
        region: Where the task runs.
    """

    def __init__(self, role: ActingRole | RoleCredentials, region: str) -> None:
        self._role = role
        self._region = region

    def variables_of(self, container: TaskContainer) -> dict[str, str]:
        """What a container gets by secrets and files, without what its definition says itself.

        Raises:
            ResourceError: Something is not there, or the role may not have it.
        """
        files: list[dict[str, str]] = container.setting("environmentFiles") or []
        from_files: dict[str, str] = {}
        for file in files:
            # The first file that has a variable decides.
            from_files = variables_in(self._file(file["value"])) | from_files
        return from_files | self._secrets(container.definition.get("secrets", []))

    def _secrets(self, secrets: Sequence[dict[str, str]]) -> dict[str, str]:
        managed = {item["name"]: item["valueFrom"] for item in secrets if ":secretsmanager:" in item["valueFrom"]}
        stored = {item["name"]: item["valueFrom"] for item in secrets if item["name"] not in managed}
        values = {name: self._secret(value) for name, value in managed.items()}
        parameters = self._parameters(stored.values())
        return values | {name: parameters[value] for name, value in stored.items()}

    def _secret(self, value: str) -> str:
        failed = f"{SECRETS}unable to retrieve secret from asm: "
        arn, key, wanted = secret_request(value, failed)
        try:
            found = self._role.client("secretsmanager", arn.split(":")[3]).get_secret_value(SecretId=arn, **wanted)
        except (ClientError, BotoCoreError) as error:
            said = go_error(error)
            raise ResourceError(f"{failed}{RETRIED}failed to fetch secret {arn} from secrets manager: {said}") from error
        text = found.get("SecretString", "")
        return member_of(text, key, f"{failed}{RETRIED}") if key else text

    def _parameters(self, values: Iterable[str]) -> dict[str, str]:
        """Parameters by what the definition calls them: a name, or an ARN."""
        found: dict[str, str] = {}
        by_region: dict[str, list[str]] = {}
        for value in dict.fromkeys(values):
            by_region.setdefault(value.split(":")[3] if value.startswith("arn:") else self._region, []).append(value)
        for region, wanted in by_region.items():
            for start in range(0, len(wanted), MOST_PARAMETERS):
                found |= self._parameter_batch(region, wanted[start : start + MOST_PARAMETERS])
        return found

    def _parameter_batch(self, region: str, values: Sequence[str]) -> dict[str, str]:
        failed = f"{SECRETS}unable to retrieve secrets from ssm: {RETRIED}"
        names = {value: parameter_name(value) for value in values}
        try:
            answer = self._role.client("ssm", region).get_parameters(Names=sorted(set(names.values())), WithDecryption=True)
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(failed + go_error(error)) from error
        if answer["InvalidParameters"]:
            raise ResourceError(f"{failed}invalid ssm parameters: {', '.join(answer['InvalidParameters'])}")
        by_name = {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
        return {value: by_name[name] for value, name in names.items()}

    def _file(self, arn: str) -> str:
        bucket, _, key = arn.split(":::", 1)[1].partition("/")
        try:
            body = self._role.client("s3", self._region).get_object(Bucket=bucket, Key=unquote(key))["Body"]
            return body.read(LARGEST_FILE).decode(errors="replace")
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(f"{FILES}{RETRIED}{go_error(error)}") from error


def secret_request(value: str, failed: str) -> tuple[str, str, dict[str, str]]:
    """A secret's ARN, the key in its JSON, and which version is wanted.

    Raises:
        ResourceError: It is no such ARN.
    """
    *head, resource = value.split(":", 5)
    parts = resource.split(":")
    if len(parts) not in SECRET_PARTS or parts[0] != "secret":
        raise ResourceError(
            f"{failed}trying to retrieve secret with value {value} resulted in error: an invalid ARN format for the AWS Secrets "
            "Manager secret was specified. Specify a valid ARN and try again."
        )
    key, stage, version = [*parts[2:], "", "", ""][:3]
    wanted = {"VersionStage": stage, "VersionId": version}
    return ":".join([*head, *parts[:2]]), key, {name: text for name, text in wanted.items() if text}


def member_of(text: str, key: str, failed: str) -> str:
    """A member of a secret's JSON.

    Raises:
        ResourceError: No secret has that name, or it is no JSON.
    """
    try:
        members: Any = json.loads(text)
    except ValueError as error:
        raise ResourceError(f"{failed}invalid character in the secret's value: {error}") from error
    try:
        value: Any = members[key]
    except (LookupError, TypeError) as error:
        raise ResourceError(f"{failed}retrieved secret from Secrets Manager did not contain json key {key}") from error
    return value if isinstance(value, str) else json.dumps(value)


def parameter_name(value: str) -> str:
    """A parameter's name; an ARN leaves out the slash that a path begins with."""
    if not value.startswith("arn:"):
        return value
    name = value.split(":parameter", 1)[1]
    return name if name.count("/") > 1 else name.removeprefix("/")


def variables_in(text: str) -> dict[str, str]:
    """The variables of an environment file: `NAME=value` lines; `#` begins a comment line."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and VARIABLE.fullmatch(name):
            found.setdefault(name, value)
    return found
