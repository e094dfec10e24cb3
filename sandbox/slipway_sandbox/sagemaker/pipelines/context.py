"""The values that an execution's expressions refer to, read through the sandbox's own AWS API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError
from slipway_sandbox.sagemaker.pipelines.state import Execution


class Clients(Protocol):
    """Gives AWS clients."""

    def client(self, service: str) -> Any:
        """A client of a service."""
        ...


class ExecutionContext:
    """The context of one execution, or of one of its steps. Reads S3, so it is never asked under a lock.

    Args:
        execution: The execution.
        clients: Gives the S3 client.
        now: The time.
        jobs: The step's own job's name, by the execution variable that asks for it.
    """

    def __init__(self, execution: Execution, clients: Clients, now: datetime, jobs: Mapping[str, str] | None = None) -> None:
        self._execution = execution
        self._clients = clients
        self._variables = {**variables_of(execution, now), **(jobs or {})}

    def parameter(self, name: str) -> Any:
        """A parameter's value."""
        return self._execution.parameters[name]

    def variable(self, name: str) -> str:
        """An execution variable's value; times in ISO 8601.

        Raises:
            EvaluationError: The step has none such.
        """
        if name not in self._variables:
            raise EvaluationError(f"Execution.{name} has no value in a step of this type")
        return self._variables[name]

    def properties(self, step: str) -> Mapping[str, Any]:
        """What a finished step's resource describes itself as."""
        return self._execution.runs[step].properties

    def property_file(self, step: str, name: str) -> Any:
        """The JSON document that a processing step wrote.

        Raises:
            EvaluationError: The step has no such file, or did not write it.
        """
        found = next((file for file in self._execution.step(step).property_files if file.name == name), None)
        outputs = self._execution.runs[step].properties.get("ProcessingOutputConfig", {}).get("Outputs", ())
        output = next((output for output in outputs if found and output["OutputName"] == found.output), None)
        if found is None or output is None:
            raise EvaluationError(f"the step {step} has no property file {name}")
        return self.document(f"{output['S3Output']['S3Uri'].rstrip('/')}/{found.path}")

    def document(self, uri: str) -> Any:
        """The JSON document at an S3 URI.

        Raises:
            EvaluationError: There is none.
        """
        place = urlsplit(uri)
        try:
            s3 = self._clients.client("s3")
            return json.loads(s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read())
        except (ClientError, BotoCoreError) as error:
            raise EvaluationError(f"the property file {uri} could not be read: {error}") from error
        except ValueError as error:
            raise EvaluationError(f"the property file {uri} is not JSON: {error}") from error


def variables_of(execution: Execution, now: datetime) -> dict[str, str]:
    """The variables that every step of an execution has."""
    return {
        "PipelineExecutionArn": execution.arn,
        "PipelineExecutionId": execution.id,
        "PipelineName": execution.pipeline_name,
        "PipelineArn": execution.pipeline_arn,
        "StartDateTime": execution.created.isoformat(),
        "CurrentDateTime": now.isoformat(),
    }
