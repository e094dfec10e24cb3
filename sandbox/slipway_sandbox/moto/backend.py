"""moto, for every service that the sandbox has no room for."""

from __future__ import annotations

import functools
import gc
import importlib
import logging
import re
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.observed import Incoming
from slipway_sandbox.moto import alarms, long_polls

log = logging.getLogger(__name__)

ERROR_CODE = re.compile(rb"<Code>(?P<xml>[^<]+)</Code>|\"__type\":\s*\"(?:[^\"#]*#)?(?P<json>[^\"]+)\"")
ERROR_HEAD = 4096
PAGES = (b"<!doctype html", b"<html")
"""How answers of moto's web framework begin, which are for people."""
ALARM_CALLS = frozenset({"PutMetricAlarm", "PutCompositeAlarm", "PutMetricData"})
Listener = Callable[[Caller, Sequence[alarms.MetricData]], None]
"""Is told who made an alarm or put metric data, and which data."""


class MotoBackend:
    """moto's own dispatcher. It is not thread-safe, so it answers one call at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while moto works; its holder may read moto's state."""
        self.on_alarm_call: Listener = _ignore
        self.percentile: alarms.Percentile = _unknown

    @functools.cached_property
    def _application(self) -> Any:
        module = importlib.import_module("moto.moto_server.werkzeug_app")
        alarms.extend(self._percentile)
        _relieve()
        return module.DomainDispatcherApplication(module.create_backend_app)

    def load(self) -> None:
        """Import moto; a call that comes meanwhile waits for it."""
        with self.lock:
            logging.getLogger("moto").setLevel(logging.ERROR)
            _ = self._application
        # What is imported by now stays for good: neither collections nor the end of the process need to walk it.
        gc.freeze()

    def reset(self, account: str | None) -> None:
        """Forget what moto keeps for one account, or for all."""
        with self.lock:
            for backends in list(importlib.import_module("moto.core.base_backend").BackendDict._instances):  # noqa: SLF001  (moto has no other list)
                for owner in [owner for owner in backends if account in (None, owner)]:
                    for region in list(backends[owner]):
                        backends[owner][region].reset()
                        backends[owner].pop(region)

    def _percentile(self, caller: Caller, metric: dict[str, Any], name: str, after: float, until: float) -> float | None:
        return self.percentile(caller, metric, name, after, until)

    def answer(self, call: Incoming) -> Response:
        """Let moto answer. Calls that wait for messages do so outside of its lock.

        Raises:
            AwsError: See `_answer`.
        """
        return long_polls.receive(call, lambda: self._answer(call)) if long_polls.waits(call) else self._answer(call)

    def _answer(self, call: Incoming) -> Response:
        """Let moto answer.

        Raises:
            AwsError: `NotImplemented`, where moto cannot; `InternalFailure`, where it fails.
        """
        call.environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.caller.account
        try:
            with self.lock:
                alarms.received.clear()
                response = Response.from_app(self._application, call.environ, buffered=True)
                received = tuple(alarms.received)
        except (NotImplementedError, ModuleNotFoundError) as error:
            # The missing module is an extra of moto's, for a service that the sandbox does not offer.
            raise not_implemented(call) from error
        except ConnectionError:
            # The client went away in the middle of its request.
            raise
        except Exception as error:
            if not self._knows(call):
                raise not_implemented(call) from error
            log.exception("%s.%s failed in moto", call.service, call.operation)
            raise AwsError(
                "InternalFailure",
                f"moto failed to answer {call.service}.{call.operation}; the sandbox's log has the details.",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            ) from error
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            if response.get_data()[:ERROR_HEAD].lstrip().lower().startswith(PAGES):
                raise not_implemented(call)
            found = ERROR_CODE.search(response.get_data()[:ERROR_HEAD])
            call.error = (found["xml"] or found["json"]).decode() if found else None
        elif call.service == "cloudwatch" and call.operation in ALARM_CALLS:
            self.on_alarm_call(call.caller, received)
        return response

    def _knows(self, call: Incoming) -> bool:
        """Whether moto has the service at all."""
        try:
            host = self._application.infer_service_region_host(call.environ, call.environ["PATH_INFO"])
            return self._application.get_backend_for_host(host) is not None
        except (KeyError, ValueError, ImportError):
            return False


def _relieve() -> None:
    """Spare moto what it does again and again to no end. Called once, with its lock held."""
    # moto lists whatever it ever made: the list grows for ever, and to reset one account closes all S3 objects in it.
    importlib.import_module("moto.core.common_models").BaseModel.__new__ = staticmethod(_unlisted)
    # For each call it looks into its own folder for its services, and at all methods of the one that is called.
    backends: Any = importlib.import_module("moto.backends")
    responses: Any = importlib.import_module("moto.core.responses")
    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)


def _unlisted(of: type[Any], *_arguments: Any, **_more: Any) -> Any:
    """An object of moto's, as Python makes it."""
    return object.__new__(of)


def _ignore(_caller: Caller, _data: Sequence[alarms.MetricData]) -> None:
    """Nobody listens."""


def _unknown(_caller: Caller, _metric: dict[str, Any], _name: str, _after: float, _until: float) -> None:
    """Nobody knows the values."""


def not_implemented(call: Incoming) -> AwsError:
    """The error for an operation that moto does not implement."""
    return AwsError("NotImplemented", f"The sandbox does not answer {call.service}.{call.operation}.", HTTPStatus.NOT_IMPLEMENTED)
