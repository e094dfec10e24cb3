"""Processing jobs: inputs from S3, a container, outputs to S3."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import JobDesk, s3_input, s3_outputs

GROUP = "/aws/sagemaker/ProcessingJobs"
COPY = "cat /opt/ml/processing/input/data/* > /opt/ml/processing/result/copy"


@behaviour(
    "In a job",
    "processing",
    like="inputs and outputs at their paths below `/opt/ml`, `/opt/ml/config`, `/opt/ml/output/message` as ExitMessage; outputs "
    "are uploaded at the end of a success, those with S3UploadMode Continuous after a failure, too",
    differs="outputs are not uploaded before the end",
)
def test_given_an_input_and_an_output_when_it_succeeds_then_the_output_is_uploaded(jobs: JobDesk) -> None:
    image = jobs.image(COPY)
    jobs.put("data/a", "1")
    jobs.put("data/b", "2")

    jobs.process(
        image,
        ProcessingInputs=[s3_input("data", jobs.uri("data/"))],
        ProcessingOutputConfig=s3_outputs("result", jobs.uri("out")),
    )

    job = jobs.processed()
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert jobs.read("out/copy") == b"12"


def test_given_a_single_object_as_input_then_it_has_its_own_name(jobs: JobDesk) -> None:
    uri = jobs.put("models/model.tar.gz", "packed")

    jobs.process(jobs.image("cat /opt/ml/processing/input/model/model.tar.gz"), ProcessingInputs=[s3_input("model", uri)])
    jobs.processed()

    assert jobs.lines(GROUP) == ["packed"]


def test_given_an_entry_point_and_arguments_then_they_run(jobs: JobDesk) -> None:
    own = {"ContainerEntrypoint": ["sh", "-c"], "ContainerArguments": ["echo own"]}

    jobs.process(jobs.image("echo image"), application=own)
    jobs.processed()

    assert jobs.lines(GROUP) == ["own"]


def test_given_a_job_then_its_configuration_is_in_the_container(jobs: JobDesk) -> None:
    jobs.process(jobs.image("cat /opt/ml/config/processingjobconfig.json"), Environment={"COLOUR": "red"})
    job = jobs.processed()

    (line,) = jobs.lines(GROUP)

    config = json.loads(line)
    assert (config["ProcessingJobArn"], config["Environment"]) == (job["ProcessingJobArn"], {"COLOUR": "red"})


def test_given_a_message_file_then_it_is_the_exit_message(jobs: JobDesk) -> None:
    jobs.process(jobs.image("echo 'half of the rows were empty' > /opt/ml/output/message"))

    assert jobs.processed()["ExitMessage"] == "half of the rows were empty"


def test_given_a_failure_then_nothing_is_uploaded(jobs: JobDesk) -> None:
    image = jobs.image("echo half > /opt/ml/processing/result/half; exit 6")

    jobs.process(image, ProcessingOutputConfig=s3_outputs("result", jobs.uri("out")))

    job = jobs.processed()
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", "AlgorithmError: , exit code: 6")
    assert jobs.keys("out") == []


def test_given_an_output_that_is_uploaded_continuously_when_the_job_fails_then_it_is_there(jobs: JobDesk) -> None:
    targets = s3_outputs("result", jobs.uri("out"))
    targets["Outputs"][0]["S3Output"]["S3UploadMode"] = "Continuous"

    jobs.process(jobs.image("echo half > /opt/ml/processing/result/half; exit 6"), ProcessingOutputConfig=targets)

    assert jobs.processed()["ProcessingJobStatus"] == "Failed"
    assert jobs.keys("out") == ["out/half"]


def test_given_a_link_to_the_host_as_output_then_it_is_not_followed(jobs: JobDesk) -> None:
    image = jobs.image("cd /opt/ml/processing/result; ln -s /etc/passwd leak; echo fine > file")

    jobs.process(image, ProcessingOutputConfig=s3_outputs("result", jobs.uri("out")))
    jobs.processed()

    assert jobs.keys("out") == ["out/file"]


def test_given_an_image_that_is_not_there_then_the_job_fails_with_its_name(jobs: JobDesk) -> None:
    jobs.process(jobs.missing_image())

    assert jobs.processed()["FailureReason"].startswith("ClientError: Cannot find repository or image: nowhere (v1)")


def test_given_a_bucket_that_is_not_there_then_the_job_fails_with_its_uri(jobs: JobDesk) -> None:
    jobs.process(jobs.image("exit 0"), ProcessingInputs=[s3_input("data", "s3://nobodys-bucket/data")])

    reason = jobs.processed()["FailureReason"]
    assert reason.startswith('ClientError: Data download failed: No S3 objects found under S3 URL "s3://nobodys-bucket/data"')


def test_given_a_program_that_is_not_there_then_the_job_fails_with_its_name(jobs: JobDesk) -> None:
    jobs.process(jobs.image("exit 0"), application={"ContainerEntrypoint": ["nothing"]})

    reason = jobs.processed()["FailureReason"]
    assert reason.startswith("ClientError:")
    assert "nothing" in reason


def test_given_a_running_job_when_it_is_stopped_then_it_ends_as_stopped(jobs: JobDesk) -> None:
    jobs.process(jobs.image("trap 'exit 0' TERM; echo ready; while true; do sleep 0.05; done"))
    jobs.wait_for_line(GROUP, "ready")

    jobs.sagemaker.stop_processing_job(ProcessingJobName="job")

    assert jobs.processed()["ProcessingJobStatus"] == "Stopped"


def test_given_a_local_path_outside_of_opt_ml_then_the_job_is_refused(jobs: JobDesk) -> None:
    wrong = s3_outputs("../../result", jobs.uri("out"))

    with pytest.raises(ClientError, match=r"LocalPath '/opt/ml/processing/\.\./\.\./result' of output"):
        jobs.process(jobs.image("exit 0"), ProcessingOutputConfig=wrong)


def test_given_a_name_that_is_taken_then_the_job_is_refused(jobs: JobDesk) -> None:
    image = jobs.image("exit 0")
    jobs.process(image)

    with pytest.raises(jobs.sagemaker.exceptions.ResourceInUse, match="Job name must be unique within an AWS account and region"):
        jobs.process(image)


def test_given_more_jobs_than_a_page_then_lists_go_on_with_a_token(jobs: JobDesk) -> None:
    image = jobs.image("exit 0")
    for name in ("one", "two", "three"):
        jobs.process(image, name)

    pages = jobs.sagemaker.get_paginator("list_processing_jobs").paginate(SortBy="Name", PaginationConfig={"PageSize": 2})

    listed = [[job["ProcessingJobName"] for job in page["ProcessingJobSummaries"]] for page in pages]
    assert listed == [["one", "three"], ["two"]]
