"""The names of the experiment and the trial that an execution belongs to."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from slipway_sandbox.sagemaker.pipelines.context import ExecutionContext
from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError, evaluate, text_of
from slipway_sandbox.sagemaker.pipelines.paths import PathError
from slipway_sandbox.sagemaker.pipelines.state import Execution

BY_ITSELF = {"ExperimentName": {"Get": "Execution.PipelineName"}, "TrialName": {"Get": "Execution.PipelineExecutionId"}}
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}")


class Nothing:
    """Gives no clients: an experiment's name is made of parameters and variables."""

    def client(self, service: str) -> Any:
        """Refuse.

        Raises:
            EvaluationError: Always.
        """
        raise EvaluationError(f"an experiment's name cannot come from {service}")


def experiment_of(execution: Execution, now: datetime) -> dict[str, str] | None:
    """What the definition's `PipelineExperimentConfig` comes to; None where it makes no names."""
    config = execution.definition.experiment or BY_ITSELF
    try:
        found = evaluate(config, ExecutionContext(execution, Nothing(), now))
        names = {name: text_of(found[name]).lower() for name in ("ExperimentName", "TrialName") if name in found}
    except (EvaluationError, PathError, KeyError):
        return None
    return names if all(NAME.fullmatch(name) for name in names.values()) else None
