from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.model import StructureShape
from botocore.parsers import ResponseParserFactory
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.protocol.refusals import refusal_for
from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit.contract import behaviour


def assumed(sandbox: SandboxProcess, account: str, other: str) -> boto3.session.Session:
    """A session with a role of another account."""
    role = f"arn:aws:iam::{other}:role/slipway-rollout"
    keys = sandbox.client("sts", account).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.session.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1")


def test_given_two_accounts_when_one_has_a_bucket_then_the_other_does_not_list_it(sandbox: SandboxProcess, account: str) -> None:
    sandbox.client("s3", account).create_bucket(Bucket=f"data-{account}")

    assert sandbox.client("s3", fresh_account()).list_buckets()["Buckets"] == []


@behaviour(
    "Around the services",
    "accounts",
    like="kept apart, and so are regions; AssumeRole leads into the role's account",
    differs="an access key of twelve digits *is* an account; one that is not known is the default account's",
)
def test_given_an_assumed_role_when_it_calls_then_it_acts_in_the_roles_account(sandbox: SandboxProcess, account: str) -> None:
    other = fresh_account()
    session = assumed(sandbox, account, other)

    sts: Any = session.client("sts", endpoint_url=sandbox.endpoint)  # pyright: ignore[reportUnknownMemberType]
    ecr: Any = session.client("ecr", endpoint_url=sandbox.endpoint)  # pyright: ignore[reportUnknownMemberType]

    assert sts.get_caller_identity()["Account"] == other
    assert ecr.create_repository(repositoryName="app")["repository"]["registryId"] == other


def test_given_s3_calls_when_the_log_is_read_then_each_has_its_own_name(sandbox: SandboxProcess, account: str) -> None:
    s3, bucket = sandbox.client("s3", account), f"log-{account}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/a/b c")
    s3.list_objects_v2(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"y")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}]})

    assert [call["operation"] for call in sandbox.calls("s3", account=account)] == [
        "CreateBucket",
        "PutObject",
        "CopyObject",
        "ListObjectsV2",
        "CreateMultipartUpload",
        "UploadPart",
        "DeleteObjects",
    ]


@behaviour(
    "Around the services",
    "presigned URLs",
    like="the signer's account; an upload is the call that it stands for",
)
def test_given_a_presigned_url_when_it_is_fetched_then_it_is_the_signers_account(sandbox: SandboxProcess, account: str) -> None:
    s3, bucket = sandbox.client("s3", account), f"signed-{account}"
    s3.create_bucket(Bucket=bucket)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    httpx.put(url, content=b"hello", trust_env=False).raise_for_status()

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    assert sandbox.counts(account)["s3.PutObject"] == 1


@pytest.mark.parametrize(
    ("service", "method", "arguments"),
    [
        ("ecr", "describe_pull_through_cache_rules", {}),
        ("kms", "describe_custom_key_stores", {}),
        ("sqs", "list_message_move_tasks", {"SourceArn": "arn:aws:sqs:us-east-1:111111111111:q"}),
        ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["s3:GetObject"]}),
        ("ec2", "describe_fpga_images", {}),
        ("cloudwatch", "delete_anomaly_detector", {}),
        ("bedrock", "list_foundation_models", {}),
        ("route53", "list_traffic_policies", {}),
        ("ecr-public", "describe_registries", {}),
        ("sagemaker-featurestore-runtime", "get_record", {"FeatureGroupName": "f", "RecordIdentifierValueAsString": "r"}),
    ],
)
@behaviour(
    "Around the services",
    "what is not there",
    differs="answers `NotImplemented`, in the protocol of its service",
)
def test_given_an_operation_that_nobody_answers_when_it_is_called_then_the_client_reads_not_implemented(
    sandbox: SandboxProcess, account: str, service: str, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(sandbox.client(service, account), method)(**arguments)

    assert caught.value.response["Error"]["Code"] == "NotImplemented"  # pyright: ignore[reportTypedDictNotRequiredAccess]


def failing(environ: dict[str, Any]) -> httpx.Response:
    """The answer to a call of a service in which moto makes a mistake."""
    response = refusal_for(
        {"REQUEST_METHOD": "POST", **environ}, environ["service"], AwsError("InternalFailure", "a <mistake>", 500)
    )
    return httpx.Response(response.status_code, headers=dict(response.headers), content=response.get_data())


@pytest.mark.parametrize(
    ("service", "protocol", "environ"),
    [
        ("kms", "json", {"HTTP_X_AMZ_TARGET": "TrentService.ListKeys"}),
        ("iam", "query", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}),
        ("ec2", "ec2", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}),
        ("s3", "rest-xml", {}),
        ("route53", "rest-xml", {}),
        ("lambda", "rest-json", {}),
        ("cloudwatch", "smithy-rpc-v2-cbor", {"HTTP_SMITHY_PROTOCOL": "rpc-v2-cbor"}),
        ("sqs", "json", {"HTTP_X_AMZ_TARGET": "AmazonSQS.SendMessage"}),
    ],
)
def test_given_a_mistake_of_the_sandbox_when_it_is_told_then_each_protocols_client_can_read_it(
    service: str, protocol: str, environ: dict[str, Any]
) -> None:
    answer = failing({**environ, "service": service})
    parser: Any = ResponseParserFactory().create_parser(protocol)

    parsed = parser.parse(
        {"status_code": answer.status_code, "headers": dict(answer.headers), "body": answer.content},
        StructureShape("none", {"type": "structure", "members": {}}),
    )

    assert answer.status_code == 500
    assert parsed["Error"] | {"Code": "InternalFailure", "Message": "a <mistake>"} == parsed["Error"]


def test_given_faults_on_s3_when_an_object_is_put_then_the_error_is_s3s(sandbox: SandboxProcess, account: str) -> None:
    s3, bucket = sandbox.client("s3", account), f"slow-{account}"
    s3.create_bucket(Bucket=bucket)
    sandbox.plant_fault("s3", "PutObject", "throttle", account=account)

    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert caught.value.response["Error"]["Code"] == "SlowDown"  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_given_a_refused_call_when_the_log_is_read_then_it_has_awss_code(sandbox: SandboxProcess, account: str) -> None:
    with pytest.raises(ClientError):
        sandbox.client("s3", account).head_bucket(Bucket=f"none-{account}")
    with pytest.raises(ClientError):
        sandbox.client("iam", account).get_role(RoleName="nobody")

    assert [call["error"] for call in sandbox.calls(account=account)] == ["404", "NoSuchEntity"]
