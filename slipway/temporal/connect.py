"""Connects to Temporal as its own tools do: by TEMPORAL_* variables or temporal.toml, with pydantic models as payloads."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime

from slipway.errors import NeedsPersonError
from slipway.temporal.payloads import data_converter
from slipway.temporal.queries import AskAgain

DEFAULT_ADDRESS = "localhost:7233"
DEFAULT_NAMESPACE = "default"
_NO_FRONTEND = "that is no Temporal frontend: its port is 7233 as a rule; the web page has another"
_WORDS = (
    ("not healthy yet", "it is still starting: try again in some seconds"),
    ("connection refused", "nothing answers there"),
    ("dns error", "there is no host of that name"),
    ("failed to lookup", "there is no host of that name"),
    ("invalid url", "that is no address: it looks like localhost:7233"),
    ("timed out", "nothing answers there: the time ran out"),
    ("deadline", "nothing answers there: the time ran out"),
    ("certificate", "its TLS certificate is not accepted, or it wants one of yours: check the TEMPORAL_TLS_ variables"),
    ("unauthenticated", "it does not accept the credentials: check TEMPORAL_API_KEY, or the TEMPORAL_TLS_ variables"),
    ("permissiondenied", "the credentials may not use it: check TEMPORAL_API_KEY and TEMPORAL_NAMESPACE"),
    ("h2 protocol error", _NO_FRONTEND),
    ("frame with invalid size", _NO_FRONTEND),
    ("invalid compression flag", _NO_FRONTEND),
    (
        "grpc-status header missing",
        _NO_FRONTEND,
    ),
)
"""What a failed connection's message holds, and what that means."""
PROMOTION = "PromotionWorkflow"
"""The workflow's name, for those who start and list promotions and do not import its code."""
HISTORY = "HistoryWorkflow"
"""The name of the workflow that answers what an application's targets served."""
HISTORY_ACTIVITY = "read_history"
"""The one activity that it may run."""
PLAN = "PlanWorkflow"
"""The name of the workflow that answers what a promotion would do."""
PLAN_ACTIVITY = "plan_promotion"
"""The one activity that it may run."""
PLAN_QUERY = "plan"
"""The query that gives its answer: who may start it may not read histories, where results are."""
ROLLOUT = "RolloutWorkflow"
"""The name of the workflow that rolls out to one target, as a child of the promotion."""


class ConnectError(NeedsPersonError):
    """There is no Temporal where it was looked for."""


def connect_config() -> ClientConnectConfig:
    """Where Temporal is, by the environment.

    Raises:
        ConnectError: The settings cannot be read.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise ConnectError(
            "reading Temporal's settings", str(error), "correct temporal.toml or the TEMPORAL_* variables"
        ) from error
    config.setdefault("target_host", DEFAULT_ADDRESS)
    config.setdefault("namespace", DEFAULT_NAMESPACE)
    return config


async def connect(runtime: Runtime | None = None) -> Client:
    """A client.

    Args:
        runtime: Where its metrics go; none for the SDK's own.

    Raises:
        ConnectError: No Temporal answered there.
    """
    config = connect_config()
    try:
        return await Client.connect(**config, data_converter=data_converter, interceptors=[AskAgain()], runtime=runtime)
    except (RuntimeError, ValueError) as error:
        raise ConnectError(
            f"connecting to Temporal at {config.get('target_host')}",
            in_plain_words(str(error)),
            "start it (`temporal server start-dev`, or `docker compose up`), or set TEMPORAL_ADDRESS to where it is",
        ) from error


def in_plain_words(text: str) -> str:
    """What a failed connection means. The SDK's own words are those of the libraries below it; unknown ones are passed on."""
    lowered = text.lower()
    words = next((words for sign, words in _WORDS if sign in lowered), "")
    return words or (text.strip().splitlines()[0][:300] if text.strip() else "no answer")


WATCH = "WatchWorkflow"
"""The name of the workflow that watches one deployment branch, and starts promotions of what piped wrote there."""
