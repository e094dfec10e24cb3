"""What a reset of an account forgets."""

from __future__ import annotations

from slipway_sandbox.testing import SandboxProcess, fresh_account


def buckets(sandbox: SandboxProcess, account: str) -> list[str]:
    """The account's buckets."""
    return [bucket["Name"] for bucket in sandbox.client("s3", account).list_buckets()["Buckets"]]


def test_given_an_account_when_it_is_reset_then_nothing_of_it_is_left(sandbox: SandboxProcess, account: str) -> None:
    sandbox.client("s3", account).create_bucket(Bucket=f"gone-{account}")
    sandbox.client("ecr", account).create_repository(repositoryName="gone")

    sandbox.reset(account)

    assert buckets(sandbox, account) == []
    assert sandbox.client("ecr", account).describe_repositories()["repositories"] == []


def test_given_an_account_when_it_is_reset_then_other_accounts_stay(sandbox: SandboxProcess, account: str) -> None:
    other = fresh_account()
    sandbox.client("s3", account).create_bucket(Bucket=f"gone-{account}")
    sandbox.client("s3", other).create_bucket(Bucket=f"other-{other}")
    sandbox.client("s3", other).put_object(Bucket=f"other-{other}", Key="kept", Body=b"as it was")
    sandbox.client("ecr", other).create_repository(repositoryName="stays")

    sandbox.reset(account)

    assert buckets(sandbox, other) == [f"other-{other}"]
    assert sandbox.client("s3", other).get_object(Bucket=f"other-{other}", Key="kept")["Body"].read() == b"as it was"
    assert [each["repositoryName"] for each in sandbox.client("ecr", other).describe_repositories()["repositories"]] == ["stays"]
