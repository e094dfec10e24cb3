"""Faults that a test plants, to see what its client does about them."""

from __future__ import annotations

import itertools
import random
import threading
from enum import StrEnum

from pydantic import Field

from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.models import Frozen


class FaultKind(StrEnum):
    """What goes wrong."""

    throttle = "throttle"
    """Answers `ThrottlingException`; nothing was done."""
    server_error = "server-error"
    """Answers HTTP 500; nothing was done."""
    reset = "reset"
    """Cuts the connection before anything was done."""
    lost_answer = "lost-answer"
    """Does what was asked, then cuts the connection without an answer."""
    hold_answer = "hold-answer"
    """Does what was asked, and holds the answer back until the fault is removed: the moment to kill a client in."""
    delay = "delay"
    """Waits `seconds` of real time before it does what was asked."""
    error = "error"
    """Answers the given code and message; nothing was done."""


class Fault(Frozen):
    """One planted fault, for calls of one operation."""

    service: str
    operation: str
    kind: FaultKind
    count: int = Field(default=1, ge=1, description="How many calls it applies to.")
    probability: float = Field(default=1.0, gt=0, le=1)
    code: str = "InternalFailure"
    message: str = "planted by the sandbox"
    status: int = 400
    seconds: float = Field(default=1.0, ge=0, le=600, description="Extra latency, in real time.")
    account: str | None = None


class PlantedFault:
    """A fault with the number it goes by and how often it may still strike."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.left = fault.count
        self.struck = 0
        self.removed = threading.Event()


class Faults:
    """The faults that are planted now. Thread-safe."""

    def __init__(self) -> None:
        self._planted: dict[int, PlantedFault] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._random = random.Random(0)

    def plant(self, fault: Fault) -> int:
        """Plant one; returns the number to remove it by."""
        with self._lock:
            number = next(self._numbers)
            self._planted[number] = PlantedFault(number, fault)
            return number

    def remove(self, number: int) -> None:
        """Take a fault away and let go the answers it holds. An unknown number is ignored."""
        with self._lock:
            planted = self._planted.pop(number, None)
        if planted:
            planted.removed.set()

    def clear(self) -> None:
        """Take all faults away."""
        for planted in self.all():
            self.remove(planted.number)

    def all(self) -> list[PlantedFault]:
        """The faults planted, oldest first."""
        with self._lock:
            return list(self._planted.values())

    def strike(self, service: str, operation: str, account: str) -> PlantedFault | None:
        """The fault that applies to this call, if any; it is counted as struck."""
        with self._lock:
            for planted in self._planted.values():
                fault = planted.fault
                if (fault.service, fault.operation) != (service, operation) or planted.left < 1:
                    continue
                if fault.account not in (None, account) or self._random.random() > fault.probability:
                    continue
                planted.left -= 1
                planted.struck += 1
                return planted
        return None


def error_of(fault: Fault) -> AwsError | None:
    """The error a fault answers with, or None where it does not answer one."""
    match fault.kind:
        case FaultKind.throttle:
            return AwsError("ThrottlingException", "Rate exceeded")
        case FaultKind.server_error:
            return AwsError("InternalFailure", "We encountered an internal error. Please try again.", 500)
        case FaultKind.error:
            return AwsError(fault.code, fault.message, fault.status)
        case _:
            return None
