"""The container runtime that every service shares: pulls images from the sandbox's registry and runs them under bubblewrap."""

from slipway_sandbox.containers.container import Container, ContainerSpec, Mount, OwnNetwork
from slipway_sandbox.containers.errors import ContainerStartError, ImagePullError, NoSandboxError
from slipway_sandbox.containers.images import Image, ImageConfig, ImageSource
from slipway_sandbox.containers.runtime import ContainerRuntime

__all__ = [
    "Container",
    "ContainerRuntime",
    "ContainerSpec",
    "ContainerStartError",
    "Image",
    "ImageConfig",
    "ImagePullError",
    "ImageSource",
    "Mount",
    "NoSandboxError",
    "OwnNetwork",
]
