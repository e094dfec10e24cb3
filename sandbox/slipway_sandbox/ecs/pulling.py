"""Whether a task's execution role may pull its images."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.containers.errors import ImagePullError
from slipway_sandbox.containers.go_errors import go_error
from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.ecs.secrets import RETRIED, SECRETS, ResourceError
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.roles.registry_access import PullDeniedError, RegistryAccess, parsed


class PullRights:
    """Asks the registry for each image as the role does on AWS.

    A role that IAM does not know has no policies, so nothing is asked.

    Args:
        endpoint: The sandbox's base URL.
        role: The task's execution role.
    """

    def __init__(self, endpoint: str, role: ActingRole) -> None:
        self._registry = RegistryAccess(endpoint, role.credentials) if role.credentials else None

    def authorize(self, image: str) -> None:
        """Get a password for an image's registry.

        Raises:
            ResourceError: The role may not.
        """
        uri = parsed(image)
        if self._registry is None or uri is None:
            return
        try:
            self._registry.authorize(uri)
        except (ClientError, BotoCoreError) as error:
            raise ResourceError(f"{SECRETS}unable to retrieve ecr registry auth: {RETRIED}{go_error(error)}") from error

    def check(self, image: str) -> None:
        """Look at an image's manifest and configuration.

        Raises:
            ImagePullError: The role may not.
        """
        uri = parsed(image)
        if self._registry is None or uri is None:
            return
        try:
            self._registry.check(uri)
        except PullDeniedError as error:
            raise ImagePullError(forbidden(image, uri, error.action)) from error


def forbidden(image: str, uri: ImageUri, action: str) -> str:
    """What containerd says of an image that a role may not have."""
    host = f"{uri.account}.dkr.ecr.{uri.region}.amazonaws.com"
    if action == "BatchGetImage":
        return (
            f"pull image manifest has been retried 1 time(s): failed to resolve ref {image}: pulling from host {host} failed "
            f"with status code [manifests {uri.reference}]: 403 Forbidden"
        )
    return (
        "ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: unexpected status code "
        f"https://{host}/v2/{uri.repository}/blobs: 403 Forbidden"
    )
