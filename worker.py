"""The worker: connects to Temporal, registers workflows and activities, polls, and shuts down with grace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from datetime import timedelta
from functools import partial

import structlog
from pydantic import ValidationError
from pydantic_core import ErrorDetails

# Before temporalio imports gRPC: each TLS handshake that fails would write a line of its own between the worker's.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities import all_activities, following_activities, short_activities
from activities.approvals import Approvals
from activities.approvers import Approvers
from activities.checks import PolicyInterceptor
from activities.earlier_runs import EarlierRunsInterceptor
from activities.evidence import EvidenceActivities
from activities.guard import Guard
from activities.images.origins import ImageOrigins
from activities.limits import LimitsInterceptor
from activities.repositories import Repositories
from slipway import __version__
from slipway.api import follower_queue, rollout_queue
from slipway.aws.clients import Aws
from slipway.aws.events import EventQueue
from slipway.aws.polling import Polling
from slipway.cosign.keyless import SigstoreRoot
from slipway.errors import NeedsPersonError, SlipwayError
from slipway.exit import hard_exit
from slipway.pipecd.client import PipecdApi
from slipway.policy.model import WorkerPolicy
from slipway.policy.source import Policies, Signers
from slipway.temporal.connect import connect
from slipway.temporal.interceptor import SlipwayInterceptor
from slipway.temporal.runner import guarded_worker
from slipway.temporal.setup import check
from slipway.worker.arguments import read_arguments
from slipway.worker.checks import find_problems
from slipway.worker.health import health
from slipway.worker.logs import set_up_logging
from slipway.worker.settings import WorkerSettings
from slipway.worker.watches import keep_watching
from workflows.history import HistoryWorkflow
from workflows.plan import PlanWorkflow
from workflows.promotion import PromotionWorkflow
from workflows.rollout import RolloutWorkflow
from workflows.watch import WatchWorkflow

HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""How long a heartbeat may wait to be sent. Heartbeats bring cancellations back: an abort is noticed as fast as this."""

FOLLOWERS = 5_000
"""Waits that one worker holds at once."""

log = structlog.stdlib.get_logger("slipway.worker")


def main() -> None:
    """The entry point."""
    read_arguments(sys.argv[1:])
    hard_exit(run())


def run() -> int:
    """Run the worker until SIGTERM or SIGINT; the exit code is 0 then, 2 for settings that are wrong, 1 for anything else."""
    try:
        settings = WorkerSettings()  # pyright: ignore[reportCallIssue] -- the environment fills it
    except ValidationError as error:
        wrong = "; ".join(wrong_setting(each) for each in error.errors())
        print(f"slipway-worker: its settings are wrong: {wrong}", file=sys.stderr)  # noqa: T201 -- there is no log yet
        return 2
    set_up_logging(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except SlipwayError as error:
        log.error("cannot start", tried=error.report.tried, answered=error.report.answered, remedy=error.report.remedy)  # noqa: TRY400 -- the report says it all
        return 1
    return 0


def wrong_setting(error: ErrorDetails) -> str:
    """What is wrong with a setting, or with several of them together."""
    name = f"SLIPWAY_{str(error['loc'][0]).upper()}: " if error["loc"] else ""
    return f"{name}{error['msg']}"


async def serve(settings: WorkerSettings) -> None:
    """Poll until told to stop.

    Raises:
        SlipwayError: Temporal is not there, or not set up; or a port is taken.
    """
    # What was imported stays: the garbage collector need not look through it again each time.
    gc.collect()
    gc.freeze()
    client = await connect(runtime_of(settings))
    await check(client)
    policies = settings.policies()
    policy = await policies()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    aws, polling, pipecd = Aws(), Polling(settings.poll_seconds), settings.pipecd()
    try:
        workers = make_workers(client, settings, aws, policies, polling, pipecd)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(
                health(
                    settings.bind, settings.health_port, lambda: not stop.is_set() and all(each.is_running for each in workers)
                )
            )
            for worker in workers:
                await stack.enter_async_context(worker)
            log.info("polling", task_queue=settings.task_queue, namespace=client.namespace, repositories=settings.repositories)
            beside = [
                asyncio.create_task(warn(policy), name="looking for what promotions will park on"),
                asyncio.create_task(keep_watching(client, policies, settings.task_queue), name="watching branches"),
            ]
            if pipecd:
                beside.append(asyncio.create_task(greet(pipecd), name="asking PipeCD"))
            if settings.event_queue:
                listening = EventQueue(settings.event_queue, polling.hint).listen()
                beside.append(asyncio.create_task(listening, name="listening for events"))
            for task in beside:
                task.add_done_callback(tell_failure)
            await stop.wait()
            for task in beside:
                task.cancel()
            log.info("stopping", seconds=settings.shutdown_seconds)
            await asyncio.gather(*(worker.shutdown() for worker in workers))
    finally:
        aws.close()
        if pipecd:
            await pipecd.close()
    log.info("stopped")


def tell_failure(beside: asyncio.Task[None]) -> None:
    """Say that something that goes on beside the polling has failed. Nobody waits for it, and promotions go on."""
    if not beside.cancelled() and (error := beside.exception()):
        log.error("failed", tried=beside.get_name(), remedy="restart the worker once the cause is fixed", exc_info=error)


async def warn(policy: WorkerPolicy) -> None:
    """Say what promotions will park on. The worker polls meanwhile: an operator may fix it at any time."""
    repositories = dict.fromkeys(entry.repository for entry in policy.apps if not entry.repository.endswith("/*"))
    async for problem in find_problems(repositories):
        log.warning("promotions will park", tried=problem.tried, answered=problem.answered, remedy=problem.remedy)


async def greet(pipecd: PipecdApi) -> None:
    """Say whether PipeCD answers. Promotions go on without it; what it would have said is missing then."""
    try:
        await pipecd.check()
    except SlipwayError as error:
        log.warning("PipeCD cannot be asked", answered=error.report.answered, remedy=error.report.remedy, address=pipecd.address)
    else:
        log.info("PipeCD answers", address=pipecd.address)


def make_workers(
    client: Client,
    settings: WorkerSettings,
    aws: Aws,
    policies: Policies,
    polling: Polling,
    pipecd: PipecdApi | None,
) -> tuple[Worker, ...]:
    """One worker for each task queue: promotions and watches with their short steps, rollouts with theirs, and what only waits.

    A wait takes a slot for hours or days. On a queue of their own, waits never hold up a short step, an undo or a rollout.
    """
    repositories = Repositories(policies, settings.work_folder.resolve(), settings.author())
    approvers = Approvers(repositories, Signers(settings.work_folder.resolve()))
    guard = Guard(repositories)
    origins = ImageOrigins(aws, guard, SigstoreRoot(settings.sigstore_root))
    activities = all_activities(aws, repositories, approvers, origins, polling, settings.watch_seconds, pipecd)
    approvals = Approvals(approvers, EvidenceActivities(aws, repositories, origins).gather_evidence)
    short = short_activities(activities)
    make = partial(
        Worker,
        client,
        # The same for all three: an application's activities count together, whichever queue brings them.
        interceptors=[
            SlipwayInterceptor(),
            EarlierRunsInterceptor(),
            LimitsInterceptor(policies),
            PolicyInterceptor(guard, approvals, origins, aws),
        ],
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )
    return (
        guarded_worker(
            make,
            task_queue=settings.task_queue,
            workflows=[PromotionWorkflow, PlanWorkflow, HistoryWorkflow, WatchWorkflow],
            activities=short,
            deployment_config=deployment_of(settings, VersioningBehavior.AUTO_UPGRADE),
        ),
        guarded_worker(
            make,
            task_queue=rollout_queue(settings.task_queue),
            workflows=[RolloutWorkflow],
            activities=short,
            deployment_config=deployment_of(settings, VersioningBehavior.PINNED),
        ),
        make(
            task_queue=follower_queue(settings.task_queue),
            activities=following_activities(activities),
            deployment_config=deployment_of(settings, VersioningBehavior.UNSPECIFIED),
            # Each waits without a thread; AWS's calls are bounded by their own threads.
            max_concurrent_activities=FOLLOWERS,
        ),
    )


def deployment_of(settings: WorkerSettings, behavior: VersioningBehavior) -> WorkerDeploymentConfig:
    """The worker's deployment and build. Where workers are not versioned, they only name the build in histories and in the UI.

    Left to itself, the SDK makes a build id of the code of every module that is imported: it reads all of them again.
    """
    version = WorkerDeploymentVersion(deployment_name=settings.deployment, build_id=settings.build_id or __version__)
    return WorkerDeploymentConfig(
        version=version,
        use_worker_versioning=settings.versioned,
        default_versioning_behavior=behavior if settings.versioned else VersioningBehavior.UNSPECIFIED,
    )


def runtime_of(settings: WorkerSettings) -> Runtime | None:
    """The SDK's runtime that serves metrics; none where they are not wanted.

    Raises:
        NeedsPersonError: The port is taken, or the address is not this machine's.
    """
    if not settings.metrics_port:
        return None
    address = f"{settings.bind}:{settings.metrics_port}"
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
    except (RuntimeError, ValueError) as error:
        remedy = "set SLIPWAY_METRICS_PORT to a free port, or 0, and SLIPWAY_BIND to an address of this machine"
        raise NeedsPersonError(f"opening {address} for metrics", str(error), remedy) from error


if __name__ == "__main__":
    main()
