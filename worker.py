"""The worker: connects to Temporal, registers workflows and activities, polls, and shuts down with grace."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

import structlog
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker

from activities import all_activities
from activities.repositories import Repositories
from slipway.aws.clients import Aws
from slipway.errors import SlipwayError
from slipway.exit import leave
from slipway.git.rules import RepositoryPolicy
from slipway.temporal.connect import connect
from slipway.temporal.interceptor import SlipwayInterceptor
from slipway.temporal.setup import check
from slipway.worker.health import health
from slipway.worker.logs import set_up_logging
from slipway.worker.settings import WorkerSettings
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow

HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""How long a heartbeat may wait to be sent. Heartbeats bring cancellations back: an abort is noticed as fast as this."""

log = structlog.stdlib.get_logger("slipway.worker")


def main() -> None:
    """The entry point."""
    leave(run())


def run() -> int:
    """Run the worker until SIGTERM or SIGINT; the exit code is 0 then, 2 for settings that are wrong, 1 for anything else."""
    try:
        settings = WorkerSettings()  # pyright: ignore[reportCallIssue] -- the environment fills it
    except ValidationError as error:
        wrong = "; ".join(f"SLIPWAY_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        print(f"slipway-worker: its settings are wrong: {wrong}", file=sys.stderr)  # noqa: T201 -- there is no log yet
        return 2
    set_up_logging(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except SlipwayError as error:
        log.error("cannot start", tried=error.report.tried, answered=error.report.answered, remedy=error.report.remedy)  # noqa: TRY400 -- the report says it all
        return 1
    except OSError as error:
        log.error("cannot start", answered=str(error), remedy="set SLIPWAY_HEALTH_PORT to a free port, or 0")  # noqa: TRY400
        return 1
    return 0


async def serve(settings: WorkerSettings) -> None:
    """Poll until told to stop.

    Raises:
        SlipwayError: Temporal is not there, or not set up.
        OSError: A port is taken.
    """
    client = await connect(runtime_of(settings))
    await check(client)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    aws = Aws()
    try:
        worker = make_worker(client, settings, aws)
        async with health(settings.bind, settings.health_port, lambda: worker.is_running and not stop.is_set()), worker:
            log.info("polling", task_queue=settings.task_queue, namespace=client.namespace, repositories=settings.repositories)
            await stop.wait()
            log.info("stopping", seconds=settings.shutdown_seconds)
    finally:
        aws.close()
    log.info("stopped")


def make_worker(client: Client, settings: WorkerSettings, aws: Aws) -> Worker:
    """The worker of all workflows and activities."""
    repositories = Repositories(RepositoryPolicy(settings.repositories), settings.work_folder.resolve())
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[PromotionWorkflow, RolloutWorkflow],
        activities=all_activities(aws, repositories, settings.poll_seconds),
        interceptors=[SlipwayInterceptor()],
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        # Each waits without a thread; AWS's calls are bounded by their own threads.
        max_concurrent_activities=500,
    )


def runtime_of(settings: WorkerSettings) -> Runtime | None:
    """The SDK's runtime that serves metrics; none where they are not wanted.

    Raises:
        OSError: The port is taken.
    """
    if not settings.metrics_port:
        return None
    address = f"{settings.bind}:{settings.metrics_port}"
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
    except (RuntimeError, ValueError) as error:
        raise OSError(f"metrics on {address}: {error}") from error


if __name__ == "__main__":
    main()
