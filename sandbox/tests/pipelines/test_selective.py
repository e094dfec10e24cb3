"""SelectiveExecutionConfig."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.contract import behaviour
from sandbox.testkit.pipelines import PipelineDesk


def register(name: str, *after: str) -> dict[str, Any]:
    """A step that registers a package."""
    return {"Name": name, "Type": "RegisterModel", "Arguments": {"ModelPackageGroupName": name}, "DependsOn": list(after)}


CHAIN = [register("a"), register("b", "a"), register("c", "b"), register("d", "c"), register("apart")]


def start(desk: PipelineDesk, steps: str, source: str | None = None) -> str:
    """Start an execution of some steps."""
    config = {"SelectedSteps": [{"StepName": name} for name in steps.split()]}
    config |= {"SourcePipelineExecutionArn": source} if source else {}
    return desk.start(SelectiveExecutionConfig=config)


@behaviour(
    "In a pipeline's definition (2020-12-01)",
    "SelectiveExecutionConfig",
    like="runs the steps selected, which have to hang together without gaps, and takes what they need from a source execution "
    "that succeeded or failed; SelectiveExecutionResult",
    differs="only the steps that the selected ones need directly are listed beside them; wording is not verified on AWS",
)
def test_given_a_source_when_some_steps_are_selected_then_they_run_on_its_results_and_nothing_else_does(
    desk: PipelineDesk,
) -> None:
    source = desk.run(CHAIN)
    execution = start(desk, "b c", source)
    assert desk.finish(execution)["PipelineExecutionStatus"] == "Succeeded"
    steps = desk.steps(execution)
    assert list(steps) == ["a", "b", "c"]
    assert steps["a"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": source}
    assert steps["a"]["Metadata"] == desk.steps(source)["a"]["Metadata"] != steps["b"]["Metadata"]
    assert desk.describe(execution)["SelectiveExecutionConfig"]["SourcePipelineExecutionArn"] == source


def test_given_first_steps_when_they_are_selected_then_no_source_is_needed(desk: PipelineDesk) -> None:
    desk.create({"Version": "2020-12-01", "Steps": CHAIN})
    execution = start(desk, "a b")
    desk.finish(execution)
    assert list(desk.steps(execution)) == ["a", "b"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("b", "SourcePipelineExecutionArn is required"),
        ("a c", "are between selected steps"),
        ("a apart", "not connected"),
        ("a z", "are not in the pipeline"),
    ],
)
def test_given_a_selection_that_leaves_gaps_when_it_is_started_then_it_is_refused(
    desk: PipelineDesk, steps: str, said: str
) -> None:
    desk.create({"Version": "2020-12-01", "Steps": CHAIN})
    with pytest.raises(ClientError, match=said):
        start(desk, steps)


def test_given_a_source_in_which_a_step_did_not_succeed_when_it_is_needed_then_it_is_refused(desk: PipelineDesk) -> None:
    bad = {**register("a"), "Arguments": {"ModelPackageGroupName": "a", "ModelApprovalStatus": "Perhaps"}}
    source = desk.run([bad, register("b", "a")])
    with pytest.raises(ClientError, match="did not succeed in the source"):
        start(desk, "b", source)
