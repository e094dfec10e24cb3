"""What a role may is what its policies say."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account
from slipway_sandbox.testing.iam import Acting, RoleMaker, allow, client, deny, document, refusal_of

from sandbox.testkit.contract import behaviour

Act = Callable[..., Acting]
TASK = [{"name": "main", "image": "alpine", "memory": 128}]


def ecr_arn(account: str, name: str) -> str:
    return f"arn:aws:ecr:us-east-1:{account}:repository/{name}"


@behaviour(
    "Permissions",
    "who is bound",
    differs="roles and users that have a policy in IAM; others, roles that IAM does not know, and an account's own key may do "
    "anything; no service control policies",
)
def test_given_a_role_without_a_policy_when_it_calls_then_it_may(act: Act) -> None:
    assert act().client("ecr").create_repository(repositoryName="any")["repository"]["repositoryName"] == "any"


def test_given_a_policy_when_an_action_is_not_allowed_then_the_error_is_in_awss_words(act: Act, account: str) -> None:
    acting = act(allow("ecr:DescribeRepositories"))

    code, message = refusal_of(acting.client("ecr").create_repository, repositoryName="app")

    assert code == "AccessDeniedException"
    assert message == (
        f"User: {acting.arn} is not authorized to perform: ecr:CreateRepository on resource: {ecr_arn(account, 'app')} "
        "because no identity-based policy allows the ecr:CreateRepository action"
    )


def test_given_an_explicit_deny_when_it_is_allowed_too_then_the_deny_wins(act: Act, account: str) -> None:
    acting = act(allow("ecr:*"), deny("ecr:CreateRepository", ecr_arn(account, "secret-*")))
    ecr = acting.client("ecr")
    ecr.create_repository(repositoryName="app")

    code, message = refusal_of(ecr.create_repository, repositoryName="secret-app")

    assert code == "AccessDeniedException"
    assert message.endswith(f"on resource: {ecr_arn(account, 'secret-app')} with an explicit deny in an identity-based policy")


def test_given_a_resource_when_a_policy_names_another_then_only_that_may_be_used(act: Act, account: str) -> None:
    ecr = act(allow("ecr:CreateRepository", ecr_arn(account, "team-?/*"))).client("ecr")

    assert refusal_of(ecr.create_repository, repositoryName="team-a/app")[0] == ""
    assert refusal_of(ecr.create_repository, repositoryName="team-ab/app")[0] == "AccessDeniedException"


def test_given_not_action_and_not_resource_when_they_allow_then_all_the_rest_may(act: Act, account: str) -> None:
    rest = {"Effect": "Allow", "NotAction": "ecr:Delete*", "NotResource": ecr_arn(account, "held")}
    ecr = act(rest).client("ecr")

    assert refusal_of(ecr.create_repository, repositoryName="app")[0] == ""
    assert refusal_of(ecr.create_repository, repositoryName="held")[0] == "AccessDeniedException"
    assert refusal_of(ecr.delete_repository, repositoryName="app")[0] == "AccessDeniedException"


def test_given_a_managed_policy_when_its_default_version_changes_then_so_does_what_may_be_done(
    sandbox: SandboxProcess, account: str, role: RoleMaker
) -> None:
    iam, acting = sandbox.client("iam", account), role.make([])
    policy = iam.create_policy(PolicyName="p", PolicyDocument=document(allow("ecr:CreateRepository")))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=acting.role.rpartition("/")[2], PolicyArn=policy)
    assert refusal_of(acting.client("ecr").describe_repositories)[0] == "AccessDeniedException"

    iam.create_policy_version(PolicyArn=policy, PolicyDocument=document(allow("ecr:*")), SetAsDefault=True)

    assert refusal_of(acting.client("ecr").describe_repositories)[0] == ""


@behaviour(
    "Permissions",
    "policies",
    like="explicit denies, actions, resources, NotAction and NotResource, permissions boundaries, session policies, "
    "groups', inline and managed ones by their default version; AWS's words, and its codes by protocol",
)
def test_given_a_boundary_when_it_does_not_allow_then_no_policy_helps(
    sandbox: SandboxProcess, account: str, role: RoleMaker
) -> None:
    iam = sandbox.client("iam", account)
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=document(allow("s3:*")))["Policy"]["Arn"]
    acting = role.make([allow("*")], PermissionsBoundary=boundary)

    code, message = refusal_of(acting.client("ecr").describe_repositories)

    assert code == "AccessDeniedException"
    assert message.endswith("because no permissions boundary allows the ecr:DescribeRepositories action")
    assert refusal_of(acting.client("s3").list_buckets)[0] == ""


def test_given_a_session_policy_when_it_does_not_allow_then_the_session_may_less_than_the_role(role: RoleMaker) -> None:
    acting = role.make([allow("ecr:*")])
    session = role.assume(acting.role, Policy=document(allow("ecr:DescribeRepositories")))

    code, message = refusal_of(session.client("ecr").create_repository, repositoryName="app")

    assert code == "AccessDeniedException"
    assert message.endswith("because no session policy allows the ecr:CreateRepository action")
    assert refusal_of(session.client("ecr").describe_repositories)[0] == ""
    assert refusal_of(acting.client("ecr").create_repository, repositoryName="app")[0] == ""


def test_given_a_user_in_a_group_when_it_calls_then_the_groups_policy_binds_it(sandbox: SandboxProcess, account: str) -> None:
    iam = sandbox.client("iam", account)
    user = iam.create_user(UserName="ann")["User"]["Arn"]
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="p", PolicyDocument=document(allow("s3:ListAllMyBuckets")))
    iam.add_user_to_group(GroupName="readers", UserName="ann")
    keys = iam.create_access_key(UserName="ann")["AccessKey"]

    assert client(sandbox, "sts", keys).get_caller_identity()["Arn"] == user
    assert refusal_of(client(sandbox, "s3", keys).list_buckets)[0] == ""
    code, message = refusal_of(client(sandbox, "s3", keys).create_bucket, Bucket=f"b-{account}")
    assert code == "AccessDenied"
    assert message == (
        f'User: {user} is not authorized to perform: s3:CreateBucket on resource: "arn:aws:s3:::b-{account}" '
        "because no identity-based policy allows the s3:CreateBucket action"
    )


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}, False),
        ({"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}, True),
        ({"StringEqualsIfExists": {"aws:RequestTag/team": "ml"}}, True),
        ({"StringEquals": {"aws:RequestTag/team": "ml"}}, False),
        ({"Null": {"aws:RequestTag/team": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/role-*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}, False),
        ({"StringLike": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}, True),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"NumericLessThan": {"aws:EpochTime": "1000"}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}, False),
    ],
    ids=str,
)
@behaviour(
    "Permissions",
    "conditions",
    like="operators with their IfExists, Null, ForAllValues and ForAnyValue; policy variables; tags of the call, the "
    "resource and the principal",
    differs="an operator that is not known is not fulfilled",
)
def test_given_a_condition_when_the_call_fulfils_it_or_not_then_it_decides(
    act: Act, condition: dict[str, Any], allowed: bool
) -> None:
    ecr = act(allow("ecr:DescribeRepositories", **condition)).client("ecr")

    assert refusal_of(ecr.describe_repositories)[0] == ("" if allowed else "AccessDeniedException")


def test_given_tags_in_the_call_and_on_the_resource_when_policies_ask_for_them_then_they_decide(act: Act, account: str) -> None:
    ecr = act(
        allow(["ecr:CreateRepository", "ecr:TagResource"], StringEquals={"aws:RequestTag/team": "ml"}),
        allow("ecr:DeleteRepository", StringEquals={"aws:ResourceTag/team": "ml"}),
    ).client("ecr")

    assert refusal_of(ecr.create_repository, repositoryName="app")[0] == "AccessDeniedException"
    ecr.create_repository(repositoryName="app", tags=[{"Key": "team", "Value": "ml"}])
    assert refusal_of(ecr.delete_repository, repositoryName="app")[0] == ""


@behaviour(
    "Permissions",
    "`iam:PassRole`",
    like="checked for each role that a call hands on",
)
def test_given_a_role_to_hand_on_when_it_may_not_be_passed_then_the_call_is_refused(act: Act, account: str) -> None:
    passed = f"arn:aws:iam::{account}:role/task"
    may_pass = allow("iam:PassRole", passed, StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"})
    ecs = act(allow("ecs:RegisterTaskDefinition"), may_pass).client("ecs")
    ecs.register_task_definition(family="ok", containerDefinitions=TASK, taskRoleArn=passed)

    code, message = refusal_of(
        ecs.register_task_definition, family="bad", containerDefinitions=TASK, taskRoleArn=f"{passed}-other"
    )

    assert code == "AccessDeniedException"
    assert f"perform: iam:PassRole on resource: {passed}-other because no identity-based" in message


def test_given_another_cluster_when_the_policy_names_one_then_no_task_runs_there(
    act: Act, sandbox: SandboxProcess, account: str
) -> None:
    admin = sandbox.client("ecs", account)
    admin.create_cluster(clusterName="ml")
    definition = admin.register_task_definition(family="job", containerDefinitions=TASK)["taskDefinition"]["taskDefinitionArn"]
    ml = f"arn:aws:ecs:us-east-1:{account}:cluster/ml"
    ecs = act(allow("ecs:RunTask", f"{definition.rpartition(':')[0]}:*", ArnEquals={"ecs:cluster": ml})).client("ecs")

    code, message = refusal_of(ecs.run_task, cluster="other", taskDefinition="job")
    assert code == "AccessDeniedException"
    assert f"perform: ecs:RunTask on resource: {definition} because" in message
    assert refusal_of(ecs.run_task, cluster="ml", taskDefinition="job")[0] in ("", "InvalidParameterException")


def test_given_s3_prefixes_when_a_policy_limits_them_then_others_are_refused(
    act: Act, sandbox: SandboxProcess, account: str
) -> None:
    bucket = f"data-{account}"
    admin = sandbox.client("s3", account)
    admin.create_bucket(Bucket=bucket)
    admin.put_object(Bucket=bucket, Key="data/a", Body=b"x")
    s3 = act(
        allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", StringLike={"s3:prefix": ["data", "data/*"]}),
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/data/*"),
    ).client("s3")

    assert s3.list_objects_v2(Bucket=bucket, Prefix="data/")["KeyCount"] == 1
    assert s3.get_object(Bucket=bucket, Key="data/a")["Body"].read() == b"x"
    assert refusal_of(s3.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"
    assert refusal_of(s3.head_object, Bucket=bucket, Key="other")[0] == "403"
    assert refusal_of(s3.put_object, Bucket=bucket, Key="data/b", Body=b"x")[0] == "AccessDenied"
    assert refusal_of(s3.copy_object, Bucket=bucket, Key="data/c", CopySource=f"{bucket}/data/a")[0] == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "method", "members", "code", "action"),
    [
        ("iam", "list_roles", {}, "AccessDenied", "iam:ListRoles"),
        ("sqs", "create_queue", {"QueueName": "q"}, "AccessDenied", "sqs:createqueue"),
        ("cloudwatch", "describe_alarms", {}, "AccessDenied", "cloudwatch:DescribeAlarms"),
        ("logs", "create_log_group", {"logGroupName": "g"}, "AccessDeniedException", "logs:CreateLogGroup"),
        ("events", "list_rules", {}, "AccessDeniedException", "events:ListRules"),
        ("sagemaker", "list_models", {}, "AccessDeniedException", "sagemaker:ListModels"),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b""},
            "AccessDeniedException",
            "sagemaker:InvokeEndpoint",
        ),
        ("ec2", "describe_subnets", {}, "AccessDenied", "ec2:DescribeSubnets"),
    ],
)
def test_given_each_protocol_when_a_call_is_refused_then_the_client_reads_its_error(
    act: Act, service: str, method: str, members: dict[str, Any], code: str, action: str
) -> None:
    acting = act(allow("ecr:*"))

    refused = refusal_of(getattr(acting.client(service), method), **members)

    assert refused[0] == code
    assert refused[1].startswith(f"User: {acting.arn} is not authorized to perform: {action} on resource: ")


def registry(sandbox: SandboxProcess, ecr: Any, **of: Any) -> httpx.Client:
    """A client of the registry, with the password of a caller."""
    token = ecr.get_authorization_token(**of)["authorizationData"][0]["authorizationToken"]
    return httpx.Client(base_url=sandbox.endpoint, headers={"Authorization": f"Basic {token}"}, trust_env=False)


@behaviour(
    "Permissions",
    "the registry",
    like="a password has the rights of the caller that asked for it",
)
def test_given_a_registry_password_of_a_role_when_it_pushes_then_the_roles_policy_binds_it(
    act: Act, sandbox: SandboxProcess, account: str
) -> None:
    sandbox.client("ecr", account).create_repository(repositoryName="app")
    acting = act(allow("ecr:GetAuthorizationToken"), allow(["ecr:BatchGetImage"], ecr_arn(account, "app")))
    with registry(sandbox, acting.client("ecr")) as pull:
        assert pull.get("/v2/app/manifests/latest").status_code == 404
        refused = pull.post("/v2/app/blobs/uploads/")

    assert refused.status_code == 403
    assert refused.json()["errors"][0]["code"] == "DENIED"
    assert f"{acting.arn} is not authorized to perform: ecr:InitiateLayerUpload" in refused.json()["errors"][0]["message"]


@behaviour(
    "Permissions",
    "resources of other accounts",
    like="policies of repositories, buckets, queues, buses and package groups, and roles' trust policies, decide together "
    "with the caller's own; without one, repositories, buckets, queues, buses and package groups are closed to them",
    differs="an account's own key is its root user; access control lists, and policies of other services' resources, do not "
    "count",
)
def test_given_a_repository_of_another_account_when_its_policy_names_the_role_then_it_may_pull_and_no_more(
    act: Act, sandbox: SandboxProcess
) -> None:
    owner = fresh_account()
    ecr = sandbox.client("ecr", owner)
    ecr.create_repository(repositoryName="app")
    acting = act(allow("ecr:*"))
    named = {"Effect": "Allow", "Principal": {"AWS": acting.role}, "Action": ["ecr:BatchGetImage", "ecr:DescribeImages"]}
    ecr.set_repository_policy(repositoryName="app", policyText=document(named))

    with registry(sandbox, acting.client("ecr"), registryIds=[owner]) as there:
        assert there.get("/v2/app/manifests/latest").status_code == 404
        assert there.post("/v2/app/blobs/uploads/").status_code == 403
    theirs = acting.client("ecr")
    assert theirs.describe_images(registryId=owner, repositoryName="app")["imageDetails"] == []
    code, message = refusal_of(theirs.list_images, registryId=owner, repositoryName="app")
    assert code == "AccessDeniedException"
    assert message.endswith("because no resource-based policy allows the ecr:ListImages action")


def test_given_another_account_when_a_buckets_policy_does_not_name_it_then_it_is_refused(
    act: Act, sandbox: SandboxProcess
) -> None:
    owner = fresh_account()
    bucket = f"shared-{owner}"
    s3 = sandbox.client("s3", owner)
    s3.create_bucket(Bucket=bucket)
    acting = act(allow("s3:*"))
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": acting.role},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=document(statement))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    assert acting.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    code, message = refusal_of(acting.client("s3").put_object, Bucket=bucket, Key="k", Body=b"y")
    assert code == "AccessDenied"
    assert message.endswith("because no resource-based policy allows the s3:PutObject action")


@pytest.mark.parametrize("as_role", [True, False])
def test_given_a_repository_without_a_policy_when_another_account_pulls_then_it_is_refused(
    act: Act, sandbox: SandboxProcess, account: str, as_role: bool
) -> None:
    owner = fresh_account()
    sandbox.client("ecr", owner).create_repository(repositoryName="app")
    ecr = act(allow("ecr:*")).client("ecr") if as_role else sandbox.client("ecr", account)

    with registry(sandbox, ecr, registryIds=[owner]) as there:
        refused = there.get("/v2/app/manifests/latest")
    code, message = refusal_of(ecr.describe_images, registryId=owner, repositoryName="app")

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "DENIED")
    assert code == "AccessDeniedException"
    assert message.endswith("because no resource-based policy allows the ecr:DescribeImages action")


def test_given_a_policy_that_names_an_account_when_its_own_key_pulls_then_it_may(sandbox: SandboxProcess, account: str) -> None:
    owner = fresh_account()
    ecr = sandbox.client("ecr", owner)
    ecr.create_repository(repositoryName="app")
    root = {"AWS": f"arn:aws:iam::{account}:root"}
    ecr.set_repository_policy(
        repositoryName="app", policyText=document({"Effect": "Allow", "Principal": root, "Action": "ecr:BatchGetImage"})
    )

    with registry(sandbox, sandbox.client("ecr", account), registryIds=[owner]) as there:
        assert there.get("/v2/app/manifests/latest").status_code == 404


def test_given_a_bucket_without_a_policy_when_another_account_asks_then_it_is_refused(
    sandbox: SandboxProcess, account: str
) -> None:
    owner = fresh_account()
    bucket = f"closed-{owner}"
    sandbox.client("s3", owner).create_bucket(Bucket=bucket)
    theirs = sandbox.client("s3", account)

    assert refusal_of(theirs.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"
    code, message = refusal_of(theirs.put_object, Bucket=bucket, Key="k", Body=b"x")
    assert code == "AccessDenied"
    assert message.endswith("because no resource-based policy allows the s3:PutObject action")


def test_given_a_queue_without_a_policy_when_another_account_sends_then_it_is_refused(
    sandbox: SandboxProcess, account: str
) -> None:
    url = sandbox.client("sqs", fresh_account()).create_queue(QueueName="closed")["QueueUrl"]

    assert refusal_of(sandbox.client("sqs", account).send_message, QueueUrl=url, MessageBody="x")[0] == "AccessDenied"


def test_given_calls_of_a_role_when_the_log_is_read_then_it_says_who_did_what_to_what(
    act: Act, sandbox: SandboxProcess, account: str
) -> None:
    acting = act(allow("ecr:*"))
    acting.client("ecr").create_repository(repositoryName="app")

    call = sandbox.calls("ecr", account=account)[0]

    assert call["principal"] == acting.arn
    assert call["needs"] == [{"action": "ecr:CreateRepository", "resources": [ecr_arn(account, "app")]}]


def test_given_a_client_that_calls_itself_internal_when_it_calls_then_it_is_bound_all_the_same(act: Act, account: str) -> None:
    def claim(request: Any, **_: Any) -> None:
        request.headers.add_header("User-Agent", "slipway-sandbox")

    ecr = act(allow("s3:*")).client("ecr")
    ecr.meta.events.register("before-sign.ecr", claim)

    assert refusal_of(ecr.describe_repositories)[0] == "AccessDeniedException"
