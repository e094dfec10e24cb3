"""ECR, call by call: repositories and registries."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from sandbox.testkit.contract import Aws, contract

MISSING = "RepositoryNotFoundException"
INVALID = "InvalidParameterException"
BAD_NAME = "No/Capitals"
WRONG_TAGS = ("InvalidTagParameterException", "TooManyTagsException")
RESERVED = [{"Key": "aws:team", "Value": "one"}]
MANY = [{"Key": f"key-{number}", "Value": ""} for number in range(51)]
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "pull", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}],
    }
)


@contract("ecr", "CreateRepository", errors=("RepositoryAlreadyExistsException", INVALID, *WRONG_TAGS))
@contract("ecr", "DescribeRepositories", errors=(MISSING, INVALID))
@contract("ecr", "DeleteRepository", errors=(MISSING, INVALID))
def test_repositories(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    created = ecr.create_repository(repositoryName=name)["repository"]
    assert created["repositoryUri"] == f"{aws.account}.dkr.ecr.{aws.region}.amazonaws.com/{name}"
    with aws.refused("RepositoryAlreadyExistsException", match="already exists in the registry"):
        ecr.create_repository(repositoryName=name)
    with aws.refused(INVALID, match="repositoryName"):
        ecr.create_repository(repositoryName=BAD_NAME)
    for tags, code in ((RESERVED, WRONG_TAGS[0]), (MANY, WRONG_TAGS[1])):
        with aws.refused(code, match="tag"):
            ecr.create_repository(repositoryName=f"{name}-tagged", tags=tags)
    assert ecr.describe_repositories(repositoryNames=[name])["repositories"] == [created]
    with aws.refused(INVALID, match="repositoryNames"):
        ecr.describe_repositories(repositoryNames=[BAD_NAME])
    with aws.refused(INVALID, match="repositoryName"):
        ecr.delete_repository(repositoryName=BAD_NAME)
    assert ecr.delete_repository(repositoryName=name)["repository"]["repositoryName"] == name
    with aws.refused(MISSING, match=f"'{name}' does not exist in the registry"):
        ecr.delete_repository(repositoryName=name)
    with aws.refused(MISSING, match=name):
        ecr.describe_repositories(repositoryNames=[name])


@contract("ecr", "CreateRepository", errors=("LimitExceededException",))
def test_the_quota_of_repositories(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    ecr.create_repository(repositoryName=name)
    with (
        aws.quota("ecr", "Registered repositories", 1),
        aws.refused("LimitExceededException", match="maximum allowed number of repositories which is '1'"),
    ):
        ecr.create_repository(repositoryName=f"{name}-2")
    ecr.delete_repository(repositoryName=name)


@contract("ecr", "GetAuthorizationToken", errors=(INVALID,))
def test_get_authorization_token(aws: Aws) -> None:
    ecr = aws.client("ecr")
    data = ecr.get_authorization_token()["authorizationData"][0]
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")
    assert timedelta(hours=11) < data["expiresAt"] - datetime.now(UTC) <= timedelta(hours=12, minutes=1)
    with aws.refused(INVALID):
        ecr.get_authorization_token(registryIds=["short"])


@contract("ecr", "SetRepositoryPolicy", errors=(MISSING, INVALID))
@contract("ecr", "GetRepositoryPolicy", errors=(MISSING, INVALID, "RepositoryPolicyNotFoundException"))
@contract("ecr", "DeleteRepositoryPolicy", errors=(MISSING, INVALID, "RepositoryPolicyNotFoundException"))
def test_repository_policies(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    ecr.create_repository(repositoryName=name)
    for call in (ecr.get_repository_policy, ecr.delete_repository_policy):
        with aws.refused("RepositoryPolicyNotFoundException", match="Repository policy does not exist"):
            call(repositoryName=name)
        with aws.refused(INVALID):
            call(repositoryName=BAD_NAME)
        with aws.refused(MISSING):
            call(repositoryName=f"{name}-not")
    ecr.set_repository_policy(repositoryName=name, policyText=POLICY)
    with aws.refused(INVALID):
        ecr.set_repository_policy(repositoryName=BAD_NAME, policyText=POLICY)
    with aws.refused(MISSING):
        ecr.set_repository_policy(repositoryName=f"{name}-not", policyText=POLICY)
    with aws.refused(INVALID, match="Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy"):
        ecr.set_repository_policy(repositoryName=name, policyText="{}")
    assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"]) == json.loads(POLICY)
    ecr.delete_repository_policy(repositoryName=name)
    ecr.delete_repository(repositoryName=name)


@contract("ecr", "PutImageTagMutability", errors=(MISSING, INVALID))
@contract("ecr", "PutImageScanningConfiguration", errors=(MISSING, INVALID))
def test_repository_settings(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    ecr.create_repository(repositoryName=name)
    filters = [{"filterType": "WILDCARD", "filter": "latest*"}]
    ecr.put_image_tag_mutability(
        repositoryName=name, imageTagMutability="IMMUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters
    )
    ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    shown = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert shown["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert shown["imageTagMutabilityExclusionFilters"] == filters
    assert shown["imageScanningConfiguration"] == {"scanOnPush": True}
    with aws.refused(INVALID):
        ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="SOMETIMES")
    with aws.refused(MISSING):
        ecr.put_image_tag_mutability(repositoryName=f"{name}-not", imageTagMutability="MUTABLE")
    with aws.refused(INVALID):
        ecr.put_image_scanning_configuration(repositoryName=BAD_NAME, imageScanningConfiguration={"scanOnPush": True})
    with aws.refused(MISSING):
        ecr.put_image_scanning_configuration(repositoryName=f"{name}-not", imageScanningConfiguration={"scanOnPush": True})
    ecr.delete_repository(repositoryName=name)


@contract("ecr", "TagResource", errors=(MISSING, INVALID, *WRONG_TAGS))
@contract("ecr", "UntagResource", errors=(MISSING, INVALID, "InvalidTagParameterException"))
@contract("ecr", "ListTagsForResource", errors=(MISSING, INVALID))
def test_tags(aws: Aws) -> None:
    ecr, name = aws.client("ecr"), aws.name("repository")
    arn = ecr.create_repository(repositoryName=name)["repository"]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "team", "Value": "one"}, {"Key": "stage", "Value": "test"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["stage"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "one"}]
    for tags, code in ((RESERVED, WRONG_TAGS[0]), (MANY[:50], WRONG_TAGS[1])):
        with aws.refused(code):
            ecr.tag_resource(resourceArn=arn, tags=tags)
    with aws.refused(WRONG_TAGS[0]):
        ecr.untag_resource(resourceArn=arn, tagKeys=["aws:team"])
    for wrong, code in ((f"{arn}-not", MISSING), ("no-arn", INVALID)):
        with aws.refused(code):
            ecr.tag_resource(resourceArn=wrong, tags=[{"Key": "team", "Value": "one"}])
        with aws.refused(code):
            ecr.untag_resource(resourceArn=wrong, tagKeys=["team"])
        with aws.refused(code):
            ecr.list_tags_for_resource(resourceArn=wrong)
    ecr.delete_repository(repositoryName=name)


@contract("ecr", "PutAccountSetting", errors=(INVALID,))
@contract("ecr", "GetAccountSetting", errors=(INVALID,))
def test_account_settings(aws: Aws) -> None:
    ecr = aws.client("ecr")
    before = ecr.get_account_setting(name="BLOB_MOUNTING")["value"]
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert ecr.get_account_setting(name="BLOB_MOUNTING") | {"ResponseMetadata": None} == {
        "name": "BLOB_MOUNTING",
        "value": "ENABLED",
        "ResponseMetadata": None,
    }
    ecr.put_account_setting(name="BLOB_MOUNTING", value=before)
    with aws.refused(INVALID):
        ecr.get_account_setting(name="NO_SUCH_SETTING")
    for name, value in (("NO_SUCH_SETTING", "ENABLED"), ("BLOB_MOUNTING", "PERHAPS")):
        with aws.refused(INVALID):
            ecr.put_account_setting(name=name, value=value)
