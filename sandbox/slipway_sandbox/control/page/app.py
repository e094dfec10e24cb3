"""Answers the paths of the page: itself, its parts as they change, the view behind it in JSON, logs, and its static files."""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import Field
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect, send_from_directory
from werkzeug.wrappers import Request, Response

from slipway_sandbox.control.page.activity import ACCOUNT, REGION, Activity, Place, wanted_place
from slipway_sandbox.control.page.dials import Dials
from slipway_sandbox.control.page.logs import tail
from slipway_sandbox.control.page.look import environment, failed
from slipway_sandbox.control.page.view import Views
from slipway_sandbox.core.models import Frozen
from slipway_sandbox.core.world import Room, World

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE_PATHS = {
    "GET /": "show",
    "GET /live": "live",
    "GET /view": "view",
    "GET /logs": "logs",
    "GET /static/<name>": "static",
    "POST /alarms": "set_alarm",
}
"""What answers which path below `/_sandbox`."""
STATIC = Path(__file__).parent / "static"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class AlarmSetting(Frozen):
    """The state that an alarm is to have, by CloudWatch's SetAlarmState."""

    account: str = Field(pattern=ACCOUNT.pattern)
    region: str = Field(pattern=REGION.pattern)
    name: str = Field(min_length=1, max_length=255)
    state: str = Field(pattern="OK|ALARM|INSUFFICIENT_DATA")
    reason: str = Field(default="set on the sandbox's page", max_length=1023)


class Page:
    """The page and what belongs to it.

    Args:
        world: What it shows.
        rooms: What has dials.
    """

    def __init__(self, world: World, rooms: Sequence[Room]) -> None:
        self._world = world
        self._activity = Activity(world)
        self._dials = Dials(world, rooms)
        self._views = Views(world, self._activity, self._dials)
        # Tags of an earlier process must not be taken for this one's.
        self._start = secrets.token_hex(4)

    def show(self, request: Request) -> Response:
        """The page of an account and region; without one, a redirect to where something happened last."""
        if "place" in request.args:
            account, _, region = request.args["place"].partition("/")
            return self._lead_to(wanted_place(account, region))
        if "account" not in request.args:
            places = self._activity.places()
            if places:
                return self._lead_to(places[0])
        return self._answer(request, "page.html", **self._dials.offered())

    def forget(self) -> None:
        """The state was reset or restored: nothing that was read before holds."""
        self._views.forget()

    def live(self, request: Request) -> Response:
        """The part of the page that changes."""
        return self._answer(request, "live.html")

    def view(self, request: Request) -> Response:
        """The same in JSON."""
        view, tag = self._views.view(place_in(request))
        return self._tagged(request, tag, lambda: json.dumps(view, default=str), "application/json")

    def logs(self, request: Request) -> Response:
        """The last lines of a log group's streams that begin with a prefix."""
        text = tail(self._world, place_in(request), request.args.get("group", ""), request.args.get("prefix", ""))
        response = finished(Response(text, content_type="text/plain; charset=utf-8"))
        response.add_etag()
        return response.make_conditional(request)

    def static(self, request: Request, name: str) -> Response:
        """A file of the page."""
        return finished(send_from_directory(STATIC, name, request.environ))

    def set_alarm(self, request: Request) -> Response:
        """Set an alarm's state.

        Raises:
            pydantic.ValidationError: The body makes no sense.
            NotFound: There is no such alarm.
        """
        wanted = AlarmSetting.model_validate_json(request.get_data())
        client = self._world.client("cloudwatch", Place(wanted.account, wanted.region).caller)
        try:
            client.set_alarm_state(AlarmName=wanted.name, StateValue=wanted.state, StateReason=wanted.reason)
        except client.exceptions.ClientError as error:
            raise NotFound(str(error)) from error
        self._views.expire(Place(wanted.account, wanted.region))
        return Response("{}", content_type="application/json")

    @functools.cached_property
    def _templates(self) -> Environment:
        return environment()

    def _answer(self, request: Request, template: str, **more: Any) -> Response:
        view, tag = self._views.view(place_in(request))
        return self._tagged(
            request,
            tag,
            lambda: self._templates.get_template(template).render(
                view=view, failed=failed(view), endpoint=self._world.endpoint, **more
            ),
            "text/html; charset=utf-8",
        )

    @staticmethod
    def _lead_to(place: Place) -> Response:
        return finished(redirect(f"/_sandbox/?{urlencode({'account': place.account, 'region': place.region})}"))

    def _tagged(self, request: Request, tag: str, body: Callable[[], str], content_type: str) -> Response:
        """The body, or 304 where the client has it; it is made only if it is sent."""
        etag = hashlib.sha256(f"{self._start} {request.path} {tag}".encode()).hexdigest()[:20]
        known = request.if_none_match.contains(etag)
        response = finished(Response(status=304) if known else Response(body(), content_type=content_type))
        response.set_etag(etag)
        return response


def place_in(request: Request) -> Place:
    """The account and region that a request names.

    Raises:
        ValueError: They are not valid.
    """
    return wanted_place(request.args.get("account"), request.args.get("region"))


def finished(response: Any) -> Response:
    """A response with the headers that keep other sites and injected scripts out."""
    response.headers.update(SECURITY)
    return response
