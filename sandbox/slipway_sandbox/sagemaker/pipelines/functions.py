"""Lambda steps: what each function answers is set by a dial. No function runs."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from pydantic import Field

from slipway_sandbox.core.calls import Caller, Incoming
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World, dial

ARN = re.compile(
    r"arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:(?P<name>[A-Za-z0-9-_]{1,64})(?::[A-Za-z0-9-_$]+)?"
)


class FunctionError(Exception):
    """A function that is not there, may not be called, or fails; the text says why."""


class FunctionAnswer(Frozen):
    """What a function answers each time that a step calls it."""

    function_arn: str = Field(alias="functionArn", pattern=rf"^{ARN.pattern}$")
    answer: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: str | None = None
    """The function fails with this text instead."""


class FunctionRoom(Room):
    """Keeps the answers, and gives them to Lambda steps."""

    service = "sagemaker"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._answers: dict[tuple[str, str, str], FunctionAnswer] = {}
        """By account, region and name."""

    @dial("lambda")
    def set_answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set what a function answers in Lambda steps: `{"functionArn", "answer": {…}}`, or `{"functionArn", "error": "…"}`."""
        wanted = FunctionAnswer.model_validate(body)
        self._answers[key_of(wanted.function_arn)] = wanted
        return {}

    def invoke(self, caller: Caller, keys: dict[str, Any] | None, arn: str) -> dict[str, Any]:
        """A function's answer.

        Args:
            caller: The account and region that the step runs in.
            keys: The credentials of the role that calls; None for a role that IAM does not know, which may call everything.
            arn: The function.

        Raises:
            FunctionError: The role may not call it, no answer is set for it, or the answer is an error.
        """
        if keys:
            self._authorize(Caller(caller.account, caller.region, keys["AccessKeyId"]), arn)
        found = self._answers.get(key_of(arn))
        if found is None:
            raise FunctionError(
                f"Failed to invoke lambda:Invoke. Error Details: Function not found: {arn} "
                "(set its answer by POST /_sandbox/sagemaker/lambda)"
            )
        if found.error is not None:
            raise FunctionError(f"Lambda function {arn} failed: {found.error}")
        return found.answer

    def reset(self, account: str | None) -> None:
        """Forget the answers of one account's functions, or of all."""
        self._answers = {key: answer for key, answer in self._answers.items() if account not in (None, key[0])}

    def _authorize(self, caller: Caller, arn: str) -> None:
        """Check the role's policies; the call log has the call either way."""
        call = Incoming({}, caller, "lambda", "Invoke", {"FunctionName": arn})
        try:
            self.world.guard.check(call)
        except AwsError as error:
            self.world.calls.add(self.world.clock.now(), call, error.status, error.code)
            raise FunctionError(f"Failed to invoke lambda:Invoke. Error Details: {error.message}") from error
        self.world.calls.add(self.world.clock.now(), call, HTTPStatus.OK, None)


def key_of(arn: str) -> tuple[str, str, str]:
    """Account, region and name of a function; a version or alias makes no difference."""
    found = ARN.fullmatch(arn)
    return (found["account"], found["region"], found["name"]) if found else ("", "", arn)
