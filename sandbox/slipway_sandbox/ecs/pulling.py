"""Whether a task's execution role may pull its images. The images themselves the runtime takes from the registry's own store."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers import ImagePullError
from slipway_sandbox.credentials import RoleCredentials, local_endpoint
from slipway_sandbox.ecs.model import Task
from slipway_sandbox.ecs.secrets import RETRIED, SECRETS, ResourceError, go_error
from slipway_sandbox.iam import stored
from slipway_sandbox.images import ImageUri
from slipway_sandbox.world import World

MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LARGEST = 4 << 20
"""Bytes that are read of a manifest or configuration."""
SECONDS = 30.0
INDEXES_DEEP = 3
FORBIDDEN = 403


class PullRights:
    """Asks the registry for each image as the role does on AWS, and leaves all but refusals to the runtime.

    A role that IAM does not know has no policies, so nothing is asked.

    Args:
        world: The sandbox.
        task: The task.
    """

    def __init__(self, world: World, task: Task) -> None:
        self._world = world
        self._task = task
        self._role: RoleCredentials | None = None
        if task.execution_role and stored.role(task.execution_role):
            self._role = RoleCredentials(world, task.caller, task.execution_role, task.id)
        self._passwords: dict[tuple[str, str], str] = {}
        """By account and region of the registry."""

    def authorize(self, image: str) -> None:
        """Get a password for an image's registry.

        Raises:
            ResourceError: The role may not.
        """
        uri = parsed(image)
        if self._role is None or uri is None or (uri.account, uri.region) in self._passwords:
            return
        try:
            answer = self._role.client("ecr", uri.region).get_authorization_token(registryIds=[uri.account])
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(f"{SECRETS}unable to retrieve ecr registry auth: {RETRIED}{go_error(error)}") from error
        token = answer["authorizationData"][0]["authorizationToken"]
        self._passwords[uri.account, uri.region] = base64.b64decode(token).decode()

    def check(self, image: str) -> None:
        """Look at an image's manifest and configuration.

        Raises:
            ImagePullError: The role may not.
        """
        uri = parsed(image)
        if self._role is None or uri is None:
            return
        host = f"{uri.account}.dkr.ecr.{uri.region}.amazonaws.com"
        manifest = self._get(
            uri,
            f"manifests/{uri.reference}",
            f"pull image manifest has been retried 1 time(s): failed to resolve ref {image}: pulling from host {host} failed "
            f"with status code [manifests {uri.reference}]: 403 Forbidden",
        )
        blobs = (
            "ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: unexpected status code "
            f"https://{host}/v2/{uri.repository}/blobs: 403 Forbidden"
        )
        for _ in range(INDEXES_DEEP):
            children: list[dict[str, Any]] = manifest.get("manifests") or []
            if not children:
                break
            manifest = self._get(uri, f"manifests/{children[0]['digest']}", blobs)
        if "config" in manifest:
            self._get(uri, f"blobs/{manifest['config']['digest']}", blobs)

    def _get(self, uri: ImageUri, path: str, refused: str) -> dict[str, Any]:
        """A manifest or configuration; empty where there is none."""
        password = self._passwords.get((uri.account, uri.region), "")
        address = f"{local_endpoint(self._world.endpoint)}/v2/{uri.repository}/{path}"
        credentials = base64.b64encode(password.encode()).decode()
        request = Request(address, headers={"Accept": ", ".join(MEDIA_TYPES), "Authorization": f"Basic {credentials}"})  # noqa: S310  (our own)
        try:
            # The sandbox is never behind a proxy, whatever the environment says.
            with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as response:
                found: Any = json.loads(response.read(LARGEST))
        except HTTPError as error:
            if error.code == FORBIDDEN:
                raise ImagePullError(refused) from error
            return {}
        except (URLError, OSError, ValueError):
            return {}
        return found


def parsed(image: str) -> ImageUri | None:
    """An image's name, if it is one of ECR."""
    try:
        return ImageUri.parse(image)
    except ValueError:
        return None
