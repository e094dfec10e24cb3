"""Which step needs which, as a definition says it."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.control.page.definition import graph_of
from slipway_sandbox.control.page.graph import Edge


def step(name: str, kind: str = "Training", **more: Any) -> dict[str, Any]:
    """A step of a definition."""
    return {"Name": name, "Type": kind, "Arguments": {}, **more}


def test_given_references_and_depends_on_when_a_definition_is_read_then_both_are_edges() -> None:
    reads = {"Std:Join": {"On": "/", "Values": [{"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "x"]}}
    graph = graph_of([step("Prepare"), step("Train", DependsOn=["Prepare"]), step("Evaluate", Arguments={"In": [reads]})])
    assert set(graph.edges) == {Edge("Prepare", "Train"), Edge("Train", "Evaluate")}


def test_given_a_property_file_in_brackets_when_a_definition_is_read_then_its_step_is_needed() -> None:
    path = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "accuracy"}}
    outputs = {"Get": "Steps.Evaluate.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri"}
    graph = graph_of([step("Evaluate", "Processing"), step("Use", Arguments={"Left": path, "Other": outputs})])
    assert graph.edges == (Edge("Evaluate", "Use"),)


def test_given_a_condition_when_a_definition_is_read_then_its_branches_hang_on_its_outcome() -> None:
    inner = step("Again", "Condition", Arguments={"IfSteps": [step("Deep", "Fail")], "ElseSteps": None})
    arguments = {"Conditions": [{"LeftValue": {"Get": "Steps.Train.X"}}], "IfSteps": [step("Register"), inner]}
    graph = graph_of([step("Train"), step("Check", "Condition", Arguments={**arguments, "ElseSteps": [step("TooLow", "Fail")]})])
    assert set(graph.edges) == {
        Edge("Train", "Check"),
        Edge("Check", "Register", "True"),
        Edge("Check", "Again", "True"),
        Edge("Again", "Deep", "True"),
        Edge("Check", "TooLow", "False"),
    }
    assert graph.types["Deep"] == "Fail"


def test_given_a_step_that_needs_one_that_is_not_there_when_a_definition_is_read_then_that_is_left_out() -> None:
    assert graph_of([step("Train", DependsOn=["Gone"])]).edges == ()
