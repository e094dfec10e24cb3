"""What it costs on AWS to wait, and how soon the end of a wait is seen: the worker's own pollers on the local AWS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slipway_sandbox.testing import SandboxProcess, fresh_account
from temporalio.testing import ActivityEnvironment

from activities.endpoints.listing import followed_endpoints
from activities.endpoints.served import SageMakerAccount
from activities.pipelines.following import UNFINISHED, ExecutionState, followed_executions, pipeline_of
from bench.figures import told
from bench.local_aws import make_model
from demo.stack import ML_ACCOUNT
from slipway.aws.clients import Aws
from slipway.aws.events import EventQueue
from slipway.aws.looking import Source
from slipway.aws.polling import Poller, Polling
from slipway.worker.settings import WorkerSettings

FEW, MANY = 10, 1_000
ROUNDS = 20
"""Two times from one list of everything to the next."""
CHANGES = 20
CLIENTS = 4
REGION = "us-east-1"
SAMPLES = Path(__file__).parent.parent / "deploy" / "events"
QUEUE = "slipway-events"
POLL_SECONDS: float = WorkerSettings.model_fields["poll_seconds"].default
Make = Callable[[Any, str, int], list[str]]
Follow = Callable[[Aws, str], Source[Any]]


def measure() -> dict[str, float]:
    """Calls a minute while few and while many wait, and the seconds from a change outside to the next step."""
    # So slow that what is under way stays so.
    with SandboxProcess(time_scale=0.001) as sandbox:
        endpoints = [calls_a_minute(sandbox, number, make_endpoints, follow_endpoints) for number in (FEW, MANY)]
    with SandboxProcess(time_scale=0.001) as sandbox:
        executions = [calls_a_minute(sandbox, number, make_executions, follow_executions) for number in (FEW, MANY)]
    with SandboxProcess() as sandbox:
        seconds = seconds_to_next_step(sandbox)
    return {
        "endpoint_calls_a_minute_10_waiting": endpoints[0],
        "endpoint_calls_a_minute_1000_waiting": endpoints[1],
        "endpoint_calls_1000_to_10_waiting_ratio": endpoints[1] / endpoints[0],
        "execution_calls_a_minute_10_waiting": executions[0],
        "execution_calls_a_minute_1000_waiting": executions[1],
        "execution_calls_1000_to_10_waiting_ratio": executions[1] / executions[0],
        "change_to_next_step_seconds_median": statistics.median(seconds),
        "change_to_next_step_seconds_p95": statistics.quantiles(seconds, n=20, method="inclusive")[-1],
    }


def calls_a_minute(sandbox: SandboxProcess, number: int, make: Make, follow: Follow) -> float:
    """Calls of a minute while so many wait, at the usual time between two rounds. The first look at each does not count."""
    account = fresh_account()
    told(f"making {number} that wait")
    keys = make(sandbox, account, number)
    with acting(sandbox, account) as aws:
        source = follow(aws, keys[0])

        async def look_around() -> int:
            await source.look(keys)
            before = sum(sandbox.counts(account).values())
            for _ in range(ROUNDS):
                await source.glance(keys)
            return sum(sandbox.counts(account).values()) - before

        return asyncio.run(look_around()) / ROUNDS * 60 / POLL_SECONDS


def make_endpoints(sandbox: SandboxProcess, account: str, number: int) -> list[str]:
    """Endpoints that are being created."""
    sagemaker = sandbox.client("sagemaker", account)
    make_model(sagemaker)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])

    def make(at: int) -> str:
        sagemaker.create_endpoint(EndpointName=f"e-{at}", EndpointConfigName="c")
        return f"e-{at}"

    return made(make, number)


def make_executions(sandbox: SandboxProcess, account: str, number: int) -> list[str]:
    """Executions of one pipeline that wait for an answer."""
    sagemaker = sandbox.client("sagemaker", account)
    url = sandbox.client("sqs", account, attempts=5).create_queue(QueueName="callbacks")["QueueUrl"]
    step: dict[str, Any] = {"Name": "Wait", "Type": "Callback", "SqsQueueUrl": url, "Arguments": {}, "OutputParameters": []}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    role = f"arn:aws:iam::{account}:role/bench"
    sagemaker.create_pipeline(PipelineName="p", PipelineDefinition=definition, RoleArn=role, ClientRequestToken="c" * 32)

    def start(at: int) -> str:
        return sagemaker.start_pipeline_execution(PipelineName="p", ClientRequestToken=f"{at:032d}")["PipelineExecutionArn"]

    return made(start, number)


def made(make: Callable[[int], str], number: int) -> list[str]:
    """So many, made by several clients."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(make, range(number)))


def follow_endpoints(aws: Aws, key: str) -> Source[Any]:
    """How endpoints are followed."""
    del key
    return followed_endpoints(SageMakerAccount(aws, REGION, None))


def follow_executions(aws: Aws, key: str) -> Source[ExecutionState]:
    """How executions of the pipeline of one of them are followed."""
    return followed_executions(aws, REGION, pipeline_of(key))


@contextlib.contextmanager
def acting(sandbox: SandboxProcess, account: str) -> Generator[Aws]:
    """AWS with the account's credentials in the environment, as a worker has them."""
    before = dict(os.environ)
    os.environ.update(sandbox.environment(account))
    aws = Aws()
    try:
        yield aws
    finally:
        aws.close()
        os.environ.clear()
        os.environ.update(before)


def seconds_to_next_step(sandbox: SandboxProcess) -> list[float]:
    """The time from each change outside to the end of the wait for it, with a queue and the usual time between looks."""
    account = fresh_account()
    queue = make_queue(sandbox, account)
    executions = make_executions(sandbox, account, CHANGES)
    told(f"ending {CHANGES} executions that are followed, one after the other")
    with acting(sandbox, account) as aws:
        return asyncio.run(ActivityEnvironment().run(changes, sandbox, account, aws, queue, executions))


def make_queue(sandbox: SandboxProcess, account: str) -> str:
    """The sample's queue and rule; the queue's ARN."""
    policy = (SAMPLES / "queue-policy.json").read_text(encoding="utf-8").replace(ML_ACCOUNT, account)
    sandbox.client("sqs", account).create_queue(QueueName=QUEUE, Attributes={"Policy": policy})
    arn = f"arn:aws:sqs:{REGION}:{account}:{QUEUE}"
    events = sandbox.client("events", account)
    events.put_rule(Name=QUEUE, EventPattern=(SAMPLES / "pattern.json").read_text(encoding="utf-8"))
    events.put_targets(Rule=QUEUE, Targets=[{"Id": "queue", "Arn": arn}])
    return arn


async def changes(sandbox: SandboxProcess, account: str, aws: Aws, queue: str, executions: list[str]) -> list[float]:
    """Follow all, and let one after the other end."""
    polling = Polling(POLL_SECONDS)
    poller = polling.pollers(lambda: follow_executions(aws, executions[0])).at()
    listening = asyncio.create_task(EventQueue(queue, polling.hint).listen())
    follows = [asyncio.create_task(ended(poller, arn)) for arn in executions]
    sagemaker = sandbox.client("sagemaker", account)
    seconds: list[float] = []
    for arn, follow in zip(executions, follows, strict=True):
        steps = await asyncio.to_thread(sagemaker.list_pipeline_execution_steps, PipelineExecutionArn=arn)
        token = steps["PipelineExecutionSteps"][0]["Metadata"]["Callback"]["CallbackToken"]
        await asyncio.to_thread(sagemaker.send_pipeline_execution_step_success, CallbackToken=token)
        begun = time.monotonic()
        seconds.append(await follow - begun)
    listening.cancel()
    return seconds


async def ended(poller: Poller[ExecutionState], arn: str) -> float:
    """When the end of an execution was seen."""
    await poller.until(arn, done=lambda state: state.status not in UNFINISHED)
    return time.monotonic()
