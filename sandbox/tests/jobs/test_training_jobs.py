"""Training jobs: real containers by SageMaker's contract."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import JobDesk, s3_channel

GROUP = "/aws/sagemaker/TrainingJobs"


def unpacked(content: bytes) -> dict[str, bytes]:
    """The files of a `tar.gz` by name."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return {found.name: archive.extractfile(found).read() for found in archive if found.isfile()}  # pyright: ignore[reportOptionalMemberAccess]


@behaviour(
    "In a job",
    "training",
    like="`train`, or the entry point and arguments of the request; hyperparameters, channels and configuration below "
    "`/opt/ml/input`; `model.tar.gz` and `output.tar.gz`, for failures too, or plain files with CompressionType NONE; the "
    "failure file's text as `AlgorithmError: …, exit code: N`; TRAINING_JOB_NAME, TRAINING_JOB_ARN",
    differs="an empty model folder leaves no archive",
)
@behaviour(
    "In a job",
    "all kinds",
    like="an S3Prefix is a prefix of keys, as on AWS, so `data/train` takes `data/train2` along; manifests; logs in "
    "`/aws/sagemaker/TrainingJobs` and its kin; files that the image has below `/opt/ml` are seen; "
    "EventBridge hears of each state",
    differs="files that the image has below `/opt/ml` are read-only; links are not followed when outputs are uploaded; wording "
    "for an image that is not there is not verified on AWS; times in events are numbers of milliseconds, where AWS's examples "
    "have them as text, by kind of job",
)
def test_given_a_channel_when_training_succeeds_then_the_model_is_made_of_its_data(jobs: JobDesk) -> None:
    image = jobs.image("cat /opt/ml/input/data/train/deep/a.csv > /opt/ml/model/model.csv")
    jobs.put("data/deep/a.csv", "1,2")

    jobs.train(image, InputDataConfig=[s3_channel("train", jobs.uri("data"))])

    artifacts = jobs.trained()["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == jobs.uri("out/job/output/model.tar.gz")
    assert unpacked(jobs.read("out/job/output/model.tar.gz")) == {"model.csv": b"1,2"}


def test_given_no_compression_then_the_model_s_files_are_stored_as_they_are(jobs: JobDesk) -> None:
    image = jobs.image("echo -n deep > /opt/ml/model/weights")

    jobs.train(image, OutputDataConfig={"S3OutputPath": jobs.uri("plain"), "CompressionType": "NONE"})

    assert jobs.trained()["ModelArtifacts"]["S3ModelArtifacts"] == jobs.uri("plain/job/output/model/")
    assert jobs.read("plain/job/output/model/weights") == b"deep"


def test_given_tags_then_they_are_listed(jobs: JobDesk) -> None:
    jobs.train(jobs.missing_image(), Tags=[{"Key": "team", "Value": "screening"}])
    arn = jobs.trained()["TrainingJobArn"]

    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "screening"}]


def test_given_a_success_then_its_phases_are_shown_with_times(jobs: JobDesk) -> None:
    jobs.train(jobs.image("echo trained"))

    job = jobs.trained()

    phases = job["SecondaryStatusTransitions"]
    assert [phase["Status"] for phase in phases] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(phase["StartTime"] <= phase["EndTime"] for phase in phases)
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["BillableTimeInSeconds"] >= 1


def test_given_hyperparameters_then_the_container_finds_the_contract_s_files(jobs: JobDesk) -> None:
    script = "cd /opt/ml/input/config; for f in *; do cat $f > /opt/ml/output/data/$f; done; env > /opt/ml/output/data/env"
    jobs.train(jobs.image(script), HyperParameters={"seed": "7"}, Environment={"COLOUR": "red"})
    jobs.trained()

    found = unpacked(jobs.read("out/job/output/output.tar.gz"))

    assert json.loads(found["hyperparameters.json"]) == {"seed": "7"}
    assert json.loads(found["inputdataconfig.json"]) == {}
    assert json.loads(found["resourceconfig.json"])["current_host"] == "algo-1"
    assert {"COLOUR=red", "TRAINING_JOB_NAME=job"} <= set(found["env"].decode().splitlines())


def test_given_a_failure_file_then_its_text_is_the_reason(jobs: JobDesk) -> None:
    jobs.train(jobs.image("echo -n 'no such column: x' > /opt/ml/output/failure; exit 3"))

    job = jobs.trained()

    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no such column: x, exit code: 3"


def test_given_an_exit_code_without_a_failure_file_then_the_code_is_the_reason(jobs: JobDesk) -> None:
    jobs.train(jobs.image("exit 4"))

    assert jobs.trained()["FailureReason"] == "AlgorithmError: , exit code: 4"


def test_given_a_link_to_the_host_as_failure_file_then_it_is_not_followed(jobs: JobDesk) -> None:
    jobs.train(jobs.image("ln -s /etc/passwd /opt/ml/output/failure; exit 5"))

    assert jobs.trained()["FailureReason"] == "AlgorithmError: , exit code: 5"


def test_given_files_of_the_image_below_opt_ml_then_the_container_sees_them(jobs: JobDesk) -> None:
    jobs.train(jobs.image("cat /opt/ml/code/hello", hello="from the image"))
    jobs.trained()

    assert jobs.lines(GROUP) == ["from the image"]


def test_given_metric_definitions_then_the_last_value_of_each_is_final(jobs: JobDesk) -> None:
    image = jobs.image("echo accuracy=0.5; echo accuracy=0.9; echo loss=none")
    metrics = [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}, {"Name": "loss", "Regex": "loss=(.*)"}]

    jobs.train(image, algorithm={"MetricDefinitions": metrics})

    (metric,) = jobs.trained()["FinalMetricDataList"]
    assert metric["MetricName"] == "accuracy"
    assert metric["Value"] == pytest.approx(0.9)


def test_given_output_then_it_is_in_cloudwatch_logs(jobs: JobDesk) -> None:
    jobs.train(jobs.image("echo one; echo two"))
    jobs.trained()

    assert jobs.lines(GROUP) == ["one", "two"]


def test_given_a_regular_expression_that_cannot_be_read_then_the_job_is_refused(jobs: JobDesk) -> None:
    with pytest.raises(ClientError, match=r"Invalid MetricDefinitions: the Regex '\(' of loss cannot be read"):
        jobs.train(jobs.missing_image(), algorithm={"MetricDefinitions": [{"Name": "loss", "Regex": "("}]})


def test_given_an_entry_point_then_it_runs_in_place_of_train(jobs: JobDesk) -> None:
    own = {"ContainerEntrypoint": ["sh", "-c"], "ContainerArguments": ["echo own"]}

    jobs.train(jobs.image("echo train"), algorithm=own)
    jobs.trained()

    assert jobs.lines(GROUP) == ["own"]


def test_given_an_image_that_is_not_there_then_the_job_fails_with_its_name(jobs: JobDesk) -> None:
    jobs.train(jobs.missing_image())

    reason = jobs.trained()["FailureReason"]
    assert reason.startswith("ClientError: Cannot find repository or image: nowhere (v1)")


def test_given_a_prefix_without_objects_then_the_job_fails_with_it(jobs: JobDesk) -> None:
    jobs.train(jobs.image("echo trained"), InputDataConfig=[s3_channel("train", jobs.uri("nothing"))])

    reason = jobs.trained()["FailureReason"]
    assert reason.startswith(f'ClientError: Data download failed: No S3 objects found under S3 URL "{jobs.uri("nothing")}"')


def test_given_a_running_job_when_it_is_stopped_then_it_may_save_its_model(jobs: JobDesk) -> None:
    jobs.train(jobs.image("trap 'echo -n saved > /opt/ml/model/m; exit 0' TERM; echo ready; while true; do sleep 0.05; done"))
    jobs.wait_for_line(GROUP, "ready")

    jobs.sagemaker.stop_training_job(TrainingJobName="job")

    job = jobs.trained()
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert unpacked(jobs.read("out/job/output/model.tar.gz")) == {"m": b"saved"}


def test_given_a_job_that_has_not_begun_when_it_is_stopped_then_it_never_runs(jobs: JobDesk) -> None:
    jobs.train(jobs.image("echo ran"))

    jobs.sagemaker.stop_training_job(TrainingJobName="job")

    assert jobs.trained()["TrainingJobStatus"] == "Stopped"
    assert jobs.lines(GROUP) == []


def test_given_a_running_job_when_its_account_is_reset_then_it_is_gone_with_its_files(jobs: JobDesk) -> None:
    name = f"reset-{jobs.account}"
    jobs.train(jobs.image("echo ready; while true; do sleep 0.05; done"), name)
    jobs.wait_for_line(GROUP, "ready")

    jobs.sandbox.reset(jobs.account)

    assert jobs.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    assert list((jobs.sandbox.data / "jobs").glob(f"{name}-*")) == []


def test_given_a_time_limit_when_it_is_over_then_the_job_is_stopped(jobs: JobDesk) -> None:
    jobs.train(jobs.image("sleep 600"), StoppingCondition={"MaxRuntimeInSeconds": 1})

    job = jobs.trained()

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_given_a_name_that_is_taken_then_the_job_is_refused(jobs: JobDesk) -> None:
    image = jobs.image("echo trained")
    jobs.train(image)

    with pytest.raises(jobs.sagemaker.exceptions.ResourceInUse, match="Training job names must be unique within an AWS account"):
        jobs.train(image)


def test_given_no_such_job_then_describe_says_so(jobs: JobDesk) -> None:
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.sagemaker.describe_training_job(TrainingJobName="nobody")


def test_given_a_job_that_has_ended_when_it_is_stopped_then_it_is_refused(jobs: JobDesk) -> None:
    jobs.train(jobs.image("exit 0"))
    jobs.trained()

    with pytest.raises(ClientError, match="The request was rejected because the training job is in status Completed"):
        jobs.sagemaker.stop_training_job(TrainingJobName="job")


def test_given_jobs_that_ended_differently_then_lists_are_narrowed_by_status(jobs: JobDesk) -> None:
    image = jobs.image('[ "$TRAINING_JOB_NAME" = good ]')
    jobs.train(image, "good")
    jobs.train(image, "bad")
    jobs.trained("good")
    jobs.trained("bad")

    listed = jobs.sagemaker.list_training_jobs(StatusEquals="Failed")["TrainingJobSummaries"]

    assert [job["TrainingJobName"] for job in listed] == ["bad"]
