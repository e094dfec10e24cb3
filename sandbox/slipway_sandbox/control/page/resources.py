"""What there is in ECR, ECS, CloudWatch alarms and the model registry, as AWS's API tells it."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.control.page.reader import SHOWN, Reader, latest

DESCRIBED_AT_ONCE = 100
"""Tasks and clusters in one Describe call."""
TASKS_DESCRIBED = 300
"""Tasks of a cluster and state that are described to find the latest."""
GROUPS_OF_STEPS = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}
"""The log group of each kind of job."""


def repositories(reader: Reader) -> dict[str, Any]:
    """Repositories with their images."""
    found, more = reader.listed("ecr", "DescribeRepositories", "repositories")
    shown = latest(found, "createdAt", more=more)
    shown["items"] = [{**repository, "images": images(reader, repository["repositoryName"])} for repository in shown["items"]]
    return shown


def images(reader: Reader, repository: str) -> dict[str, Any]:
    """A repository's images, the latest push first."""
    found, more = reader.listed("ecr", "DescribeImages", "imageDetails", repositoryName=repository)
    return latest(found, "imagePushedAt", more=more)


def clusters(reader: Reader) -> dict[str, Any]:
    """Clusters with what AWS counts of them."""
    arns, more = reader.listed("ecs", "ListClusters", "clusterArns")
    described = reader.ask("ecs", "DescribeClusters", clusters=arns[:DESCRIBED_AT_ONCE]) if arns else {}
    return {"items": described.get("clusters", [])[:SHOWN], "total": len(arns), "more": more}


def task_definitions(reader: Reader) -> dict[str, Any]:
    """The active task definitions, the latest first. A revision does not change."""
    arns, more = reader.listed("ecs", "ListTaskDefinitions", "taskDefinitionArns", status="ACTIVE")
    described = [definition for arn in arns[-SHOWN:] if (definition := task_definition(reader, arn))]
    return {**latest(described, "registeredAt", more=more), "total": len(arns)}


def task_definition(reader: Reader, arn: str) -> dict[str, Any]:
    """One revision."""
    return reader.memory.get(
        arn, lambda: reader.ask("ecs", "DescribeTaskDefinition", taskDefinition=arn).get("taskDefinition", {})
    )


def tasks(reader: Reader, cluster_arns: list[str]) -> dict[str, Any]:
    """The tasks of all clusters, with where their logs are."""
    found: list[dict[str, Any]] = []
    total, more = 0, False
    for cluster in cluster_arns:
        for status in ("RUNNING", "STOPPED"):
            arns, cut = reader.listed("ecs", "ListTasks", "taskArns", cluster=cluster, desiredStatus=status)
            found += described_tasks(reader, cluster, arns[-TASKS_DESCRIBED:])
            total, more = total + len(arns), more or cut
    shown = latest(found, "createdAt", more=more)
    shown["items"] = [{**task, "logs": task_logs(reader, task)} for task in shown["items"]]
    return {**shown, "total": total}


def described_tasks(reader: Reader, cluster: str, arns: list[str]) -> list[dict[str, Any]]:
    """DescribeTasks, as many calls as it takes."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), DESCRIBED_AT_ONCE):
        found += reader.ask("ecs", "DescribeTasks", cluster=cluster, tasks=arns[start : start + DESCRIBED_AT_ONCE]).get(
            "tasks", []
        )
    return found


def task_logs(reader: Reader, task: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Where each container's lines go, by container; only those of the awslogs driver can be read."""
    definition = task_definition(reader, task["taskDefinitionArn"])
    found: dict[str, dict[str, str]] = {}
    for container in definition.get("containerDefinitions", []):
        options = container.get("logConfiguration", {}).get("options", {})
        if "awslogs-group" in options and "awslogs-stream-prefix" in options:
            stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task['taskArn'].rpartition('/')[2]}"
            place = {"region": options["awslogs-region"]} if "awslogs-region" in options else {}
            found[container["name"]] = {"group": options["awslogs-group"], "prefix": stream, **place}
    return found


def jobs(reader: Reader) -> dict[str, Any]:
    """Training, processing and transform jobs, the latest first, with where their logs are."""
    found: list[dict[str, Any]] = []
    total, more = 0, False
    for kind, group in GROUPS_OF_STEPS.items():
        summaries, cut = reader.listed("sagemaker", f"List{kind}s", f"{kind}Summaries")
        total, more = total + len(summaries), more or cut
        found += [job(reader, kind, group, summary) for summary in latest(summaries, "CreationTime")["items"]]
    return {**latest(found, "CreationTime", more=more), "total": total}


def job(reader: Reader, kind: str, group: str, summary: dict[str, Any]) -> dict[str, Any]:
    """A job as the lists show it, in the same members for each kind, with the reason of a failure."""
    name, status = summary[f"{kind}Name"], summary[f"{kind}Status"]
    detail: dict[str, Any] = {}
    if status in ("Failed", "Stopped", "Completed"):
        key = (summary[f"{kind}Arn"], status)
        detail = reader.memory.get(key, lambda: reader.ask("sagemaker", f"Describe{kind}", **{f"{kind}Name": name}))
    ended = detail.get("TrainingEndTime") or detail.get("ProcessingEndTime") or detail.get("TransformEndTime")
    return {
        "Name": name,
        "Arn": summary[f"{kind}Arn"],
        "Kind": kind.removesuffix("Job"),
        "Status": status,
        "CreationTime": summary["CreationTime"],
        "EndTime": ended,
        "FailureReason": detail.get("FailureReason"),
        "ExitMessage": detail.get("ExitMessage"),
        "logs": {"group": group, "prefix": f"{name}/"},
    }


def package_groups(reader: Reader) -> dict[str, Any]:
    """Model package groups with their versions."""
    found, more = reader.listed("sagemaker", "ListModelPackageGroups", "ModelPackageGroupSummaryList")
    shown = latest(found, "CreationTime", more=more)
    shown["items"] = [{**group, "packages": packages(reader, group["ModelPackageGroupName"])} for group in shown["items"]]
    return shown


def packages(reader: Reader, group: str) -> dict[str, Any]:
    """A group's versions, the latest first."""
    found, more = reader.listed("sagemaker", "ListModelPackages", "ModelPackageSummaryList", ModelPackageGroupName=group)
    shown = latest(found, "CreationTime", more=more)
    shown["items"] = [package(reader, summary["ModelPackageArn"]) or summary for summary in shown["items"]]
    return shown


def package(reader: Reader, arn: str) -> dict[str, Any]:
    """DescribeModelPackage; its approval, life cycle and metadata change, so nothing of it is kept."""
    return reader.ask("sagemaker", "DescribeModelPackage", ModelPackageName=arn)


def alarms(reader: Reader) -> dict[str, Any]:
    """Metric and composite alarms, the latest change first."""
    found, more = reader.listed("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmTypes=["MetricAlarm"])
    composite, more_composite = reader.listed("cloudwatch", "DescribeAlarms", "CompositeAlarms", AlarmTypes=["CompositeAlarm"])
    return latest([*found, *composite], "StateUpdatedTimestamp", more=more or more_composite)
