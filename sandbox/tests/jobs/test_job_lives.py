"""Jobs beside their own work: checkpoints, interruptions, quotas, roles and events."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.jobs.events import emit
from slipway_sandbox.sagemaker.jobs.job import Job, failed
from slipway_sandbox.sagemaker.jobs.training import TrainingRoom
from slipway_sandbox.sagemaker.tags import TagRoom

from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import JobDesk, s3_channel, s3_input

GROUP = "/aws/sagemaker/TrainingJobs"
SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
}
LOOPS = "echo ready; while true; do sleep 0.05; done"
WAITS = f"trap 'exit 0' TERM; {LOOPS}"


@behaviour(
    "In a job",
    "checkpoints",
    like="brought from S3 before the start, stored after any end, and at an interruption",
    differs="not stored while the container runs",
)
def test_given_checkpoints_of_an_earlier_run_when_a_job_ends_then_it_had_them_and_has_added_its_own(jobs: JobDesk) -> None:
    jobs.put("check/one", "1")
    image = jobs.image("cat /opt/ml/checkpoints/one; echo -n 2 > /opt/ml/checkpoints/two; exit 1")

    jobs.train(image, CheckpointConfig={"S3Uri": jobs.uri("check")})

    assert jobs.trained()["TrainingJobStatus"] == "Failed"
    assert jobs.lines(GROUP) == ["1"]
    assert jobs.read("check/two") == b"2"


def test_given_a_path_of_its_own_for_checkpoints_then_they_are_there(jobs: JobDesk) -> None:
    image = jobs.image("echo -n 1 > /checkpoints/mine/one")

    jobs.train(image, CheckpointConfig={"S3Uri": jobs.uri("check/"), "LocalPath": "/checkpoints/mine"})
    jobs.trained()

    assert jobs.read("check/one") == b"1"


def test_given_a_path_for_checkpoints_that_is_none_then_the_job_is_refused(jobs: JobDesk) -> None:
    with pytest.raises(ClientError, match="LocalPath 'here' of CheckpointConfig"):
        jobs.train(jobs.missing_image(), CheckpointConfig={"S3Uri": jobs.uri("check"), "LocalPath": "here"})


@behaviour(
    "In a job",
    "Spot",
    like="MaxWaitTimeInSeconds is checked; an interruption shows as Interrupted, and the job starts again with its checkpoints",
    differs="instances are taken away by the dial `job-incident` alone; the time to wait for one is never over",
)
def test_given_a_spot_instance_when_it_is_taken_away_then_the_job_goes_on_from_its_checkpoints(jobs: JobDesk) -> None:
    begins = "cd /opt/ml/checkpoints; [ -e begun ] && echo again && exit 0; trap 'echo > begun; exit 1' TERM; "
    image = jobs.image(begins + LOOPS)
    jobs.train(image, CheckpointConfig={"S3Uri": jobs.uri("check")}, **SPOT)
    jobs.wait_for_line(GROUP, "ready")

    jobs.turn("job-incident", kind="training-job", job="job", incident="interruption")

    job = jobs.trained()
    assert job["TrainingJobStatus"] == "Completed"
    assert [each["Status"] for each in job["SecondaryStatusTransitions"]] == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert "again" in jobs.lines(GROUP)


def test_given_no_spot_instance_when_it_is_to_be_taken_away_then_the_dial_refuses(jobs: JobDesk) -> None:
    jobs.train(jobs.image(WAITS))

    with pytest.raises(httpx.HTTPStatusError, match="has no Spot instance"):
        jobs.turn("job-incident", kind="training-job", job="job", incident="interruption")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"EnableManagedSpotTraining": True}, "It must be present and be greater than or equal to MaxRuntimeInSeconds"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "It is only supported when EnableManagedSpotTraining is set to true",
        ),
    ],
)
def test_given_a_time_to_wait_that_does_not_fit_then_the_job_is_refused(
    jobs: JobDesk, more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ClientError, match=f"Invalid MaxWaitTimeInSeconds. {complaint}"):
        jobs.train(jobs.missing_image(), **more)


def test_given_a_host_that_is_lost_then_the_job_fails_as_on_aws(jobs: JobDesk) -> None:
    jobs.train(jobs.image(WAITS))
    jobs.wait_for_line(GROUP, "ready")

    jobs.turn("job-incident", kind="training-job", job="job", incident="host-failure")

    job = jobs.trained()
    assert (job["TrainingJobStatus"], job["FailureReason"][:20]) == ("Failed", "InternalServerError:")


def test_given_no_instances_then_the_next_job_fails_for_want_of_capacity_and_the_one_after_runs(jobs: JobDesk) -> None:
    image = jobs.image("echo trained")
    jobs.turn("job-capacity", jobs=1)
    jobs.train(image, "first")
    jobs.train(image, "second")

    assert jobs.trained("first")["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity.")
    assert jobs.trained("second")["TrainingJobStatus"] == "Completed"


def test_given_a_quota_when_it_is_used_up_then_a_further_job_is_refused_and_later_taken(jobs: JobDesk) -> None:
    image = jobs.image(WAITS)
    jobs.turn("quota", name="ml.m5.large for training job usage", limit=1)
    jobs.train(image, "one")

    with pytest.raises(
        jobs.sagemaker.exceptions.ResourceLimitExceeded,
        match=r"'ml.m5.large for training job usage' is 1 Instances, with current utilization of 1 Instances and a request delta",
    ):
        jobs.train(image, "two")
    jobs.turn("quota", name="ml.m5.large for training job usage", limit=None)
    jobs.train(image, "two")


@behaviour(
    "In a job",
    "metrics",
    like="in CloudWatch's `/aws/sagemaker/TrainingJobs` by TrainingJobName",
    differs="no metrics of instances",
)
def test_given_metrics_then_cloudwatch_has_them(jobs: JobDesk) -> None:
    definitions = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    jobs.train(jobs.image("echo loss=3; echo loss=1"), algorithm={"MetricDefinitions": definitions})
    job = jobs.trained()

    found = jobs.sandbox.client("cloudwatch", jobs.account).get_metric_statistics(
        Namespace=GROUP,
        MetricName="loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": "job"}],
        StartTime=job["CreationTime"].replace(second=0, microsecond=0),
        EndTime=job["TrainingEndTime"].replace(year=job["TrainingEndTime"].year + 1),
        Period=3600 * 24,
        Statistics=["Maximum", "Minimum", "SampleCount"],
    )["Datapoints"]

    assert [(each["Minimum"], each["Maximum"], each["SampleCount"]) for each in found] == [(1.0, 3.0, 2.0)]


@behaviour(
    "In a job",
    "credentials",
    like="of the job's role, by AssumeRole, at `AWS_CONTAINER_CREDENTIALS_FULL_URI`; none with EnableNetworkIsolation; "
    "SageMaker's own reading and writing of S3 is the role's, too, where IAM knows the role",
    differs="the role need not exist; network isolation does not cut the network",
)
def test_given_a_job_then_its_container_is_led_to_the_credentials_of_its_role(jobs: JobDesk) -> None:
    jobs.train(jobs.image('echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI"; ' + WAITS))
    jobs.wait_for_line(GROUP, "ready")
    (uri,) = [line for line in jobs.lines(GROUP) if line.startswith("http")]

    assert httpx.get(uri).json()["RoleArn"].endswith(":role/jobs")

    jobs.sagemaker.stop_training_job(TrainingJobName="job")
    jobs.trained()
    assert httpx.get(uri).status_code == 404


def test_given_network_isolation_then_the_container_has_no_credentials(jobs: JobDesk) -> None:
    jobs.train(jobs.image('echo "uri=$AWS_CONTAINER_CREDENTIALS_FULL_URI"'), EnableNetworkIsolation=True)
    jobs.trained()

    assert jobs.lines(GROUP) == ["uri="]


def test_given_a_role_that_iam_knows_then_the_job_reads_and_writes_s3_as_that_role(jobs: JobDesk) -> None:
    role = jobs.role("trainer", {"Effect": "Allow", "Action": ["s3:*", "sts:*", "ecr:*", "logs:*"], "Resource": "*"})
    jobs.put("data/a", "1")

    jobs.train(jobs.image("echo 1 > /opt/ml/model/m"), role=role, InputDataConfig=[s3_channel("train", jobs.uri("data"))])

    assert jobs.trained()["TrainingJobStatus"] == "Completed"
    called = {call["operation"] for call in jobs.sandbox.calls("s3", account=jobs.account)}
    assert {"ListObjectsV2", "GetObject"} <= called


def test_given_a_role_that_may_not_read_the_bucket_then_the_job_fails_and_says_so(jobs: JobDesk) -> None:
    role = jobs.role("trainer", {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
    jobs.put("data/a", "1")

    jobs.train(jobs.missing_image(), role=role, InputDataConfig=[s3_channel("train", jobs.uri("data"))])

    reason = jobs.trained()["FailureReason"]
    assert reason.startswith("ClientError: Data download failed:")
    assert "AccessDenied" in reason


def test_given_a_manifest_then_its_objects_are_the_input(jobs: JobDesk) -> None:
    jobs.put("data/a", "1")
    jobs.put("data/deep/b", "2")
    manifest = jobs.put("manifest", json.dumps([{"prefix": jobs.uri("data/")}, "deep/b"]))
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest}}

    jobs.train(jobs.image("cd /opt/ml/input/data/train; ls *"), InputDataConfig=[{"ChannelName": "train", "DataSource": source}])

    assert jobs.trained()["TrainingJobStatus"] == "Completed"
    assert jobs.lines(GROUP) == ["b"]


@pytest.mark.parametrize("content", ["no json", "{}", "[]", '[{"prefix": "s3://b/"}, 1]', '[{"prefix": "s3://b/"}, "../x"]'])
def test_given_a_manifest_that_is_none_then_the_job_fails(jobs: JobDesk, content: str) -> None:
    source = s3_input("data", jobs.put("manifest", content))
    source["S3Input"]["S3DataType"] = "ManifestFile"

    jobs.process(jobs.missing_image(), ProcessingInputs=[source])

    assert jobs.processed()["FailureReason"].startswith("ClientError: Data download failed:")


def test_given_a_finished_job_when_it_is_deleted_then_its_name_is_free_again(jobs: JobDesk) -> None:
    jobs.train(jobs.image(WAITS))
    with pytest.raises(jobs.sagemaker.exceptions.ResourceInUse, match="in status InProgress"):
        jobs.sagemaker.delete_training_job(TrainingJobName="job")
    jobs.sagemaker.stop_training_job(TrainingJobName="job")
    jobs.trained()

    jobs.sagemaker.delete_training_job(TrainingJobName="job")

    assert jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    jobs.train(jobs.image("echo trained"))
    assert jobs.trained()["TrainingJobStatus"] == "Completed"


def test_given_a_job_that_fails_when_its_event_is_emitted_then_it_is_like_its_description(tmp_path: Path) -> None:
    world, caller = World(data=tmp_path), Caller("111111111111", "us-east-1", "")
    heard: list[Event] = []
    came = threading.Event()
    world.events.subscribe(lambda event: (heard.append(event), came.set()))  # pyright: ignore[reportArgumentType]
    tags = TagRoom(world)
    room = TrainingRoom(world, None, tags, None)  # pyright: ignore[reportArgumentType]
    arn = "arn:aws:sagemaker:us-east-1:111111111111:training-job/job"
    tags.put(arn, [{"Key": "team", "Value": "screening"}])
    request = {"OutputDataConfig": {"S3OutputPath": "s3://out"}, "ResourceConfig": {"InstanceCount": 1}}
    job = Job("job", arn, caller, request, world.clock.now())
    job.end(failed("InternalServerError: We encountered an internal error."), world.clock.now())

    emit(world, room.noun, job, room.described(job), tags.of(arn))

    assert came.wait(5)
    (event,) = heard
    assert (event.detail_type, event.resources) == ("SageMaker Training Job State Change", [arn])
    assert (event.detail["TrainingJobStatus"], event.detail["SecondaryStatus"]) == ("Failed", "Failed")
    assert (event.detail["Tags"], event.detail["FailureReason"][:20]) == ({"team": "screening"}, "InternalServerError:")
    assert isinstance(event.detail["CreationTime"], int)
    assert [each["Status"] for each in event.detail["SecondaryStatusTransitions"]] == ["Starting", "Failed"]
