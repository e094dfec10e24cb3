"""The dial that registers local functions for Lambda steps."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.world import Room, World, dial
from slipway_sandbox.sagemaker.pipelines.functions import Functions, Registration


class FunctionRoom(Room):
    """Keeps what is registered.

    Args:
        world: What all rooms share.
        functions: The functions.
    """

    service = "sagemaker"

    def __init__(self, world: World, functions: Functions) -> None:
        super().__init__(world)
        self._functions = functions

    @dial("lambda")
    def register(self, body: dict[str, Any]) -> dict[str, Any]:
        """Let a local Python function stand for one of Lambda's in Lambda steps.

        `{"functionArn": "arn:aws:lambda:…:function:notify", "file": "/home/me/notify.py", "handler": "handler", "role": null}`.
        The file has to exist, belong to whoever runs the sandbox, and not be writable by everybody. Each invocation is a new
        process of the sandbox's own Python, **not in a container**, which can do whatever its user can. It gets the event and a
        context as on Lambda, an environment that leads to the sandbox, and credentials: of the role, where one is named that
        IAM knows, else the account's own.
        """
        function = self._functions.register(Registration.model_validate(body))
        return {"function": function.name, "file": function.file, "handler": function.handler}

    def reset(self, account: str | None) -> None:
        """Forget the functions of one account, or of all."""
        for key in [key for key in self._functions.rows if account in (None, key[0])]:
            del self._functions.rows[key]
