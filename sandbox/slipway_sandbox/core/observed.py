"""What happens around every call: planted faults strike, policies decide, and the call log notes how it ended."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

from werkzeug.wrappers import Response

from slipway_sandbox.core.calls import Incoming
from slipway_sandbox.core.errors import AwsError, LostConnectionError
from slipway_sandbox.core.faults import FaultKind, PlantedFault, error_of
from slipway_sandbox.core.world import INTERNAL_USER_AGENT, World

__all__ = ["Incoming", "from_inside", "observed"]


def from_inside(environ: WSGIEnvironment) -> bool:
    """Whether the sandbox itself makes this call."""
    return INTERNAL_USER_AGENT in environ.get("HTTP_USER_AGENT", "")


def observed(world: World, call: Incoming, act: Callable[[], Response], refuse: Callable[[AwsError], Response]) -> Response:
    """Answer a call under the faults that are planted for it, and note it in the call log.

    The sandbox's calls to itself are neither faulted nor logged.

    Args:
        world: What the rooms share.
        call: The call.
        act: Does what is asked. It raises `AwsError` for an error answer.
        refuse: Says an error in the protocol of the call.

    Raises:
        LostConnectionError: A fault wants the connection cut.
    """
    fault = None if from_inside(call.environ) else world.faults.strike(call.service, call.operation, call.caller.account)
    if fault and fault.fault.kind is FaultKind.reset:
        _note(world, call, 0, "ConnectionReset")
        raise LostConnectionError
    try:
        response = act_unless(fault, lambda: guarded(world, call, act))
    except AwsError as error:
        call.error = error.code
        response = refuse(error)
    failed = response.status_code >= HTTPStatus.BAD_REQUEST
    _note(world, call, response.status_code, (call.error or str(response.status_code)) if failed else None)
    if fault:
        withhold(fault)
    return response


def guarded(world: World, call: Incoming, act: Callable[[], Response]) -> Response:
    """Act if the caller is allowed to. The sandbox's own calls are always allowed, unless they act as a role.

    Raises:
        AwsError: The caller is not allowed to; or the answer is an error.
    """
    if call.caller.principal or not from_inside(call.environ):
        world.guard.check(call)
    return act()


def act_unless(fault: PlantedFault | None, act: Callable[[], Response]) -> Response:
    """Act, or fail before anything was done as the fault says."""
    error = error_of(fault.fault) if fault else None
    if error:
        raise error
    if fault and fault.fault.kind is FaultKind.delay:
        fault.removed.wait(fault.fault.seconds)
    return act()


def withhold(fault: PlantedFault) -> None:
    """Hold back or lose an answer that is ready, if the fault says so."""
    if fault.fault.kind is FaultKind.hold_answer:
        fault.removed.wait()
    if fault.fault.kind is FaultKind.lost_answer:
        raise LostConnectionError


def _note(world: World, call: Incoming, status: int, error: str | None) -> None:
    if not from_inside(call.environ):
        world.calls.add(world.clock.now(), call, status, error)
