"""ECS, call by call: clusters, capacity providers, settings, tags, protection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.testkit.contract import Aws, contract

NAMESPACE = {"namespace": "none"}
NOBODY = "0" * 32


@pytest.fixture
def cluster(aws: Aws) -> Iterator[str]:
    """A cluster's ARN; it is deleted afterwards, as well as it can be."""
    ecs, name = aws.client("ecs"), aws.name("cluster")
    yield ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    if ecs.describe_clusters(clusters=[name])["clusters"][0]["status"] == "ACTIVE":
        ecs.delete_cluster(cluster=name)


@contract("ecs", "CreateCluster", errors=("InvalidParameterException", "NamespaceNotFoundException"))
def test_create_cluster(aws: Aws) -> None:
    ecs, name = aws.client("ecs"), aws.name("cluster")
    created = ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "b"}])["cluster"]
    assert created["clusterArn"] == f"arn:aws:ecs:{aws.region}:{aws.account}:cluster/{name}"
    assert (created["status"], created["tags"]) == ("ACTIVE", [{"key": "a", "value": "b"}])
    assert ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"] == created["clusterArn"]
    with aws.refused("InvalidParameterException", match="invalid characters"):
        ecs.create_cluster(clusterName="no spaces")
    with aws.refused("InvalidParameterException", match="capacity provider"):
        ecs.create_cluster(
            clusterName=aws.name("cluster"),
            capacityProviders=["FARGATE"],
            defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}],
        )
    with aws.refused("NamespaceNotFoundException"):
        ecs.create_cluster(clusterName=aws.name("cluster"), serviceConnectDefaults=NAMESPACE)
    ecs.delete_cluster(cluster=name)


@contract("ecs", "DescribeClusters", errors=("InvalidParameterException",))
def test_describe_clusters(aws: Aws, cluster: str) -> None:
    ecs = aws.client("ecs")
    answer = ecs.describe_clusters(
        clusters=[cluster, "none"], include=["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    )
    assert {item["name"]: item["value"] for item in answer["clusters"][0]["statistics"]}["runningFargateTasksCount"] == "0"
    assert answer["failures"] == [{"arn": f"arn:aws:ecs:{aws.region}:{aws.account}:cluster/none", "reason": "MISSING"}]
    with aws.refused("InvalidParameterException", match="100"):
        ecs.describe_clusters(clusters=["none"] * 101)


@contract("ecs", "ListClusters", errors=("InvalidParameterException",))
def test_list_clusters(aws: Aws, cluster: str) -> None:
    ecs = aws.client("ecs")
    pages = ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 1})
    assert cluster in [arn for page in pages for arn in page["clusterArns"]]
    with aws.refused("InvalidParameterException"):
        ecs.list_clusters(maxResults=101)
    with aws.refused("InvalidParameterException"):
        ecs.list_clusters(nextToken="none")


@contract("ecs", "UpdateCluster", errors=("ClusterNotFoundException", "InvalidParameterException", "NamespaceNotFoundException"))
def test_update_cluster(aws: Aws, cluster: str) -> None:
    ecs = aws.client("ecs")
    configuration = {"executeCommandConfiguration": {"logging": "NONE"}}
    updated = ecs.update_cluster(cluster=cluster, configuration=configuration)["cluster"]
    assert updated["configuration"] == configuration
    with aws.refused("ClusterNotFoundException"):
        ecs.update_cluster(cluster=aws.name("none"))
    with aws.refused("InvalidParameterException"):
        ecs.update_cluster(cluster=cluster, settings=[{"name": "containerInsights", "value": "perhaps"}])
    with aws.refused("NamespaceNotFoundException"):
        ecs.update_cluster(cluster=cluster, serviceConnectDefaults=NAMESPACE)


@contract("ecs", "UpdateClusterSettings", errors=("ClusterNotFoundException", "InvalidParameterException"))
def test_update_cluster_settings(aws: Aws, cluster: str) -> None:
    ecs, settings = aws.client("ecs"), [{"name": "containerInsights", "value": "enabled"}]
    assert ecs.update_cluster_settings(cluster=cluster, settings=settings)["cluster"]["settings"] == settings
    with aws.refused("ClusterNotFoundException", match="Cluster not found"):
        ecs.update_cluster_settings(cluster=aws.name("none"), settings=settings)
    with aws.refused("InvalidParameterException"):
        ecs.update_cluster_settings(cluster=cluster, settings=[])


@contract("ecs", "DeleteCluster", errors=("ClusterNotFoundException", "InvalidParameterException"))
def test_delete_cluster(aws: Aws, cluster: str) -> None:
    ecs = aws.client("ecs")
    assert ecs.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"
    with aws.refused("ClusterNotFoundException"):
        ecs.delete_cluster(cluster=aws.name("none"))
    with aws.refused("InvalidParameterException"):
        ecs.delete_cluster(cluster=cluster.replace(aws.account, "111122223333"))


@contract("ecs", "PutClusterCapacityProviders", errors=("ClusterNotFoundException", "InvalidParameterException"))
def test_put_cluster_capacity_providers(aws: Aws, cluster: str) -> None:
    ecs, strategy = aws.client("ecs"), [{"capacityProvider": "FARGATE", "weight": 1, "base": 1}]
    providers = ["FARGATE", "FARGATE_SPOT"]
    put = ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=providers, defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert sorted(put["capacityProviders"]) == providers
    assert put["defaultCapacityProviderStrategy"] == strategy
    with aws.refused("ClusterNotFoundException"):
        ecs.put_cluster_capacity_providers(cluster=aws.name("none"), capacityProviders=[], defaultCapacityProviderStrategy=[])
    with aws.refused("InvalidParameterException"):
        ecs.put_cluster_capacity_providers(
            cluster=cluster, capacityProviders=[aws.name("none")], defaultCapacityProviderStrategy=[]
        )


@contract("ecs", "DescribeCapacityProviders", errors=("ClusterNotFoundException", "InvalidParameterException"))
def test_describe_capacity_providers(aws: Aws) -> None:
    ecs = aws.client("ecs")
    answer = ecs.describe_capacity_providers(capacityProviders=["FARGATE", "none"])
    assert [(provider["name"], provider["status"]) for provider in answer["capacityProviders"]] == [("FARGATE", "ACTIVE")]
    assert answer["failures"][0]["reason"] == "MISSING"
    with aws.refused("ClusterNotFoundException"):
        ecs.describe_capacity_providers(cluster=aws.name("none"))
    with aws.refused("InvalidParameterException"):
        ecs.describe_capacity_providers(maxResults=11)


@contract(
    "ecs",
    "TagResource",
    errors=("InvalidParameterException", "ClusterNotFoundException", "ResourceNotFoundException", "LimitExceededException"),
)
@contract("ecs", "UntagResource", errors=("InvalidParameterException", "ClusterNotFoundException", "ResourceNotFoundException"))
@contract("ecs", "ListTagsForResource", errors=("InvalidParameterException", "ClusterNotFoundException"))
def test_tags(aws: Aws, cluster: str) -> None:
    ecs = aws.client("ecs")
    ecs.tag_resource(resourceArn=cluster, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.tag_resource(resourceArn=cluster, tags=[{"key": "a", "value": "3"}])
    ecs.untag_resource(resourceArn=cluster, tagKeys=["b"])
    assert ecs.list_tags_for_resource(resourceArn=cluster)["tags"] == [{"key": "a", "value": "3"}]
    no_task = f"{cluster.replace(':cluster/', ':task/')}/{NOBODY}"
    calls = {
        "tag_resource": {"tags": [{"key": "a", "value": "1"}]},
        "untag_resource": {"tagKeys": ["a"]},
        "list_tags_for_resource": {},
    }
    for call, more in calls.items():
        with aws.refused("InvalidParameterException"):
            getattr(ecs, call)(resourceArn="none", **more)
        with aws.refused("ClusterNotFoundException"):
            getattr(ecs, call)(resourceArn=f"{cluster}-none", **more)
        missing = "InvalidParameterException" if call == "list_tags_for_resource" else "ResourceNotFoundException"
        with aws.refused(missing):
            getattr(ecs, call)(resourceArn=no_task, **more)
    with aws.refused("InvalidParameterException"):
        ecs.tag_resource(resourceArn=cluster, tags=[{"key": "aws:a", "value": "1"}])
    with aws.refused("LimitExceededException"):
        ecs.tag_resource(resourceArn=cluster, tags=[{"key": f"k{number}", "value": ""} for number in range(50)])
