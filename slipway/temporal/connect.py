"""Connects to Temporal as its own tools do: by TEMPORAL_* variables or temporal.toml, with pydantic models as payloads."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime

from slipway.errors import NeedsPersonError

DEFAULT_ADDRESS = "localhost:7233"
DEFAULT_NAMESPACE = "default"
PROMOTION = "PromotionWorkflow"
"""The workflow's name, for those who start and list promotions and do not import its code."""


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
        return await Client.connect(**config, data_converter=pydantic_data_converter, runtime=runtime)
    except (RuntimeError, ValueError) as error:
        raise ConnectError(
            f"connecting to Temporal at {config.get('target_host')}",
            first_line(str(error)),
            "start it (`temporal server start-dev`, or `docker compose up`), or set TEMPORAL_ADDRESS to where it is",
        ) from error


def first_line(text: str) -> str:
    """A message without the details of the library below the library."""
    return text.strip().splitlines()[0][:300] if text.strip() else "no answer"
