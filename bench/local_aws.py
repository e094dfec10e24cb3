"""How fast the local AWS starts, what it takes when idle, and how long a Describe takes among ten thousand."""

from __future__ import annotations

import compileall
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import slipway_sandbox
from slipway_sandbox.testing import SandboxProcess, wait_until

from bench.figures import told

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench"
MANY = 10_000
CLIENTS = 4
STARTS = 5
ASKED = 200
QUIET_SECONDS = 10.0
"""Within so long after the start, what is loaded beside it has been loaded."""
DEFINITION = json.dumps(
    {"Version": "2020-12-01", "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}]}
)


def measure() -> dict[str, float]:
    """All figures of the local AWS."""
    # As pip does when it installs it: where Python may write no bytecode, each start would compile it again.
    compileall.compile_dir(Path(slipway_sandbox.__file__).parent, quiet=1)
    starts = [start_seconds() for _ in range(STARTS)]
    with SandboxProcess(time_scale=1000) as sandbox:
        idle = idle_megabytes(sandbox)
        sagemaker = sandbox.client("sagemaker", ACCOUNT)
        make_model(sagemaker)
        return {
            "sandbox_start_seconds": statistics.median(starts),
            "sandbox_idle_mb": idle,
            "describe_model_ms_alone": describe_model(sagemaker),
            "describe_endpoint_ms_among_10000": describe_endpoint(sagemaker),
            "describe_execution_ms_among_10000": describe_execution(sagemaker),
        }


def start_seconds() -> float:
    """From the command to the first answer."""
    begun = time.monotonic()
    with SandboxProcess() as sandbox:
        sandbox.control("GET", "health")
        return time.monotonic() - begun


def idle_megabytes(sandbox: SandboxProcess) -> float:
    """Resident memory once nothing is loaded any more: when it has not grown for a while."""
    seen: list[float] = []

    def settled() -> bool:
        seen.append(resident_megabytes(sandbox.pid))
        return len(seen) > 1 and seen[-1] - seen[max(0, len(seen) - 40)] < 1 and time.monotonic() - begun > QUIET_SECONDS

    begun = time.monotonic()
    wait_until(settled, "the memory to stay as it is")
    return seen[-1]


def resident_megabytes(pid: int) -> float:
    """A process's resident memory, by the kernel."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def make_model(sagemaker: Any) -> None:
    """Make the model `m`. Its image is not there, so that no endpoint of it has a process."""
    container = {"Image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/nothing:v1"}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)


def describe_model(sagemaker: Any) -> float:
    """Milliseconds of the same kind of call where there is nothing else, to compare the others with."""
    return median_ms(lambda _: sagemaker.describe_model(ModelName="m"))


def describe_endpoint(sagemaker: Any) -> float:
    """Milliseconds of DescribeEndpoint, of endpoints of the model `m`."""
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    make_many("endpoints", lambda number: sagemaker.create_endpoint(EndpointName=f"e-{number}", EndpointConfigName="c"))
    return median_ms(lambda number: sagemaker.describe_endpoint(EndpointName=f"e-{number}"))


def describe_execution(sagemaker: Any) -> float:
    """Milliseconds of DescribePipelineExecution."""
    sagemaker.create_pipeline(PipelineName="p", PipelineDefinition=DEFINITION, RoleArn=ROLE, ClientRequestToken="c" * 32)
    made: dict[int, str] = {}

    def start(number: int) -> None:
        started = sagemaker.start_pipeline_execution(PipelineName="p", ClientRequestToken=f"{number:032d}")
        made[number] = started["PipelineExecutionArn"]

    make_many("executions", start)
    return median_ms(lambda number: sagemaker.describe_pipeline_execution(PipelineExecutionArn=made[number]))


def make_many(what: str, make: Callable[[int], object]) -> None:
    """Make ten thousand."""
    told(f"making {MANY} {what}")
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(make, range(MANY)))


def median_ms(ask: Callable[[int], object]) -> float:
    """The median time of a call, asked of items spread over all of them."""
    took: list[float] = []
    for number in range(0, MANY, MANY // ASKED):
        begun = time.monotonic()
        ask(number)
        took.append((time.monotonic() - begun) * 1000)
    return statistics.median(took)
