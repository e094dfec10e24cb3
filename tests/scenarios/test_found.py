"""Pipelines that know nothing of Slipway: their tasks start executions without a name, and register nothing."""

from __future__ import annotations

import textwrap
from functools import partial

import pytest

from slipway.api import Outcome, StageName, StageState
from tests.support.scenario import Scenario
from tests.support.waiting import summary_of

pytestmark = pytest.mark.timeout(240)

START = """\
import json, os
import boto3, run_pipeline as sample

settings, sagemaker = sample.read_settings(os.environ), boto3.client("sagemaker")
definition = json.loads(sample.DEFINITION.read_text())
sample.ensure_group(sagemaker, settings.group)
"""
BARE_START = """\
sample.ensure_pipeline(sagemaker, settings, json.dumps(definition))
execution = sagemaker.start_pipeline_execution(
    PipelineName=settings.pipeline,
    PipelineParameters=[{"Name": name, "Value": value} for name, value in settings.parameters.items()],
    ClientRequestToken=os.urandom(20).hex(),
)["PipelineExecutionArn"]
"""
"""What `pipeline.start()` of the SageMaker SDK sends: no display name, so that AWS makes one up."""
PRINT = 'print("###### Execution started with PipelineExecutionArn:", execution)\n'
REGISTER_NOTHING = """\
for step in definition["Steps"]:
    if step["Type"] == "Condition":
        step["Arguments"]["IfSteps"] = []
"""


def given_a_task_that_runs(scenario: Scenario, program: str) -> None:
    """The team's task runs this instead of what the sample's does."""
    command = textwrap.indent(program, " " * 8)
    run = f"    essential: true\n    entryPoint: [python3, -c]\n    command:\n      - |\n{command}"
    scenario.given_its_file("taskdef.yaml", "    essential: true\n", run)


def given_a_spec_that_makes_the_package(scenario: Scenario) -> None:
    """Slipway registers what the step Train made; its metrics are in the report of the step Evaluate."""
    image = scenario.team.task_environment["MODEL_IMAGE"]
    container = f'{{image: "{image}", contentTypes: [application/json, text/csv], responseTypes: [application/json]}}'
    report = "{step: Evaluate, output: evaluation, file: evaluation.json}"
    model = f"model: {{packageGroup: screening, fromStep: Train, container: {container}, report: {report}}}"
    scenario.given_its_file("promotion.yaml", "model: {packageGroup: screening}", model)


@pytest.mark.parametrize(
    ("printed", "witness"),
    [(PRINT, "its ARN in the task's log"), ("", "no other having begun while the task ran")],
    ids=["printed", "silent"],
)
async def test_given_a_task_that_starts_an_execution_without_a_name_when_it_is_promoted_then_the_execution_is_found(
    scenario: Scenario, good_image: str, printed: str, witness: str
) -> None:
    given_a_task_that_runs(scenario, START + BARE_START + printed)
    await scenario.when_ci_starts(good_image)
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    [execution] = scenario.executions()
    assert execution["PipelineExecutionDisplayName"].startswith("execution-")
    assert status.execution == execution["PipelineExecutionArn"]
    assert f"known by {witness}" in summary_of(status, StageName.pipeline)


async def test_given_a_task_that_starts_an_endless_execution_without_a_name_when_it_is_aborted_then_the_execution_is_stopped(
    scenario: Scenario, slow_image: str
) -> None:
    given_a_task_that_runs(scenario, START + BARE_START + PRINT)
    await scenario.when_ci_starts(slow_image)
    await scenario.until_stage(StageName.pipeline, StageState.running)
    await scenario.until_summary(StageName.pipeline, "its ARN in the task's log")
    await scenario.when_an_operator_says("abort")
    await scenario.then_it_ends(Outcome.aborted)
    await scenario.until(lambda: scenario.executions()[0]["PipelineExecutionStatus"] == "Stopped", "the execution to stop")


async def test_given_a_pipeline_that_registers_nothing_when_the_worker_dies_right_after_it_made_the_package_then_there_is_one(
    scenario: Scenario, good_image: str
) -> None:
    given_a_task_that_runs(scenario, START + REGISTER_NOTHING + BARE_START + PRINT)
    given_a_spec_that_makes_the_package(scenario)
    made = (("sagemaker", "CreateModelPackage"),)
    await scenario.when_the_worker_is_killed_after_each(made, partial(scenario.when_ci_starts, good_image))
    await scenario.when_ana_approves()
    status = await scenario.then_it_ends(Outcome.promoted)
    [package] = scenario.packages()
    assert (package["ModelPackageArn"], package["ModelApprovalStatus"]) == (status.package, "Approved")
    assert status.endpoints[-1].package == status.package
    assert status.evidence_summary
    assert all(gate.passed for gate in status.evidence_summary.gates)
