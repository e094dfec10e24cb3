"""`/_sandbox/`: the dials and views that tests and people use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from wsgiref.types import StartResponse, WSGIEnvironment

from pydantic import Field, ValidationError
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import EndpointPrefix, Map
from werkzeug.wrappers import Request, Response

from slipway_sandbox.control.page import PAGE_PATHS, Page
from slipway_sandbox.control.routes import rules
from slipway_sandbox.core.calls import Call
from slipway_sandbox.core.faults import Fault, PlantedFault
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.moto.backend import MotoBackend
from slipway_sandbox.protocol.responses import json_response

LONGEST_BODY = 16 * 1024**2
CONTROL_PATHS = {
    "GET /health": "health",
    "GET /calls": "list_calls",
    "DELETE /calls": "clear_calls",
    "GET /counts": "count_calls",
    "GET /faults": "list_faults",
    "POST /faults": "plant_fault",
    "DELETE /faults": "clear_faults",
    "DELETE /faults/<int:number>": "remove_fault",
    "POST /clock": "set_clock",
    "POST /clock/advance": "advance",
    "POST /reset": "reset",
    "POST /<service>/<name>": "turn",
    "GET /<service>/<name>": "look",
    "DELETE /<service>/<name>": "look",
}
ROUTES = Map([EndpointPrefix("page.", rules("/_sandbox", PAGE_PATHS)), *rules("/_sandbox", CONTROL_PATHS)])


class CallsQuery(Frozen):
    """Which calls are asked for."""

    service: str | None = None
    operation: str | None = None
    account: str | None = None
    since: int = 0

    def includes(self, call: Call) -> bool:
        """Whether a call is of the service, operation and account that are asked for."""
        return (
            self.service in (None, call.service)
            and self.operation in (None, call.operation)
            and self.account in (None, call.account)
        )


class ClockSetting(Frozen):
    """How fast simulated time runs."""

    time_scale: float = Field(alias="timeScale", ge=0)


class ClockStep(Frozen):
    """By how much simulated time is advanced."""

    seconds: float = Field(ge=0)


class Control:
    """The JSON API that controls the sandbox."""

    def __init__(self, world: World, rooms: Sequence[Room], moto: MotoBackend) -> None:
        self._world = world
        self._rooms = rooms
        self._moto = moto
        self._page = Page(world, rooms)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = LONGEST_BODY
        try:
            endpoint, arguments = ROUTES.bind_to_environ(environ).match()
            name = endpoint.removeprefix("page.")
            response = getattr(self if name == endpoint else self._page, name)(request, **arguments)
        except HTTPException as error:
            response = json_response({"error": error.description}, error.code or 500)
        except ValidationError as error:
            response = json_response({"error": json.loads(error.json(include_url=False))}, 422)
        except ValueError as error:
            response = json_response({"error": str(error)}, 422)
        return response(environ, start_response)

    def health(self, _request: Request) -> Response:
        """Whether the sandbox serves, and how fast its time runs."""
        return json_response({"status": "ok", "timeScale": self._world.clock.scale})

    def list_calls(self, request: Request) -> Response:
        """The call log, narrowed by `service`, `operation` and `account`, after the call number `since`.

        `last` is the number of the newest call, whatever it was narrowed by: the `since` of the next poll.
        """
        query = CallsQuery.model_validate(request.args.to_dict())
        calls = self._world.calls.after(query.since)
        last = calls[-1].number if calls else query.since
        return json_response({"calls": [call.to_json() for call in calls if query.includes(call)], "last": last})

    def clear_calls(self, _request: Request) -> Response:
        """Forget the calls so far."""
        self._world.calls.clear()
        return json_response({})

    def count_calls(self, request: Request) -> Response:
        """How often each operation was called, by one account (`?account=`) or by all."""
        return json_response(self._world.calls.counts(request.args.get("account")))

    def list_faults(self, _request: Request) -> Response:
        """The faults that are planted, and how often each struck."""
        return json_response({"faults": [shown(planted) for planted in self._world.faults.all()]})

    def plant_fault(self, request: Request) -> Response:
        """Plant one fault; answers its number."""
        return json_response({"number": self._world.faults.plant(Fault.model_validate_json(request.get_data()))}, 201)

    def clear_faults(self, _request: Request) -> Response:
        """Remove every fault."""
        self._world.faults.clear()
        return json_response({})

    def remove_fault(self, _request: Request, number: int) -> Response:
        """Remove one fault."""
        self._world.faults.remove(number)
        return json_response({})

    def set_clock(self, request: Request) -> Response:
        """Set the speed of simulated time to `timeScale`; 0 stops it."""
        self._world.clock.set_scale(ClockSetting.model_validate_json(request.get_data()).time_scale)
        return json_response({"timeScale": self._world.clock.scale})

    def advance(self, request: Request) -> Response:
        """Advance simulated time by `seconds`."""
        self._world.clock.advance(ClockStep.model_validate_json(request.get_data()).seconds)
        return json_response({"seconds": self._world.clock.seconds()})

    def turn(self, request: Request, service: str, name: str) -> Response:
        """Turn a room's dial."""
        found = next(((room, room.dials[name]) for room in self._rooms if room.service == service and name in room.dials), None)
        if found is None:
            raise NotFound(f"{service} has no dial {name}")
        room, handler = found
        with room.lock:
            return json_response(handler(room, json.loads(request.get_data() or b"{}")))

    def look(self, request: Request, service: str, name: str) -> Response:
        """Show what a room's dial is set to, or clear it."""
        key = ("GET" if request.method == "HEAD" else request.method, name)
        found = next(
            ((room, room.dial_views[key]) for room in self._rooms if room.service == service and key in room.dial_views), None
        )
        if found is None:
            raise NotFound(f"{service} has nothing to {request.method} by the name {name}")
        room, handler = found
        with room.lock:
            return json_response(handler(room, request.args.to_dict()))

    def reset(self, request: Request) -> Response:
        """Forget everything of one account (`?account=`), or of all."""
        account = request.args.get("account")
        for room in self._rooms:
            with room.lock:
                room.reset(account)
        self._moto.reset(account)
        self._world.drop_clients(account)
        self._page.forget()
        return json_response({})


def shown(planted: PlantedFault) -> dict[str, object]:
    """A fault as the API shows it."""
    return {"number": planted.number, "left": planted.left, "struck": planted.struck, **planted.fault.model_dump(mode="json")}
