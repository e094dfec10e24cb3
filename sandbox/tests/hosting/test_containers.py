"""What a container of a model has, and what becomes of it."""

from __future__ import annotations

import json

import httpx
from slipway_sandbox.testing import wait_until

from sandbox.testkit.contract import behaviour
from sandbox.testkit.hosting import ROLE, Hosted, push_server


def test_given_a_container_that_exits_when_an_endpoint_is_created_then_it_failed_and_its_log_tells_why(hosted: Hosted) -> None:
    shown = hosted.serve("broken", exits=True)
    assert shown["EndpointStatus"] == "Failed"
    assert "AllTraffic did not pass the ping health check" in shown["FailureReason"]
    logs = hosted.sandbox.client("logs", hosted.account)

    def messages() -> list[str]:
        events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/ep")["events"]
        return [event["message"] for event in events]

    wait_until(lambda: "this model does not load" in messages(), "the log of the model's failure")
    assert "serving broken as serve" in messages()


@behaviour(
    "Around an endpoint",
    "containers",
    like="`serve` as the command, `/opt/ml/model` from the artifact (a `tar.gz`, or objects as they are), variables of package "
    "and model, `/ping` until 200, started again when it exits, logs in `/aws/sagemaker/Endpoints/<name>`; "
    "pipelines of up to 15; "
    "a container listens on 8080, and several of one model where `SAGEMAKER_BIND_TO_PORT` says, if their images have the label "
    "`com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true`",
    differs="several without the label serve, too; listening on 8080 takes network namespaces, and the creation fails where the "
    "machine forbids them; such a container reaches nothing but this sandbox; a container has at least 20 s of real time to "
    "become healthy, and may exit twice before; the old fleet answers what it has begun before it ends",
)
def test_given_two_images_that_insist_on_8080_when_their_endpoint_is_created_then_both_serve_side_by_side(hosted: Hosted) -> None:
    image = push_server(hosted.sandbox, hosted.account, labelled=False)
    containers = [{**hosted.container(name, image), "ContainerHostname": name} for name in ("first", "second")]
    hosted.sagemaker.create_model(
        ModelName="both", Containers=containers, InferenceExecutionConfig={"Mode": "Direct"}, ExecutionRoleArn=ROLE
    )
    hosted.config("both", "both")
    assert hosted.create("both")["EndpointStatus"] == "InService"
    answers = [hosted.ask(TargetContainerHostname=name)["said"] for name in ("first", "second")]
    assert [answer["model"] for answer in answers] == ["first", "second"]
    assert httpx.get(answers[0]["credentials"], trust_env=False).status_code == 200


def test_given_the_label_of_any_port_when_a_container_is_alone_then_it_is_told_no_port_and_serves_on_8080(hosted: Hosted) -> None:
    hosted.serve("one")
    assert hosted.ask()["said"]["port"] is None


def test_given_no_artifact_when_an_endpoint_is_created_then_the_reason_names_it(hosted: Hosted) -> None:
    hosted.model("one")
    hosted.s3.delete_object(Bucket=hosted.bucket, Key="one.tar.gz")
    hosted.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="one")
    shown = hosted.until(lambda shown: shown["EndpointStatus"] == "Failed", "Failed")
    assert shown["FailureReason"] == (
        f'Failed to download model data for container "container_1" from URL: "s3://{hosted.bucket}/one.tar.gz". '
        "Please ensure that there is an object located at the URL and that the role passed to CreateModel has permissions to "
        "download the object."
    )


def test_given_a_container_that_dies_when_it_is_invoked_later_then_it_runs_again(hosted: Hosted) -> None:
    hosted.serve("one")
    assert hosted.refusal("exit")["Error"]["Code"] == "ModelError"
    wait_until(lambda: hosted.outcome() == "one", "an answer of the container that was started again")


def make_pipeline(hosted: Hosted, mode: str) -> None:
    """An endpoint whose model is a pipeline of two containers."""
    containers = [{**hosted.container(name), "ContainerHostname": name} for name in ("first", "second")]
    hosted.sagemaker.create_model(
        ModelName="both", Containers=containers, InferenceExecutionConfig={"Mode": mode}, ExecutionRoleArn=ROLE
    )
    hosted.config("both", "both")
    assert hosted.create("both")["EndpointStatus"] == "InService"


def test_given_a_serial_pipeline_when_it_is_invoked_then_each_container_gets_what_the_one_before_said(hosted: Hosted) -> None:
    make_pipeline(hosted, "Serial")
    said = hosted.ask()["said"]
    assert (said["model"], said["type"]) == ("second", "application/json")
    assert json.loads(said["asked"])["model"] == "first"


def test_given_a_direct_pipeline_when_a_container_is_named_then_it_answers_alone(hosted: Hosted) -> None:
    make_pipeline(hosted, "Direct")
    said = hosted.ask(TargetContainerHostname="second")["said"]
    assert (said["model"], said["asked"]) == ("second", "1,2")
    assert "TargetContainerHostname" in hosted.refusal("1,2")["Error"]["Message"]
    assert hosted.refusal("1,2", TargetContainerHostname="third")["Error"]["Code"] == "ValidationError"


def test_given_objects_as_they_are_when_an_endpoint_serves_them_then_the_container_finds_them(hosted: Hosted) -> None:
    hosted.s3.put_object(Bucket=hosted.bucket, Key="plain/model.json", Body=json.dumps({"name": "plain"}).encode())
    source = {"S3Uri": f"s3://{hosted.bucket}/plain/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": hosted.image, "ModelDataSource": {"S3DataSource": source}}
    hosted.sagemaker.create_model(ModelName="plain", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    hosted.config("plain", "plain")
    assert hosted.create("plain")["EndpointStatus"] == "InService"
    assert hosted.ask()["said"]["model"] == "plain"


@behaviour(
    "Around an endpoint",
    "credentials",
    like="of the model's execution role, by AssumeRole; none where the model is isolated from the network",
)
def test_given_an_execution_role_when_a_container_serves_then_it_finds_the_roles_credentials(hosted: Hosted) -> None:
    hosted.serve("one")
    where = hosted.ask()["said"]["credentials"]
    assert httpx.get(where, trust_env=False).json()["RoleArn"] == ROLE
