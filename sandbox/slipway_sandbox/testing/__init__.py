"""The local AWS in tests: this package's public API, beside the command and its HTTP API.

`SandboxProcess` runs one; pytest finds its fixtures `sandbox` and `sandbox_account` by itself (see `pytest_plugin`). The image
builders need no container engine. `iam` makes roles that are bound by policies, and clients that act as them.

Example:
    with SandboxProcess(time_scale=60) as sandbox:
        account = fresh_account()
        uri = push_image(sandbox, account, "hello", "v1", build_image([shell_layer()], command=["sh", "-c", "echo hello"]))
"""

from slipway_sandbox.testing import iam
from slipway_sandbox.testing.images import (
    TestImage,
    build_image,
    build_index,
    layer_of,
    libraries_of,
    member,
    push_image,
    shell_layer,
)
from slipway_sandbox.testing.process import SandboxProcess, SandboxStartError, fresh_account, wait_until
from slipway_sandbox.testing.python import python_image

__all__ = [
    "SandboxProcess",
    "SandboxStartError",
    "TestImage",
    "build_image",
    "build_index",
    "fresh_account",
    "iam",
    "layer_of",
    "libraries_of",
    "member",
    "push_image",
    "python_image",
    "shell_layer",
    "wait_until",
]
