"""What the ECS task runs: creates or updates the SageMaker pipeline, starts one execution, prints its ARN.

The task may run twice for one promotion: ECS retries, operators retry, orchestrators crash. The execution's display name and its
request token both follow from the promotion's id, so a second run finds the first one's execution instead of starting another.

Environment, all set in `taskdef.yaml` unless said otherwise:

- `PIPELINE_NAME`, `PIPELINE_ROLE_ARN`, `MODEL_PACKAGE_GROUP`, `MODEL_IMAGE`, `DATA_URI`, `OUTPUT_URI`: required.
- `INSTANCE_TYPE`, `ACCURACY_THRESHOLD`, `APPROVAL_STATUS`: optional; the definition has defaults.
- `SLIPWAY_PROMOTION_ID`: set by who runs the task; absent, the task's own id stands in.
- `SLIPWAY_ATTEMPT`: 1 unless somebody asks for another execution after a failed one.
"""

import hashlib
import json
import os
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient

DEFINITION = Path(__file__).with_name("definition.json")
REQUIRED = ("PIPELINE_NAME", "PIPELINE_ROLE_ARN", "MODEL_PACKAGE_GROUP", "MODEL_IMAGE", "DATA_URI", "OUTPUT_URI")
PARAMETERS = {
    "InstanceType": "INSTANCE_TYPE",
    "DataUri": "DATA_URI",
    "AccuracyThreshold": "ACCURACY_THRESHOLD",
    "ModelPackageGroup": "MODEL_PACKAGE_GROUP",
    "ApprovalStatus": "APPROVAL_STATUS",
    "ModelImage": "MODEL_IMAGE",
    "RoleArn": "PIPELINE_ROLE_ARN",
    "OutputUri": "OUTPUT_URI",
}
NAME_LIMIT = 82  # PipelineExecutionDisplayName: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}
GONE_WRONG = {"Failed", "Stopped"}
RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=30)


class RunError(Exception):
    """The task cannot do its work; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the task's environment asks for.

    Attributes:
        pipeline: The pipeline's name.
        role_arn: The role that the pipeline and its jobs assume.
        group: The model package group.
        data_uri: The training data's S3 prefix.
        parameters: The execution's parameters, by name.
        promotion: The promotion's id, or the task's.
        attempt: Counts from 1.
    """

    pipeline: str
    role_arn: str
    group: str
    data_uri: str
    parameters: Mapping[str, str]
    promotion: str
    attempt: int

    @property
    def display_name(self) -> str:
        """The execution's display name."""
        return name_of(self.promotion, self.attempt)

    @property
    def earlier_names(self) -> list[str]:
        """The display names of the attempts before this one, newest first."""
        return [name_of(self.promotion, attempt) for attempt in range(self.attempt - 1, 0, -1)]

    @property
    def token(self) -> str:
        """The ClientRequestToken, 64 characters: the same pipeline and display name give the same token."""
        return hashlib.sha256(f"{self.pipeline}/{self.display_name}".encode()).hexdigest()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings from the environment.

    Raises:
        RunError: A variable is missing or not usable, or no promotion or task id is to be had.
    """
    missing = [name for name in REQUIRED if not environment.get(name)]
    if missing:
        raise RunError(f"these environment variables are not set: {', '.join(missing)}; set them in taskdef.yaml")
    attempt = environment.get("SLIPWAY_ATTEMPT", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", attempt):
        raise RunError(f"SLIPWAY_ATTEMPT must be a number from 1 to 999, not {attempt!r}")
    promotion = environment.get("SLIPWAY_PROMOTION_ID") or task_id(environment)
    name = name_of(promotion, int(attempt))
    if len(name) > NAME_LIMIT or not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name):
        raise RunError(f"{name!r} cannot name a pipeline execution: use letters, digits and inner hyphens, at most {NAME_LIMIT}")
    return Settings(
        pipeline=environment["PIPELINE_NAME"],
        role_arn=environment["PIPELINE_ROLE_ARN"],
        group=environment["MODEL_PACKAGE_GROUP"],
        data_uri=environment["DATA_URI"],
        parameters={name: environment[variable] for name, variable in PARAMETERS.items() if environment.get(variable)},
        promotion=promotion,
        attempt=int(attempt),
    )


def name_of(promotion: str, attempt: int) -> str:
    """An execution's display name: the promotion's id, with `-try-<attempt>` from the second attempt on.

    A number alone could be mistaken: the id of a promotion may end with one itself.
    """
    return promotion if attempt == 1 else f"{promotion}-try-{attempt}"


def task_id(environment: Mapping[str, str]) -> str:
    """This ECS task's id, from the task metadata endpoint (version 4).

    Raises:
        RunError: There is no such endpoint, or it does not answer.
    """
    base = environment.get("ECS_CONTAINER_METADATA_URI_V4")
    if not base:
        raise RunError(
            "neither SLIPWAY_PROMOTION_ID nor ECS_CONTAINER_METADATA_URI_V4 is set, so the execution has no name; set the first"
        )
    try:
        with urllib.request.urlopen(f"{base}/task", timeout=5) as response:  # noqa: S310 - the address is ECS's own
            return json.load(response)["TaskARN"].rsplit("/", 1)[-1]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"the task metadata endpoint did not give this task's id: {error}") from error


def require_data(s3: "S3Client", uri: str) -> None:
    """Makes sure that there is something to train on, before any machine is paid for.

    Raises:
        RunError: The address is none, or there is nothing at it.
    """
    parsed = urllib.parse.urlsplit(uri)
    if parsed.scheme != "s3" or not parsed.netloc:
        raise RunError(f"DATA_URI must be s3://bucket/prefix, not {uri!r}")
    try:
        found = s3.list_objects_v2(Bucket=parsed.netloc, Prefix=parsed.path.lstrip("/"), MaxKeys=1).get("KeyCount", 0)
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":
            raise
        found = 0
    if not found:
        raise RunError(f"no training data at {uri}: upload it and run the task again")


def ensure_group(sagemaker: "SageMakerClient", group: str) -> None:
    """Makes the model package group unless it is there."""
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if not is_absent(error):
            raise
        try:
            sagemaker.create_model_package_group(ModelPackageGroupName=group)
        except ClientError as conflict:
            if "already exist" not in message_of(conflict):
                raise


def ensure_pipeline(sagemaker: "SageMakerClient", settings: Settings, definition: str) -> None:
    """Creates the pipeline, or updates it where its definition or role differs."""
    try:
        current = sagemaker.describe_pipeline(PipelineName=settings.pipeline)
    except ClientError as error:
        if not is_absent(error):
            raise
        token = hashlib.sha256(f"{settings.pipeline}/{definition}".encode()).hexdigest()
        sagemaker.create_pipeline(
            PipelineName=settings.pipeline, PipelineDefinition=definition, RoleArn=settings.role_arn, ClientRequestToken=token
        )
        return
    if current["RoleArn"] != settings.role_arn or json.loads(current["PipelineDefinition"]) != json.loads(definition):
        sagemaker.update_pipeline(PipelineName=settings.pipeline, PipelineDefinition=definition, RoleArn=settings.role_arn)


def find_execution(sagemaker: "SageMakerClient", settings: Settings) -> str | None:
    """The ARN of the execution that this promotion has already, or None if one is to be started.

    This attempt's own counts in whatever state it is; an earlier attempt's only if it neither failed nor was stopped: its
    task may have died right after the start.
    """
    known: dict[str, tuple[str, str]] = {}
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=settings.pipeline)
    for summary in (summary for page in pages for summary in page["PipelineExecutionSummaries"]):
        name = summary.get("PipelineExecutionDisplayName", "")
        known[name] = (summary.get("PipelineExecutionArn", ""), summary.get("PipelineExecutionStatus", ""))
    if settings.display_name in known:
        return known[settings.display_name][0]
    earlier = [known[name] for name in settings.earlier_names if name in known]
    return next((arn for arn, status in earlier if status not in GONE_WRONG), None)


def start_execution(sagemaker: "SageMakerClient", settings: Settings) -> str:
    """Starts the execution and returns its ARN. The token makes a repeated call return the same one."""
    started = sagemaker.start_pipeline_execution(
        PipelineName=settings.pipeline,
        PipelineExecutionDisplayName=settings.display_name,
        PipelineParameters=[{"Name": name, "Value": value} for name, value in sorted(settings.parameters.items())],
        ClientRequestToken=settings.token,
    )
    return started["PipelineExecutionArn"]


def is_absent(error: ClientError) -> bool:
    """Whether AWS said that the resource is not there; SageMaker has several ways to say so."""
    said = message_of(error).lower()
    told = any(words in said for words in ("does not exist", "could not find"))
    return code_of(error) == "ResourceNotFound" or (code_of(error) == "ValidationException" and told)


def code_of(error: ClientError) -> str:
    """AWS's error code."""
    return cast("dict[str, Any]", error.response).get("Error", {}).get("Code", "")


def message_of(error: ClientError) -> str:
    """AWS's error message."""
    return cast("dict[str, Any]", error.response).get("Error", {}).get("Message", "")


def run(environment: Mapping[str, str]) -> str:
    """Does the task's work and returns the execution's ARN.

    Raises:
        RunError: Something that a person can fix is missing.
        BotoCoreError: AWS could not be reached.
        ClientError: AWS refused.
    """
    settings = read_settings(environment)
    definition = DEFINITION.read_text(encoding="utf-8")
    # The stubs name every service of AWS; only those in use are installed, so the function's own type stays partly unknown.
    s3: S3Client = boto3.client("s3", config=RETRIES)  # pyright: ignore[reportUnknownMemberType]
    sagemaker: SageMakerClient = boto3.client("sagemaker", config=RETRIES)  # pyright: ignore[reportUnknownMemberType]
    require_data(s3, settings.data_uri)
    ensure_group(sagemaker, settings.group)
    ensure_pipeline(sagemaker, settings, definition)
    return find_execution(sagemaker, settings) or start_execution(sagemaker, settings)


def main() -> int:
    """Prints one JSON line with the execution's ARN; on failure one line that says why."""
    try:
        arn = run(os.environ)
    except (RunError, BotoCoreError, ClientError, OSError) as error:
        print(f"run_pipeline: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 1
    print(json.dumps({"pipelineExecutionArn": arn}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
