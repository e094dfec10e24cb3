"""Client tokens that a later release must make again: another one would have the same effect twice."""

from __future__ import annotations

import json

from temporalio.testing import ActivityEnvironment

from activities.pipelines.activities import client_token
from activities.tasks.activities import run_request
from activities.tasks.messages import RegisteredTaskDefinition, RunTask
from slipway.app.pipecd import EcsApp
from slipway.app.taskdef import parse_taskdef, taskdef_hash
from slipway.names import short_hash

CLUSTER = "arn:aws:ecs:us-east-1:222222222222:cluster/ml"
TASKDEF = """
family: screening
containerDefinitions:
  - {name: pipeline, image: "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening@sha256:1"}
cpu: 256
memory: 512
"""


def test_given_a_task_when_it_is_run_then_every_argument_is_that_of_every_release() -> None:
    """ECS takes a client token again only with the same arguments."""
    definition = RegisteredTaskDefinition(
        arn="arn:aws:ecs:us-east-1:222222222222:task-definition/screening:7", containers=("pipeline",), reused=False
    )
    run = RunTask(promotion_id="screening-1", attempt=2, task_definition=definition, ecs=EcsApp(cluster_arn=CLUSTER))
    assert run_request(run, CLUSTER)["clientToken"] == "beb11bc6fb96399921c05ab56231597a2f4a5a6e14905ab96215c93b079ec5b4"
    assert short_hash("arguments", 1, json.dumps(run_request(run, CLUSTER), sort_keys=True)) == "625614cbca3a"


def test_given_a_step_on_an_execution_when_it_is_made_then_its_token_is_that_of_every_release() -> None:
    token = ActivityEnvironment().run(client_token, "arn:aws:sagemaker:us-east-1:1:pipeline/x/execution/y")
    assert token == "609da0e457cbee02db55103b6a20c046063f453b0d4541c3a61378a971387419"


def test_given_a_task_definition_when_it_is_tagged_then_its_hash_is_that_of_every_release() -> None:
    assert taskdef_hash(parse_taskdef(TASKDEF)) == "7f8355290e1239789539983f4fe60bcde65368f2cb8c095416e214f1a12098b6"
