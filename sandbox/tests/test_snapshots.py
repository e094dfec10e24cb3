"""States that are kept: snapshots by name, and what a restart on the same folder picks up."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.world import DEFAULT_ACCOUNT, World
from slipway_sandbox.state import pickled
from slipway_sandbox.testing import SandboxProcess, SandboxStartError, fresh_account, wait_until

from sandbox.testkit.contract import behaviour


@pytest.fixture
def name(account: str) -> str:
    """A snapshot's name that no other test uses."""
    return f"of-{account}"


def buckets(sandbox: SandboxProcess, account: str) -> list[str]:
    """The account's buckets."""
    return [bucket["Name"] for bucket in sandbox.client("s3", account).list_buckets()["Buckets"]]


def test_given_a_snapshot_of_an_account_when_it_is_restored_then_that_account_is_as_it_was(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    s3, kept = sandbox.client("s3", account), f"kept-{account}"
    s3.create_bucket(Bucket=kept)
    s3.put_object(Bucket=kept, Key="large", Body=b"x" * 100_000)
    sandbox.take_snapshot(name, account)
    s3.put_object(Bucket=kept, Key="large", Body=b"changed")
    s3.create_bucket(Bucket=f"later-{account}")

    sandbox.restore_snapshot(name)

    assert buckets(sandbox, account) == [kept]
    assert s3.get_object(Bucket=kept, Key="large")["Body"].read() == b"x" * 100_000


def test_given_a_snapshot_of_an_account_when_it_is_restored_then_other_accounts_stay(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    other = fresh_account()
    sandbox.take_snapshot(name, account)
    sandbox.client("s3", other).create_bucket(Bucket=f"other-{other}")

    sandbox.restore_snapshot(name)

    assert buckets(sandbox, other) == [f"other-{other}"]


@behaviour(
    "Around the services",
    "snapshots",
    differs="EC2's networks are not kept; "
    "an account, or all, goes back to what was kept by a name, moto's services too; what ran has the end, or the new "
    "beginning, that the loss of its host would bring; uploads, lifecycle previews and the findings that a dial seeded are "
    "gone",
)
def test_given_all_that_moto_knows_of_an_account_when_it_is_restored_then_each_service_has_it_again(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    queue = sandbox.client("sqs", account).create_queue(QueueName="q")["QueueUrl"]
    sandbox.client("sqs", account).send_message(QueueUrl=queue, MessageBody="still here")
    sandbox.client("iam", account).create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    sandbox.client("ssm", account).put_parameter(Name="/p", Value="v", Type="String")
    sandbox.client("secretsmanager", account).create_secret(Name="s", SecretString="hidden")
    sandbox.client("logs", account).create_log_group(logGroupName="g")
    sandbox.take_snapshot(name, account)
    sandbox.reset(account)

    sandbox.restore_snapshot(name)

    assert sandbox.client("sqs", account).receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "still here"
    assert sandbox.client("iam", account).get_role(RoleName="r")["Role"]["RoleName"] == "r"
    assert sandbox.client("ssm", account).get_parameter(Name="/p")["Parameter"]["Value"] == "v"
    assert sandbox.client("secretsmanager", account).get_secret_value(SecretId="s")["SecretString"] == "hidden"
    assert sandbox.client("logs", account).describe_log_groups()["logGroups"][0]["logGroupName"] == "g"


def test_given_keys_of_kms_when_they_are_restored_then_what_they_locked_and_signed_is_still_theirs(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    kms = sandbox.client("kms", account)
    locking = kms.create_key()["KeyMetadata"]["KeyId"]
    signing = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    how = {"KeyId": signing, "Message": b"said", "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}
    locked, signature = kms.encrypt(KeyId=locking, Plaintext=b"hidden")["CiphertextBlob"], kms.sign(**how)["Signature"]
    sandbox.take_snapshot(name, account)
    sandbox.reset(account)

    sandbox.restore_snapshot(name)

    assert kms.decrypt(CiphertextBlob=locked)["Plaintext"] == b"hidden"
    assert kms.verify(**how, Signature=signature)["SignatureValid"]


def test_given_an_account_when_it_is_reset_then_nothing_of_it_is_left(sandbox: SandboxProcess, account: str) -> None:
    sandbox.client("s3", account).create_bucket(Bucket=f"gone-{account}")
    sandbox.client("ecr", account).create_repository(repositoryName="gone")

    sandbox.reset(account)

    assert buckets(sandbox, account) == []
    assert sandbox.client("ecr", account).describe_repositories()["repositories"] == []


@pytest.mark.parametrize("bad", ["../../etc/passwd", "a b", ""])
def test_given_a_name_that_is_no_files_when_a_snapshot_is_asked_for_then_it_is_refused(sandbox: SandboxProcess, bad: str) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        sandbox.take_snapshot(bad)


def test_given_no_snapshot_of_a_name_when_it_is_restored_then_it_says_so(sandbox: SandboxProcess) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="there is no snapshot nothing"):
        sandbox.restore_snapshot("nothing")


def test_given_a_snapshot_when_it_is_deleted_then_it_is_listed_no_longer(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    sandbox.take_snapshot(name, account)
    listed = sandbox.control("GET", "snapshots")["snapshots"]

    sandbox.control("DELETE", f"snapshots/{name}")

    assert {"name": name, "account": account} in listed
    assert {"name": name, "account": account} not in sandbox.control("GET", "snapshots")["snapshots"]


class Command:
    """A class whose pickle would run a program."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.check_call, (["true"],)


@pytest.mark.parametrize(
    "bad", [Command(), os.getpid, signal.SIGTERM], ids=["a call", "a function", "a class of another package"]
)
def test_given_a_state_that_names_other_code_when_it_is_read_then_that_is_refused(tmp_path: Path, bad: object) -> None:
    with pytest.raises(pickled.UnreadableStateError):
        pickled.load(pickle.dumps(bad), tmp_path, World(data=tmp_path, clock=Clock()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder of a sandbox that is to come back."""
    return tmp_path / "aws"


def saved(folder: Path) -> bool:
    """Whether the sandbox on a folder has kept its state at least once."""
    return (folder / "state" / "last.state").exists()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a sandbox has kept a bucket of the default account in."""
    folder = tmp_path_factory.mktemp("stopped") / "aws"
    with SandboxProcess(data=folder, kept=True) as before:
        before.client("s3").create_bucket(Bucket="kept-bucket")
    return folder


def test_given_a_data_folder_when_the_sandbox_is_stopped_and_started_again_then_all_is_there(stopped: Path, folder: Path) -> None:
    shutil.copytree(stopped, folder)
    with SandboxProcess(data=folder, kept=True) as after:
        assert buckets(after, DEFAULT_ACCOUNT) == ["kept-bucket"]


@behaviour(
    "Around the services",
    "restarts",
    differs="the next start on the same `--data` goes on as after a snapshot, without registry passwords; what changed in the "
    "second before a kill may be lost, and in longer where there is much to save",
)
def test_given_a_sandbox_that_was_killed_when_it_is_started_again_then_what_it_kept_is_there(folder: Path, account: str) -> None:
    before = SandboxProcess(data=folder, kept=True)
    before.start()
    try:
        before.client("s3", account).create_bucket(Bucket="kept-bucket")
        wait_until(lambda: saved(folder), "the state to be kept")
    finally:
        os.kill(before.pid, signal.SIGKILL)
        before.stop()
    with SandboxProcess(data=folder, kept=True) as after:
        assert buckets(after, account) == ["kept-bucket"]


@behaviour(
    "Around the services",
    "states of other versions",
    differs="are refused: a state is for the version of the sandbox, and of moto, that saved it",
)
def test_given_a_state_of_another_version_when_the_sandbox_starts_then_it_says_what_to_do(stopped: Path, folder: Path) -> None:
    shutil.copytree(stopped, folder)
    state = folder / "state" / "last.state"
    state.write_bytes(state.read_bytes().replace(b'"sandbox":"', b'"sandbox":"9', 1))
    with pytest.raises(SandboxStartError, match=r"saved by slipway-sandbox 9.*Choose another folder with --data"):
        SandboxProcess(data=folder, kept=True).start()


def test_given_state_in_a_folder_when_others_look_then_they_cannot_read_it(stopped: Path) -> None:
    assert (stopped / "state").stat().st_mode & 0o077 == 0


def test_given_a_restored_bucket_when_another_account_wants_its_name_then_it_is_taken(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    sandbox.client("s3", account).create_bucket(Bucket=f"mine-{account}")
    sandbox.take_snapshot(name, account)
    sandbox.reset(account)
    sandbox.restore_snapshot(name)

    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        sandbox.client("s3", fresh_account()).create_bucket(Bucket=f"mine-{account}")


def test_given_an_alarm_when_its_account_is_restored_then_it_is_there_with_its_times(
    sandbox: SandboxProcess, account: str, name: str
) -> None:
    cloudwatch = sandbox.client("cloudwatch", account)
    cloudwatch.put_metric_alarm(
        AlarmName="a",
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    before = cloudwatch.describe_alarms()["MetricAlarms"]
    sandbox.take_snapshot(name, account)
    sandbox.reset(account)

    sandbox.restore_snapshot(name)

    assert cloudwatch.describe_alarms()["MetricAlarms"] == before
