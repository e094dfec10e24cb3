"""Teams whose repositories were made for PipeCD alone: a `promotion.yaml` beside their files is all that is added."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.support.own
from demo.oci_layout import BuiltImage
from demo.stack import Stack
from slipway.api import Outcome, PromotionStatus, StageName
from tests.support.forked import ForkingCrew
from tests.support.own.regression import shells_pipeline
from tests.support.own_team import OwnTeam, task_image
from tests.support.scenario import Scenario
from tests.support.waiting import summary_of

pytestmark = pytest.mark.timeout(240)
PROGRAMS = Path(tests.support.own.__file__).parent

TIDES = {
    "app.pipecd.yaml": """\
apiVersion: pipecd.dev/v1beta1
kind: ECSApp
spec:
  name: tides
  labels: {team: harbour}
  input:
    taskDefinitionFile: task.yaml
    clusterArn: "arn:aws:ecs:us-east-1:<ML>:cluster/batch"
    awsvpcConfiguration:
      assignPublicIp: DISABLED
      securityGroups:
        - sg-0a1b2c3d4e5f60001
      subnets: [subnet-0a1b2c3d4e5f60001, subnet-0a1b2c3d4e5f60002]
  attachment:
    sources: {settings: settings.yaml}
    targets: [task.yaml]
  description: |
    Trains the tide tables.
  eventWatcher:
    - matcher:
        name: tides-image
        labels: {repository: tides}
      handler:
        type: GIT_UPDATE
        config:
          commitMessage: "Take a new image of the trainer"
          replacements:
            - {file: task.yaml, yamlField: "$.containerDefinitions[0].image"}
""",
    "settings.yaml": """\
pipeline: tides-training
region: us-east-1
bucket: tides-<ML>
role: arn:aws:iam::<ML>:role/tides
image: <ML>.dkr.ecr.us-east-1.amazonaws.com/jobs:v1
""",
    "task.yaml": """\
family: tides
networkMode: awsvpc
taskRoleArn: "arn:aws:iam::<ML>:role/tides-task"
executionRoleArn: "arn:aws:iam::<ML>:role/tides-execution"
cpu: 256
memory: 512
compatibilities: [FARGATE]
requiresCompatibilities: [FARGATE]
containerDefinitions:
  - name: trainer
    image: <HOST>/harbour/tides:v0.3.1
    essential: true
    entryPoint: [python3, start_functions.py]
    command:
      - --settings
      - "{{ .attachment.settings | b64enc }}"
    logConfiguration:
      logDriver: awslogs
      options: {awslogs-stream-prefix: container, awslogs-region: us-east-1, awslogs-group: /tides, awslogs-create-group: "true"}
""",
    "promotion.yaml": """\
apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {name: tides}
spec:
  image: {source: "<HOST>/harbour/tides", target: <ML>.dkr.ecr.us-east-1.amazonaws.com/tides}
  git: {event: {name: tides-image, labels: {repository: tides}}}
  pipeline: {name: tides-training}
  model:
    packageGroup: tides
    fromStep: fit
    container:
      image: <ML>.dkr.ecr.us-east-1.amazonaws.com/jobs:v1
      contentTypes: [text/plain]
      responseTypes: [application/json]
  approval: {approvers: [ana]}
  rollout:
    variant: {instanceType: ml.m5.large, instanceCount: 1, executionRoleArn: "arn:aws:iam::<ML>:role/tides-serving"}
    waves: [{targets: [{endpoint: tides}]}]
""",
}
"""A v0 app of YAML: settings are attached, CI pushes elsewhere, the pipeline's steps are functions and register nothing."""

SHELLS = {
    "train.pipecd.yaml": """\
apiVersion: pipecd.dev/v1beta1
kind: Application
spec:
  name: shells
  plugins:
    ecs:
      input:
        clusterArn: arn:aws:ecs:us-east-1:<ML>:cluster/examples
        launchType: FARGATE
        runStandaloneTask: true
        awsvpcConfiguration: {assignPublicIp: ENABLED, subnets: [subnet-0a1b2c3d4e5f60001]}
  eventWatcher:
    - matcher: {name: shells-image}
      handler:
        type: GIT_UPDATE
        config: {replacements: [{file: taskdef.json, regex: '"image": "([^"]+)"'}]}
""",
    "taskdef.json": """\
{
	"family": "shells",
	"executionRoleArn": "arn:aws:iam::<ML>:role/shells-execution",
	"taskRoleArn": "arn:aws:iam::<ML>:role/shells-task",
	"containerDefinitions": [
		{
			"command": null,
			"cpu": 100,
			"image": "<HOST>/acme/shells:1",
			"memory": 100,
			"mountPoints": [],
			"name": "web",
			"environment": [
				{"name": "PIPELINE", "value": "shells"},
				{"name": "PIPELINE_ROLE", "value": "arn:aws:iam::<ML>:role/shells"}
			],
			"entryPoint": ["python3", "start_definition.py"],
			"logConfiguration": {
				"logDriver": "awslogs",
				"options": {
					"awslogs-group": "/shells",
					"awslogs-region": "us-east-1",
					"awslogs-stream-prefix": "web",
					"awslogs-create-group": "true"
				}
			}
		}
	],
	"requiresCompatibilities": ["FARGATE"],
	"networkMode": "awsvpc",
	"memory": 512,
	"cpu": 256,
	"pidMode": "",
	"volumes": []
}
""",
    "promotion.yaml": """\
apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {name: shells}
spec:
  image: {source: "<HOST>/acme/shells", target: <ML>.dkr.ecr.us-east-1.amazonaws.com/shells}
  git: {event: shells-image, configFilename: train.pipecd.yaml}
  pipeline: {name: shells}
  model: {packageGroup: ShellsGroup}
  gates: [{metric: regression_metrics.mse.value, max: 6}]
  approval: {approvers: [ana]}
  rollout:
    variant: {instanceType: ml.m5.large, instanceCount: 1, executionRoleArn: "arn:aws:iam::<ML>:role/shells-serving"}
    waves: [{targets: [{endpoint: shells}]}]
""",
}
"""A v1 app of JSON with tabs, like PipeCD's examples of standalone tasks; its pipeline is like AWS's samples of regression."""


@dataclass(frozen=True)
class OwnApp:
    """An application that is ready, and an image that its CI has pushed."""

    scenario: Scenario
    image: str

    async def promoted(self) -> PromotionStatus:
        """The end of its promotion, which is to be a good one."""
        await self.scenario.when_ci_starts(self.image)
        await self.scenario.when_ana_approves()
        return await self.scenario.then_it_ends(Outcome.promoted)

    def answer(self, endpoint: str) -> float:
        """What its model says to ten."""
        runtime = self.scenario.team.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=b"10", ContentType="text/plain")
        return json.loads(answer["Body"].read())


@contextmanager
def working(scenario: Scenario, team: OwnTeam, login: Path) -> Generator[None]:
    """The team works, with a worker that has the login of its registry."""
    team.write_login(login)
    scenario.team = team
    scenario.crew = ForkingCrew(scenario.stack, team.ml_account, f"team-{team.ml_account}", {"DOCKER_CONFIG": str(login)})
    with scenario:
        yield


@pytest.fixture
def tides(stack: Stack, model_image: BuiltImage, tmp_path: Path) -> Iterator[OwnApp]:
    team = OwnTeam(stack)
    team.commit(TIDES)
    team.own(target="tides", cluster="batch", bucket=f"tides-{team.ml_account}", group="tides")
    files = {"start_functions.py": PROGRAMS / "start_functions.py"}
    image = team.push_from_ci("harbour/tides", task_image("own-functions", files))
    scenario = Scenario(stack, model_image)
    with working(scenario, team, tmp_path):
        yield OwnApp(scenario, image)


@pytest.fixture
def shells(stack: Stack, model_image: BuiltImage, tmp_path: Path) -> Iterator[OwnApp]:
    team = OwnTeam(stack)
    bucket = f"shells-{team.ml_account}"
    team.commit(SHELLS)
    team.own(target="shells", cluster="examples", bucket=bucket, group="ShellsGroup")
    rows = "".join(f"{x},{3 * x + 4 + x % 2}\n" for x in range(40))
    team.client("s3").put_object(Bucket=bucket, Key="data/rows.csv", Body=rows.encode())
    definition = tmp_path / "definition.json"
    definition.write_text(shells_pipeline(team.ml_account))
    files = {"start_definition.py": PROGRAMS / "start_definition.py", "definition.json": definition}
    image = team.push_from_ci("acme/shells", task_image("own-definition", files))
    scenario = Scenario(stack, model_image)
    with working(scenario, team, tmp_path):
        yield OwnApp(scenario, image)


async def test_given_attached_settings_and_a_pipeline_of_functions_that_registers_nothing_when_it_is_promoted_then_it_serves(
    tides: OwnApp,
) -> None:
    status = await tides.promoted()
    assert "no other having begun while the task ran" in summary_of(status, StageName.pipeline)
    assert status.endpoints[-1].package == status.package
    assert tides.answer("tides") == pytest.approx(21.0)


async def test_given_a_v1_app_of_json_and_a_pipeline_by_the_sdk_when_it_is_promoted_then_it_serves(shells: OwnApp) -> None:
    status = await shells.promoted()
    assert "its ARN in the task's log" in summary_of(status, StageName.pipeline)
    assert status.endpoints[-1].package == status.package
    assert shells.answer("shells") == pytest.approx(34.0, abs=1.5)
