"""`/_sandbox/sagemaker/endpoints/…`: what a test wants to become of an endpoint's next create or update."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Set
from wsgiref.types import StartResponse, WSGIEnvironment

from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from slipway_sandbox.calls import Caller
from slipway_sandbox.control import answer
from slipway_sandbox.sagemaker.hosting.rollout import Fate, FateKind

DIALS_PREFIX = "/_sandbox/sagemaker/dials"
ROUTES = Map(
    [
        Rule("/_sandbox/sagemaker/dials", endpoint="list_dials", methods=["GET"]),
        Rule("/_sandbox/sagemaker/dials", endpoint="set_dial", methods=["POST"]),
        Rule("/_sandbox/sagemaker/dials", endpoint="clear_dials", methods=["DELETE"]),
    ]
)


class Dial(BaseModel):
    """One dial; it is used up by the next create or update that it fits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str
    kind: FateKind
    reason: str | None = None
    """The FailureReason of a rollback; none makes it a silent one."""
    account: str | None = None
    """Only in this account; in any, unless given."""


class Dials:
    """The dials that are set, and a small JSON API to set them. Thread-safe."""

    def __init__(self) -> None:
        self._dials: dict[int, Dial] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def take(self, caller: Caller, endpoint: str, kinds: Set[FateKind]) -> Fate | None:
        """Use up the oldest dial that fits, if any."""
        with self._lock:
            for number, dial in self._dials.items():
                if dial.endpoint == endpoint and dial.kind in kinds and dial.account in (None, caller.account):
                    del self._dials[number]
                    return Fate(dial.kind, dial.reason)
        return None

    def set(self, dial: Dial) -> int:
        """Set one; returns its number."""
        with self._lock:
            number = next(self._numbers)
            self._dials[number] = dial
            return number

    def clear(self, account: str | None) -> None:
        """Forget the dials of one account, or all."""
        with self._lock:
            self._dials = {number: dial for number, dial in self._dials.items() if account not in (None, dial.account)}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            name, _ = ROUTES.bind_to_environ(environ).match()
            response: Response = getattr(self, name)(Request(environ))
        except HTTPException as error:
            response = answer({"error": error.description}, error.code or 500)
        except ValidationError as error:
            response = answer({"error": json.loads(error.json(include_url=False))}, 422)
        return response(environ, start_response)

    def list_dials(self, _request: Request) -> Response:
        """The dials that wait for their create or update."""
        with self._lock:
            return answer({"dials": [dial.model_dump(mode="json") for dial in self._dials.values()]})

    def set_dial(self, request: Request) -> Response:
        """Set one."""
        return answer({"number": self.set(Dial.model_validate_json(request.get_data()))}, 201)

    def clear_dials(self, _request: Request) -> Response:
        """Take all away."""
        self.clear(None)
        return answer({})
