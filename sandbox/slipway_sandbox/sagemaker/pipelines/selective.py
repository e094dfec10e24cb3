"""SelectiveExecutionConfig: which steps an execution runs, and whose results it takes for the others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.sagemaker.pipelines.definition import Definition
from slipway_sandbox.sagemaker.pipelines.state import Execution, StepRun

USABLE = frozenset({"Failed", "Succeeded"})
"""States of an execution whose results another one may take."""


def refuse(definition: Definition, selected: frozenset[str]) -> None:
    """Refuse a selection that leaves gaps.

    Raises:
        AwsError: A step is not there, one between two others is left out, or the steps do not hang together.
    """
    if unknown := sorted(selected - definition.placed.keys()):
        raise validation_error(f"The selected steps {unknown} are not in the pipeline.")
    needs = {name: frozenset(placed.needs) for name, placed in definition.placed.items()}
    below, above = reached(selected, turned(needs)), reached(selected, needs)
    if between := sorted((below & above) - selected):
        raise validation_error(f"The steps {between} are between selected steps, and have to be selected, too.")
    start = min(selected)
    inside = {name: needs[name] & selected for name in selected}
    both = {name: inside[name] | turned(inside)[name] for name in selected}
    if apart := sorted(selected - reached({start}, both) - {start}):
        raise validation_error(f"The selected steps {apart} are not connected to '{start}'.")


def reused(definition: Definition, selected: frozenset[str], source: Execution | None) -> dict[str, StepRun]:
    """The results of steps that the selected ones need and that do not run.

    Args:
        definition: What is to be run.
        selected: The steps that run.
        source: The execution whose results are taken.

    Raises:
        AwsError: There is no source, it has not ended, or it has no such results.
    """
    wanted = {name for step in selected for name in definition.placed[step].needs} - selected
    if not wanted:
        return {}
    if source is None:
        raise validation_error(f"SourcePipelineExecutionArn is required: the selected steps depend on {sorted(wanted)}.")
    if source.status not in USABLE:
        raise validation_error(
            f"The source pipeline execution '{source.arn}' has status '{source.status}'; it has to be 'Failed' or 'Succeeded'."
        )
    runs: dict[str, StepRun] = {}
    for name in sorted(wanted):
        found = source.runs.get(name)
        if found is None or found.status != "Succeeded":
            raise validation_error(f"The step '{name}' did not succeed in the source pipeline execution '{source.arn}'.")
        runs[name] = copy.deepcopy(found)
        runs[name].reused_from = source.arn
    return runs


def selected_of(config: Mapping[str, Any]) -> frozenset[str]:
    """The steps that a SelectiveExecutionConfig names."""
    return frozenset(step["StepName"] for step in config["SelectedSteps"])


def turned(graph: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """The graph with its edges turned round."""
    return {name: frozenset(other for other, ends in graph.items() if name in ends) for name in graph}


def reached(start: Iterable[str], graph: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """What is reached from some nodes by one edge or more."""
    found: set[str] = set()
    left = [end for name in start for end in graph[name]]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(graph[name])
    return frozenset(found)
