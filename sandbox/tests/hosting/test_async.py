"""Requests that are answered later."""

from __future__ import annotations

import json

from slipway_sandbox.testing import wait_until

from sandbox.testkit.hosting import ROLE, Hosted


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
