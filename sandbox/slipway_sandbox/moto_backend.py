"""moto, for every service that the sandbox has no room for."""

from __future__ import annotations

import functools
import gc
import importlib
import logging
import re
import threading
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Response

from slipway_sandbox.errors import AwsError
from slipway_sandbox.observed import Incoming

log = logging.getLogger(__name__)

ERROR_CODE = re.compile(rb"<Code>(?P<xml>[^<]+)</Code>|\"__type\":\s*\"(?:[^\"#]*#)?(?P<json>[^\"]+)\"")
ACCOUNT = re.compile(r"\d{12}")
ERROR_HEAD = 4096


class MotoBackend:
    """moto's own dispatcher. It is not thread-safe, so it answers one call at a time; it is imported beside the start."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while moto works: its state is safe to look at by whoever has it."""
        threading.Thread(target=self._load, name="moto-import", daemon=True).start()

    @functools.cached_property
    def _application(self) -> Any:
        module = importlib.import_module("moto.moto_server.werkzeug_app")
        return module.DomainDispatcherApplication(module.create_backend_app)

    def _load(self) -> None:
        with self.lock:
            logging.getLogger("moto").setLevel(logging.ERROR)
            _ = self._application
        # What is imported by now stays for good: neither collections nor the end of the process need to walk it.
        gc.freeze()

    def account_of(self, access_key: str) -> str:
        """The account of a key that IAM or STS handed out; moto's default account for any other."""
        with self.lock:
            return str(importlib.import_module("moto.iam.models").get_account_id_from(access_key))

    def answer(self, call: Incoming) -> Response:
        """Let moto answer.

        Raises:
            AwsError: `NotImplemented`, where moto cannot; `InternalFailure`, where it fails.
        """
        call.environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.caller.account
        try:
            with self.lock:
                response = Response.from_app(self._application, call.environ, buffered=True)
        except NotImplementedError as error:
            raise AwsError(
                "NotImplemented", f"The sandbox does not answer {call.service}.{call.operation}.", HTTPStatus.NOT_IMPLEMENTED
            ) from error
        except ConnectionError:
            # The client went away inside its request; there is no one to answer.
            raise
        except Exception as error:
            log.exception("%s.%s failed in moto", call.service, call.operation)
            raise AwsError(
                "InternalFailure",
                f"moto, which answers {call.service} here, made a mistake; the sandbox's log has the details.",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            ) from error
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            found = ERROR_CODE.search(response.get_data()[:ERROR_HEAD])
            call.error = (found["xml"] or found["json"]).decode() if found else None
        return response
