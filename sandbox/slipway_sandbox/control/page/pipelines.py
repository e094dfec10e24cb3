"""Pipelines and their executions, each with its graph of steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from slipway_sandbox.control.page.definition import graph_of, members
from slipway_sandbox.control.page.layout import layout
from slipway_sandbox.control.page.reader import Reader, latest
from slipway_sandbox.control.page.resources import GROUPS_OF_STEPS

EXECUTIONS = 10
"""Executions of a pipeline that are shown."""
GOING = frozenset({"Executing", "Stopping"})
MOST_STEPS = 100


def pipelines(reader: Reader, generation: int) -> dict[str, Any]:
    """Pipelines with their latest executions.

    Args:
        reader: Asks the API.
        generation: A number that changes with each change by a client; an execution that has ended is asked for once in each.
    """
    found, more = reader.listed("sagemaker", "ListPipelines", "PipelineSummaries")
    for pipeline in found:
        pipeline["LastActivity"] = pipeline.get("LastExecutionTime") or pipeline["CreationTime"]
    shown = latest(found, "LastActivity", more=more)
    shown["items"] = [
        {**pipeline, "executions": executions(reader, pipeline["PipelineName"], generation)} for pipeline in shown["items"]
    ]
    return shown


def executions(reader: Reader, pipeline: str, generation: int) -> dict[str, Any]:
    """A pipeline's latest executions, with their steps."""
    page = {"SortOrder": "Descending", "MaxResults": EXECUTIONS}
    answer = reader.ask("sagemaker", "ListPipelineExecutions", PipelineName=pipeline, **page)
    summaries = answer.get("PipelineExecutionSummaries", [])
    shown = [execution(reader, summary, generation) for summary in summaries]
    return {"items": shown, "total": len(shown), "more": "NextToken" in answer}


def execution(reader: Reader, summary: dict[str, Any], generation: int) -> dict[str, Any]:
    """One execution, described, with steps and graph."""
    arn, status = summary["PipelineExecutionArn"], summary["PipelineExecutionStatus"]

    def ask() -> dict[str, Any]:
        described = reader.ask("sagemaker", "DescribePipelineExecution", PipelineExecutionArn=arn)
        order = {"SortOrder": "Ascending", "MaxResults": MOST_STEPS}
        listed = reader.ask("sagemaker", "ListPipelineExecutionSteps", PipelineExecutionArn=arn, **order)
        steps = [{**step, "logs": logs_of(step)} for step in listed.get("PipelineExecutionSteps", [])]
        full = {**summary, **described}
        going = full.get("PipelineExecutionStatus") in GOING
        return {**full, "steps": steps, "graph": drawn(definition_of(reader, arn), steps, going=going)}

    return ask() if status in GOING else reader.memory.get((arn, status, generation), ask)


def definition_of(reader: Reader, arn: str) -> dict[str, Any]:
    """The definition that an execution was started with, which does not change."""

    def ask() -> dict[str, Any]:
        answer = reader.ask("sagemaker", "DescribePipelineDefinitionForExecution", PipelineExecutionArn=arn)
        return json.loads(answer.get("PipelineDefinition") or "{}")

    return reader.memory.get((arn, "definition"), ask)


def logs_of(step: dict[str, Any]) -> dict[str, str] | None:
    """Where a step's job writes its lines."""
    metadata = members(step, "Metadata")
    for kind, group in GROUPS_OF_STEPS.items():
        if kind in metadata:
            return {"group": group, "prefix": f"{metadata[kind]['Arn'].rpartition('/')[2]}/"}
    return None


def drawn(definition: Mapping[str, Any], steps: Sequence[dict[str, Any]], *, going: bool) -> dict[str, Any]:
    """The graph of an execution, laid out, each box with its step's state, and each arrow with whether its branch was taken."""
    graph = graph_of(definition.get("Steps") or [])
    drawing = layout(graph)
    statuses = {step["StepName"]: step["StepStatus"] for step in steps}
    outcomes = {step["StepName"]: members(members(step, "Metadata"), "Condition").get("Outcome") for step in steps}
    for box in drawing["boxes"]:
        box["type"] = graph.types[box["name"]]
        box["status"] = statuses.get(box["name"], "Waiting" if going else "Not run")
    for arrow in drawing["arrows"]:
        arrow["taken"] = arrow["label"] in ("", outcomes.get(arrow["source"]))
    return drawing
