"""Endpoints whose containers really run: a tiny model server in an image of this machine's own Python."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.testing import SandboxProcess, fresh_account, wait_until
from slipway_sandbox.testing_contract import behaviour
from slipway_sandbox.testing_hosting import ROLE, Hosted, push_server


@pytest.fixture(scope="module")
def image(sandbox: SandboxProcess) -> str:
    """The server's image in a registry that all tests share."""
    return push_server(sandbox, fresh_account())


@pytest.fixture
def hosted(sandbox: SandboxProcess, account: str, image: str) -> Iterator[Hosted]:
    yield Hosted(sandbox, account, image)
    sandbox.reset(account)


def test_given_an_endpoint_in_service_when_it_is_invoked_then_the_models_own_container_answers(hosted: Hosted) -> None:
    shown = hosted.serve("one")
    assert shown["EndpointStatus"] == "InService", shown
    answer = hosted.ask(Accept="application/json", CustomAttributes="trace=7")
    expected = {"model": "one", "greeting": "hello", "accept": "application/json", "type": "text/csv"}
    assert expected.items() <= answer["said"].items()
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("AllTraffic", "trace=7")
    image = shown["ProductionVariants"][0]["DeployedImages"][0]
    assert image["SpecifiedImage"] == hosted.image
    assert image["ResolvedImage"].startswith(hosted.image.removesuffix(":1") + "@sha256:")


def test_given_an_invocation_when_the_call_log_is_read_then_it_is_there_without_its_payload(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.ask("secret")
    calls = hosted.sandbox.calls("sagemaker-runtime", "InvokeEndpoint", hosted.account)
    assert [call["request"]["EndpointName"] for call in calls] == ["ep"]
    assert "secret" not in json.dumps(calls)


def test_given_a_canary_of_a_quarter_when_it_is_watched_then_a_quarter_of_the_requests_reaches_it(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    hosted.update("two", wait=150, bake=30)
    hosted.until_canary()
    assert Counter(hosted.ask()["said"]["model"] for _ in range(20)) == {"one": 15, "two": 5}
    assert hosted.until_in_service()["EndpointConfigName"] == "two"
    assert hosted.ask()["said"]["model"] == "two"


def test_given_requests_without_pause_when_an_endpoint_is_updated_then_none_is_lost(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    seen: Counter[str] = Counter()
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            seen[hosted.outcome()] += 1

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    hosted.update("two", wait=60)
    hosted.until_in_service()
    over.set()
    for client in clients:
        client.join()
    assert set(seen) == {"one", "two"}


def test_given_a_canary_that_errs_when_its_alarm_trips_then_the_old_model_serves_again(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("errs", status=500)
    dimensions = [{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    hosted.cloudwatch.put_metric_alarm(
        AlarmName="ep-5xx",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=dimensions,
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosted.update("errs", wait=1800, alarm="ep-5xx")
    hosted.until_canary()
    assert "ModelError" in [hosted.outcome() for _ in range(4)]
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "ep-5xx" in shown["FailureReason"]
    assert {hosted.ask()["said"]["model"] for _ in range(4)} == {"one"}


def test_given_a_model_that_refuses_when_it_is_invoked_then_its_own_status_and_words_come_back(hosted: Hosted) -> None:
    hosted.serve("one")
    refused = hosted.refusal("bad")
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (refused["OriginalStatusCode"], refused["OriginalMessage"]) == (400, "no such features")
    assert refused["LogStreamArn"].endswith("/aws/sagemaker/Endpoints/ep")
    assert "Received client error (400) from primary" in refused["Error"]["Message"]


def test_given_no_such_endpoint_when_it_is_invoked_then_it_is_refused_in_awss_words(hosted: Hosted) -> None:
    error = hosted.refusal("1,2", EndpointName="missing")["Error"]
    assert error == {"Code": "ValidationError", "Message": f"Endpoint missing of account {hosted.account} not found."}


def test_given_a_throttled_runtime_when_it_is_invoked_then_the_fault_strikes(hosted: Hosted) -> None:
    hosted.sandbox.plant_fault("sagemaker-runtime", "InvokeEndpoint", "throttle", account=hosted.account)
    assert hosted.refusal("1,2")["Error"]["Code"] == "ThrottlingException"


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


def test_given_an_update_to_a_container_that_exits_when_it_ends_then_the_old_model_serves(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("broken", exits=True)
    hosted.update("broken")
    shown = hosted.until_in_service()
    assert (shown["EndpointConfigName"], "ping health check" in shown["FailureReason"]) == ("one", True)
    assert hosted.ask()["said"]["model"] == "one"


@behaviour(
    "Around an endpoint",
    "containers",
    like="`serve` as the command, `/opt/ml/model` from the artifact (a `tar.gz`, or objects as they are), variables of package "
    "and model, `/ping` until 200, started again when it exits, logs in `/aws/sagemaker/Endpoints/<name>`; "
    "pipelines of up to 15; "
    "an image listens on 8080 unless its label `com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true` says that it "
    "takes `SAGEMAKER_BIND_TO_PORT`",
    differs="listening on 8080 takes network namespaces, and the creation fails where the machine forbids them; such a container "
    "reaches nothing but this sandbox; a container has 20 s of true time at least to become healthy, and may exit twice before; "
    "the old fleet answers what it has begun before it ends",
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


def test_given_no_artifact_when_an_endpoint_is_created_then_the_reason_names_it(hosted: Hosted) -> None:
    hosted.model("one")
    hosted.s3.delete_object(Bucket=hosted.bucket, Key="one.tar.gz")
    hosted.sagemaker.create_endpoint(EndpointName="ep", EndpointConfigName="one")
    shown = hosted.until(lambda shown: shown["EndpointStatus"] == "Failed", "Failed")
    assert shown["FailureReason"] == f"Could not find model data at s3://{hosted.bucket}/one.tar.gz."


def test_given_a_container_that_dies_when_it_is_invoked_later_then_it_runs_again(hosted: Hosted) -> None:
    hosted.serve("one")
    assert hosted.refusal("exit")["Error"]["Code"] == "ModelError"
    wait_until(lambda: hosted.outcome() == "one", "an answer of the container that was started again")


def test_given_a_dial_for_a_silent_rollback_when_an_endpoint_is_updated_then_the_old_configuration_stays(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    hosted.sandbox.control("POST", "sagemaker/dials", {"endpoint": "ep", "kind": "rollback", "account": hosted.account})
    hosted.update("two")
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "FailureReason" not in shown


def test_given_invocations_when_cloudwatch_is_asked_then_it_counted_them(hosted: Hosted) -> None:
    hosted.serve("one")
    for _ in range(3):
        hosted.ask()
    wait_until(lambda: hosted.metric("Invocations") == 3, "three invocations in CloudWatch")


def test_given_a_shadow_variant_when_requests_come_then_it_gets_copies_and_nobody_sees_its_answers(hosted: Hosted) -> None:
    for name in ("main", "shadow"):
        hosted.sagemaker.create_model(ModelName=name, PrimaryContainer=hosted.container(name), ExecutionRoleArn=ROLE)
    sized = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    shadow = {"VariantName": "Shadow", "ModelName": "shadow", "InitialVariantWeight": 0.5, **sized}
    hosted.config("shadowed", "main", ShadowProductionVariants=[shadow])
    shown = hosted.create("shadowed")
    assert [variant["VariantName"] for variant in shown["ShadowProductionVariants"]] == ["Shadow"]
    assert {hosted.ask()["said"]["model"] for _ in range(4)} == {"main"}
    wait_until(lambda: hosted.metric("Invocations", "Shadow") == 2, "two copies in CloudWatch")


def test_given_a_serverless_endpoint_when_more_requests_come_than_it_may_answer_then_they_are_throttled(hosted: Hosted) -> None:
    hosted.sagemaker.create_model(ModelName="one", PrimaryContainer=hosted.container("one"), ExecutionRoleArn=ROLE)
    hosted.config("serverless", "one", {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}})
    shown = hosted.create("serverless")["ProductionVariants"][0]
    assert shown["CurrentServerlessConfig"]["MaxConcurrency"] == 1
    assert "CurrentInstanceCount" not in shown
    with ThreadPoolExecutor(3) as clients:
        outcomes = set(clients.map(hosted.outcome, ["wait 2"] * 3))
    assert outcomes == {"one", "ThrottlingException"}
    assert hosted.outcome() == "one"


def make_async(hosted: Hosted, **output: object) -> None:
    """An asynchronous endpoint in service."""
    hosted.sagemaker.create_model(ModelName="one", PrimaryContainer=hosted.container("one"), ExecutionRoleArn=ROLE)
    paths = {"S3OutputPath": f"s3://{hosted.bucket}/out", "S3FailurePath": f"s3://{hosted.bucket}/failed", **output}
    hosted.config("later", "one", AsyncInferenceConfig={"OutputConfig": paths})
    assert hosted.create("later")["EndpointStatus"] == "InService"


def test_given_an_asynchronous_endpoint_when_it_is_invoked_then_the_answer_is_in_s3(hosted: Hosted) -> None:
    make_async(hosted)
    hosted.s3.put_object(Bucket=hosted.bucket, Key="in.csv", Body=b"1,2")
    answer = hosted.runtime.invoke_endpoint_async(
        EndpointName="ep", InputLocation=f"s3://{hosted.bucket}/in.csv", ContentType="text/csv", InferenceId="mine"
    )
    assert answer["InferenceId"] == "mine"
    key = answer["OutputLocation"].removeprefix(f"s3://{hosted.bucket}/")
    wait_until(lambda: hosted.keys("out") == [key], "the answer")
    said = json.loads(hosted.read(key))
    assert (said["model"], said["asked"], said["type"]) == ("one", "1,2", "text/csv")


def test_given_an_asynchronous_request_when_the_model_refuses_it_then_its_words_are_at_the_failure_location(
    hosted: Hosted,
) -> None:
    make_async(hosted)
    answer = hosted.runtime.invoke_endpoint_async(EndpointName="ep", Body=b"bad")
    key = answer["FailureLocation"].removeprefix(f"s3://{hosted.bucket}/")
    wait_until(lambda: hosted.keys("failed") == [key], "the failure")
    assert hosted.read(key) == "no such features"
    assert hosted.keys("out") == []


def test_given_a_topic_when_an_asynchronous_request_is_done_then_sns_tells_where_the_answer_is(hosted: Hosted) -> None:
    sns, sqs = hosted.sandbox.client("sns", hosted.account), hosted.sandbox.client("sqs", hosted.account)
    topic, queue = sns.create_topic(Name="done")["TopicArn"], sqs.create_queue(QueueName="done")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{hosted.account}:done")
    make_async(hosted, NotificationConfig={"SuccessTopic": topic})
    answer = hosted.runtime.invoke_endpoint_async(EndpointName="ep", Body=b"1,2")
    messages: list[dict[str, str]] = []

    def told() -> bool:
        messages.extend(sqs.receive_message(QueueUrl=queue).get("Messages", []))
        return bool(messages)

    wait_until(told, "a message")
    message = json.loads(json.loads(messages[0]["Body"])["Message"])
    assert (message["invocationStatus"], message["inferenceId"]) == ("Completed", answer["InferenceId"])
    assert message["responseParameters"]["outputLocation"] == answer["OutputLocation"]


def test_given_an_asynchronous_endpoint_when_it_is_to_answer_at_once_then_it_refuses(hosted: Hosted) -> None:
    make_async(hosted)
    error = hosted.refusal("1,2")["Error"]
    assert (error["Code"], "InvokeEndpointAsync" in error["Message"]) == ("ValidationError", True)


def test_given_a_data_capture_when_an_endpoint_is_invoked_then_a_line_of_json_is_in_s3(hosted: Hosted) -> None:
    hosted.sagemaker.create_model(ModelName="one", PrimaryContainer=hosted.container("one"), ExecutionRoleArn=ROLE)
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": f"s3://{hosted.bucket}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    hosted.config("captured", "one", DataCaptureConfig=capture)
    shown = hosted.create("captured")["DataCaptureConfig"]
    assert (shown["CaptureStatus"], shown["CurrentSamplingPercentage"]) == ("Started", 50)
    for number in range(4):
        hosted.ask(f"{number},{number}", InferenceId=f"id-{number}")
    lines: list[str] = []

    def stored() -> bool:
        lines[:] = [line for key in hosted.keys("captured") for line in hosted.read(key).splitlines()]
        return len(lines) >= 2

    wait_until(stored, "two captured requests")
    assert hosted.keys("captured")[0].startswith(f"captured/ep/AllTraffic/{datetime.now(UTC):%Y/}")
    kept = json.loads(lines[0])
    assert kept["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "1,1",
        "encoding": "CSV",
    }
    assert (kept["captureData"]["endpointOutput"]["encoding"], kept["eventMetadata"]["inferenceId"]) == ("JSON", "id-1")
    assert len(lines) == 2


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


@behaviour(
    "Around an endpoint",
    "InvokeEndpointWithResponseStream",
    like="the model's parts as events of AWS's event stream, as they come",
    differs="inference pipelines do not stream",
)
def test_given_a_model_that_answers_in_parts_when_the_stream_is_asked_for_then_each_part_is_an_event(hosted: Hosted) -> None:
    hosted.serve("one")
    answer = hosted.runtime.invoke_endpoint_with_response_stream(EndpointName="ep", Body=b"parts", ContentType="text/csv")
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert [event["PayloadPart"]["Bytes"] for event in answer["Body"]] == [b"one ", b"two ", b"three"]


def test_given_a_model_that_refuses_when_the_stream_is_asked_for_then_its_words_come_back(hosted: Hosted) -> None:
    hosted.serve("one")
    with pytest.raises(ClientError) as refused:
        hosted.runtime.invoke_endpoint_with_response_stream(EndpointName="ep", Body=b"bad")
    assert refused.value.response["Error"]["Code"] == "ModelError"  # pyright: ignore[reportTypedDictNotRequiredAccess]


@behaviour(
    "Around an endpoint",
    "restart and snapshots",
    like="an endpoint in service serves again as soon as its containers do, and requests wait for that; an update that was under "
    "way is rolled back with a reason",
    differs="asynchronous requests that wait are lost; an endpoint whose containers do not come up again stays InService and "
    "answers 503",
)
def test_given_a_snapshot_when_it_is_restored_then_the_endpoint_serves_what_it_served_then(hosted: Hosted) -> None:
    hosted.serve("one")
    name = f"served-{hosted.account}"
    hosted.sandbox.take_snapshot(name, hosted.account)
    hosted.sagemaker.delete_endpoint(EndpointName="ep")
    hosted.sandbox.restore_snapshot(name)
    assert hosted.sagemaker.describe_endpoint(EndpointName="ep")["EndpointStatus"] == "InService"
    assert hosted.ask()["said"]["model"] == "one"


@behaviour(
    "Around an endpoint",
    "metrics",
    like="Invocations, InvocationsPerInstance, Invocation4XXErrors, Invocation5XXErrors, InvocationModelErrors, ModelLatency and "
    "OverheadLatency, by endpoint and variant, and by EndpointConfigName too",
    differs="no metrics of instances; CloudWatch lists only the series with EndpointConfigName, and answers with it where that "
    "is not named",
)
@behaviour(
    "Around an endpoint",
    "alarms",
    like="metric alarms on AWS/SageMaker, of one fleet (EndpointConfigName) too: statistics, percentiles, trimmed means, M of N, "
    "missing data, metric math of operators, IF, FILL, SUM, AVG, MIN and MAX; `CloudWatch Alarm State Change` events, also for a "
    "state that was set by hand",
    differs="a period slides, and lasts 1 s of true time at least; a state set by SetAlarmState stays until the metric changes "
    "its mind; alarms of other namespaces, anomaly bands and composite rules are not evaluated; no alarm actions; "
    "DescribeAlarmHistory is not there; accounts without endpoints are not looked at",
)
def test_given_an_alarm_on_one_fleet_by_metric_math_when_it_errs_then_cloudwatch_and_eventbridge_say_so(hosted: Hosted) -> None:
    hosted.serve("errs", status=500)
    dimensions = [
        {"Name": "EndpointName", "Value": "ep"},
        {"Name": "VariantName", "Value": "AllTraffic"},
        {"Name": "EndpointConfigName", "Value": "errs"},
    ]
    metrics = [
        {
            "Id": name,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                "Period": 600,
                "Stat": "Sum",
            },
        }
        for name, metric in (("e", "Invocation5XXErrors"), ("n", "Invocations"))
    ]
    hosted.cloudwatch.put_metric_alarm(
        AlarmName="rate",
        Metrics=[*metrics, {"Id": "rate", "Expression": "100 * e / n", "ReturnData": True}],
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
    )

    def state() -> str:
        return hosted.cloudwatch.describe_alarms(AlarmNames=["rate"])["MetricAlarms"][0]["StateValue"]

    wait_until(lambda: state() == "INSUFFICIENT_DATA", "an alarm without data")
    assert hosted.outcome() == "ModelError"
    wait_until(lambda: state() == "ALARM", "the alarm")
