"""The dials: what is planted and set now, and what can be."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from typing import Any

from slipway_sandbox.core.faults import FaultKind
from slipway_sandbox.core.world import Room, World

EXAMPLE = re.compile(r"`(\{.*?\})`", re.DOTALL)
"""A dial's docstring may hold an example of its body."""
OTHER_SERVICES = ("registry", "s3", "sts", "logs", "cloudwatch", "sqs", "events", "iam", "sagemaker-runtime")
"""Services that calls can be planted on beside those of the rooms."""


class Dials:
    """What the page shows of faults, clock and the services' dials.

    Args:
        world: Has clock and faults.
        rooms: Have dials.
    """

    def __init__(self, world: World, rooms: Sequence[Room]) -> None:
        self._world = world
        self._rooms = rooms

    def shown(self, account: str) -> dict[str, Any]:
        """What is set now. Faults of other accounts are left out."""
        faults = [
            {"number": planted.number, "left": planted.left, "struck": planted.struck, **planted.fault.model_dump(mode="json")}
            for planted in self._world.faults.all()
            if planted.fault.account in (None, account)
        ]
        return {"faults": faults, "clock": {"timeScale": self._world.clock.scale}}

    def offered(self) -> dict[str, Any]:
        """What can be set; this does not change while the sandbox runs."""
        operations = sorted({name for room in self._rooms for name in room.handlers})
        services = [*dict.fromkeys(room.service for room in self._rooms), *OTHER_SERVICES]
        dials = [described(room, name) for room in self._rooms for name in sorted(room.dials)]
        kinds = [kind.value for kind in FaultKind]
        return {"operations": operations, "services": services, "kinds": kinds, "dials": dials}


def described(room: Room, name: str) -> dict[str, str]:
    """A room's dial: its path, what its docstring says, and an example of its body."""
    text = inspect.cleandoc(room.dials[name].__doc__ or "")
    found = EXAMPLE.search(text)
    example = found[1] if found and is_json(found[1]) else "{}"
    return {"service": room.service, "name": name, "text": text.partition("\n\n")[0], "example": example}


def is_json(text: str) -> bool:
    """Whether a text is a body that can be sent unchanged."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
