"""What the expressions of an execution may ask for, fetched through the sandbox's own AWS API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError
from slipway_sandbox.sagemaker.pipelines.state import Execution
from slipway_sandbox.world import World


class ExecutionContext:
    """The context of one execution. Reads S3, so it is never asked under a lock.

    Args:
        world: Gives the S3 client and the time.
        execution: The execution.
    """

    def __init__(self, world: World, execution: Execution) -> None:
        self._world = world
        self._execution = execution

    def parameter(self, name: str) -> Any:
        """A parameter's value."""
        return self._execution.parameters[name]

    def variable(self, name: str) -> str:
        """An execution variable's value; times in ISO 8601."""
        execution = self._execution
        variables = {
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionId": execution.id,
            "PipelineName": execution.pipeline.name,
            "PipelineArn": execution.pipeline.arn,
            "StartDateTime": execution.created.isoformat(),
            "CurrentDateTime": self._world.clock.now().isoformat(),
        }
        return variables[name]

    def properties(self, step: str) -> Mapping[str, Any]:
        """What a finished step's resource describes itself as."""
        return self._execution.runs[step].properties

    def property_file(self, step: str, name: str) -> Any:
        """The JSON document that a processing step wrote.

        Raises:
            EvaluationError: The step has no such file, or did not write it.
        """
        run = self._execution.runs[step]
        found = next((file for file in run.step.property_files if file.name == name), None)
        outputs = run.properties.get("ProcessingOutputConfig", {}).get("Outputs", ())
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
            s3 = self._world.client("s3", self._execution.caller)
            return json.loads(s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read())
        except (ClientError, BotoCoreError) as error:
            raise EvaluationError(f"the property file {uri} could not be read: {error}") from error
        except ValueError as error:
            raise EvaluationError(f"the property file {uri} is not JSON: {error}") from error
