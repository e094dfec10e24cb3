"""Why an image could not be pulled, or a container not be started."""

from __future__ import annotations


class ImagePullError(Exception):
    """An image cannot be pulled. The text is the one that ECS shows as the container's reason.

    Args:
        detail: What went wrong, without ECS's own words around it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"CannotPullContainerError: {detail}")
        self.detail = detail


class LayerError(Exception):
    """A layer is damaged, or has what no image needs and an attack would use."""


class ContainerStartError(Exception):
    """A container cannot be started. The text is the one that ECS shows as the container's reason.

    Args:
        detail: What went wrong, without ECS's own words around it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(f"CannotStartContainerError: {detail}")
        self.detail = detail


class NoSandboxError(ContainerStartError):
    """This machine does not let bubblewrap make a sandbox."""
