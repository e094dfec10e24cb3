"""Checks whether a role may pull an image; the runtime reads the image from the registry's store directly."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.protocol.media_types import IMAGE_TYPES
from slipway_sandbox.roles.credentials import RoleCredentials, local_endpoint

LARGEST = 4 << 20
"""Bytes that are read of a manifest or configuration."""
SECONDS = 30.0
INDEXES_DEEP = 3
FORBIDDEN = 403


class PullDeniedError(Exception):
    """The role is not allowed to pull.

    Args:
        action: The action that is missing, in IAM's spelling without the service.
    """

    def __init__(self, action: str) -> None:
        super().__init__(f"ecr:{action} is not allowed")
        self.action = action


class RegistryAccess:
    """Asks the registry for images as the role, as AWS does. Other errors than refusals are left to the runtime.

    Args:
        endpoint: The sandbox's base URL.
        role: The role that pulls.
    """

    def __init__(self, endpoint: str, role: RoleCredentials) -> None:
        self._endpoint = local_endpoint(endpoint)
        self._role = role
        self._passwords: dict[tuple[str, str], str] = {}
        """By account and region of the registry."""

    def authorize(self, uri: ImageUri) -> None:
        """Get a password for an image's registry.

        Raises:
            ClientError: The role is not allowed to.
        """
        if (uri.account, uri.region) in self._passwords:
            return
        answer = self._role.client("ecr", uri.region).get_authorization_token(registryIds=[uri.account])
        token = answer["authorizationData"][0]["authorizationToken"]
        self._passwords[uri.account, uri.region] = base64.b64decode(token).decode()

    def check(self, uri: ImageUri) -> None:
        """Look at an image's manifest and configuration.

        Raises:
            PullDeniedError: The role is not allowed to.
        """
        manifest = self._get(uri, f"manifests/{uri.reference}", "BatchGetImage")
        for _ in range(INDEXES_DEEP):
            children: list[dict[str, Any]] = manifest.get("manifests") or []
            if not children:
                break
            manifest = self._get(uri, f"manifests/{children[0]['digest']}", "BatchGetImage")
        if "config" in manifest:
            self._get(uri, f"blobs/{manifest['config']['digest']}", "GetDownloadUrlForLayer")

    def _get(self, uri: ImageUri, path: str, action: str) -> dict[str, Any]:
        """A manifest or configuration; empty where there is none."""
        password = self._passwords.get((uri.account, uri.region), "")
        address = f"{self._endpoint}/v2/{uri.repository}/{path}"
        credentials = base64.b64encode(password.encode()).decode()
        request = Request(address, headers={"Accept": ", ".join(IMAGE_TYPES), "Authorization": f"Basic {credentials}"})  # noqa: S310  (our own)
        try:
            # The sandbox is never behind a proxy, whatever the environment says.
            with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as response:
                found: Any = json.loads(response.read(LARGEST))
        except HTTPError as error:
            if error.code == FORBIDDEN:
                raise PullDeniedError(action) from error
            return {}
        except (URLError, OSError, ValueError):
            return {}
        return found


def parsed(image: str) -> ImageUri | None:
    """An image's name, if it is in ECR."""
    try:
        return ImageUri.parse(image)
    except ValueError:
        return None
