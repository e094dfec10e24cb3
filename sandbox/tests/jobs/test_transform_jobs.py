"""Transform jobs: a model's own container answers each record of S3."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.testkit.contract import behaviour
from sandbox.testkit.jobs import JobDesk, packed

GROUP = "/aws/sagemaker/TransformJobs"


@pytest.fixture
def model(jobs: JobDesk) -> JobDesk:
    """A desk with a model that adds up the numbers of each line."""
    jobs.model(jobs.serving_image())
    return jobs


def asked(jobs: JobDesk) -> list[str]:
    """The bodies that the model got."""
    lines = [line.removeprefix("asked ") for line in jobs.lines(GROUP) if line.startswith("asked ")]
    return [json.JSONDecoder().raw_decode(line)[0] for line in lines]


def test_given_lines_when_transformed_then_each_object_has_an_output_with_its_answers(model: JobDesk) -> None:
    model.put("in/a.csv", "1,2\n3,4\n")
    model.put("in/deep/b.csv", "5,6")

    model.transform()

    job = model.transformed()
    assert (job["TransformJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert (model.read("out/a.csv.out"), model.read("out/deep/b.csv.out")) == (b"3.0\n7.0\n", b"11.0\n")
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}


@behaviour(
    "In a job",
    "transform",
    like="the model's container as an endpoint runs it, with SAGEMAKER_BATCH and its kin, `/ping`, `/execution-parameters`, then "
    "`/invocations` for each mini-batch; `<key>.out`; one object that fails does "
    "not keep others from their output; logs in `/aws/sagemaker/TransformJobs`, SageMaker's own in `…/data-log`",
    differs="a container that exits is not started again",
)
def test_given_two_jobs_at_once_when_both_listen_on_8080_then_each_has_a_network_of_its_own(model: JobDesk) -> None:
    model.put("in/a.csv", "1,2")

    for job in ("job", "other"):
        model.transform(job)

    assert [model.transformed(job)["TransformJobStatus"] for job in ("job", "other")] == ["Completed", "Completed"]


def test_given_a_model_without_a_role_then_its_job_runs(jobs: JobDesk) -> None:
    jobs.model(jobs.serving_image(), role=None)
    jobs.put("in/a.csv", "1,2")

    jobs.transform()
    jobs.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="job", WaiterConfig={"Delay": 1})

    assert jobs.read("out/a.csv.out") == b"3.0\n"


def test_given_several_records_a_batch_then_they_come_in_one_request(model: JobDesk) -> None:
    model.put("in/a.csv", "1,2\n3,4\n")

    model.transform()
    model.transformed()

    assert asked(model) == ["1,2\n3,4"]


def test_given_single_records_then_each_is_a_request_of_its_own_and_answers_keep_their_order(model: JobDesk) -> None:
    model.put("in/a.csv", "\n".join(str(number) for number in range(20)))

    model.transform(BatchStrategy="SingleRecord", MaxConcurrentTransforms=4)

    assert model.transformed()["TransformJobStatus"] == "Completed"
    assert model.read("out/a.csv.out") == b"".join(b"%d.0\n" % number for number in range(20))
    assert sorted(asked(model), key=int) == [str(number) for number in range(20)]


def test_given_no_split_then_the_object_is_one_request_and_its_answer_is_kept_as_it_is(model: JobDesk) -> None:
    model.put("in/a.csv", "1,2\n3,4\n")

    model.transform(source={"SplitType": "None"}, target={"AssembleWith": "None", "Accept": "text/plain"})
    model.transformed()

    assert asked(model) == ["1,2\n3,4\n"]
    assert model.read("out/a.csv.out") == b"3.0\n7.0"
    assert any(line.endswith("text/csv text/plain") for line in model.lines(GROUP))


def test_given_gzipped_input_then_the_model_gets_what_is_in_it(model: JobDesk) -> None:
    model.s3.put_object(Bucket=model.bucket, Key="in/a.csv.gz", Body=gzip.compress(b"1,2\n"))

    model.transform(source={"CompressionType": "Gzip"})
    model.transformed()

    assert model.read("out/a.csv.gz.out") == b"3.0\n"


def test_given_a_manifest_then_its_objects_alone_are_transformed(model: JobDesk) -> None:
    model.put("data/a.csv", "1")
    model.put("data/b.csv", "2")
    uri = model.put("manifest", json.dumps([{"prefix": model.uri("data/")}, "b.csv"]))

    model.transform(source={"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": uri}}})
    model.transformed()

    assert model.keys("out") == ["out/b.csv.out"]


def test_given_a_batch_then_the_container_is_told_so(model: JobDesk) -> None:
    model.put("in/a.csv", "1")

    model.transform(BatchStrategy="SingleRecord", MaxPayloadInMB=2, MaxConcurrentTransforms=3, Environment={"COLOUR": "red"})
    model.transformed()

    wanted = {
        "SAGEMAKER_BATCH=true",
        "SAGEMAKER_BATCH_STRATEGY=SINGLE_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB=2",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS=3",
        "COLOUR=red",
    }
    lines = model.lines(GROUP)
    assert wanted <= set(lines)
    assert any(line.endswith("MaxConcurrentTransforms=3, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD") for line in lines)


def test_given_no_wishes_of_the_client_then_those_of_the_container_count(jobs: JobDesk) -> None:
    wishes = {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 1, "BatchStrategy": "SINGLE_RECORD"}
    jobs.model(jobs.serving_image(), WISHES=json.dumps(wishes))
    jobs.put("in/a.csv", "1\n2\n")

    jobs.transform()
    jobs.transformed()

    assert sorted(asked(jobs)) == ["1", "2"]


def test_given_a_bad_record_then_the_job_fails_and_other_objects_have_their_output(model: JobDesk) -> None:
    model.put("in/a.csv", "one,two")
    model.put("in/b.csv", "1,2")

    model.transform()

    job = model.transformed()
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", "ClientError: See job logs for more information")
    assert model.keys("out") == ["out/b.csv.out"]
    assert any(line.endswith(f"{model.bucket}/in/a.csv: ClientError: 400") for line in model.lines(GROUP))


def test_given_a_model_that_breaks_then_it_is_asked_again_and_the_job_fails(model: JobDesk) -> None:
    model.put("in/a.csv", "broken")

    model.transform(ModelClientConfig={"InvocationsMaxRetries": 1, "InvocationsTimeoutInSeconds": 60})

    assert model.transformed()["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert asked(model) == ["broken", "broken"]
    assert any(line.endswith("a.csv: Bad HTTP status received from algorithm: 500") for line in model.lines(GROUP))


def test_given_a_record_that_is_too_long_then_the_job_fails(model: JobDesk) -> None:
    model.put("in/a.csv", "1," * (1 << 20))

    model.transform(MaxPayloadInMB=1)

    assert model.transformed()["FailureReason"] == "ClientError: See job logs for more information"
    assert any(line.endswith("a.csv: Too much data for max payload size") for line in model.lines(GROUP))


def test_given_a_model_that_does_not_load_then_the_job_fails(jobs: JobDesk) -> None:
    jobs.model(jobs.serving_image(), EXITS="yes")
    jobs.put("in/a.csv", "1")

    jobs.transform()

    assert jobs.transformed()["FailureReason"] == "AlgorithmError: See job logs for more information"


def test_given_a_running_job_when_it_is_stopped_then_it_ends_as_stopped_and_stores_nothing(model: JobDesk) -> None:
    model.put("in/a.csv", "1")
    model.put("in/b.csv", "hang")
    model.transform()
    model.wait_for_line(GROUP, 'asked "hang" text/csv */*')

    model.sagemaker.stop_transform_job(TransformJobName="job")

    assert model.transformed()["TransformJobStatus"] == "Stopped"
    assert model.keys("out") == []


@pytest.mark.parametrize("artifact", [b"no archive", packed("../../out", b"")], ids=["no archive", "leads out"])
def test_given_an_artifact_that_cannot_be_unpacked_then_the_job_fails(jobs: JobDesk, artifact: bytes) -> None:
    jobs.model(jobs.serving_image(), artifact=artifact)
    jobs.put("in/a.csv", "1")

    jobs.transform()

    assert jobs.transformed()["FailureReason"].startswith("ClientError: Failed to extract model data archive")


def test_given_no_input_then_the_job_fails_with_its_uri(model: JobDesk) -> None:
    model.transform()

    assert f'No S3 objects found under S3 URL "{model.uri("in/")}"' in model.transformed()["FailureReason"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"MaxPayloadInMB": 50, "MaxConcurrentTransforms": 4}, "must not exceed 100 MB"),
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "NotImplemented.*DataProcessing"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "NotImplemented.*DataProcessing"),
        ({"source": {"SplitType": "RecordIO"}}, "SplitType RecordIO"),
        ({"model": "nobody"}, "Could not find model"),
    ],
)
def test_given_a_request_that_makes_no_sense_then_it_is_refused(model: JobDesk, more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ClientError, match=complaint):
        model.transform(**more)
