from slipway_sandbox.testing import SandboxProcess, fresh_account


def test_given_an_own_account_when_it_is_left_then_nothing_of_it_is_there(sandbox: SandboxProcess) -> None:
    with sandbox.own_account() as account:
        sandbox.client("ecr", account).create_repository(repositoryName="app")

    assert sandbox.client("ecr", account).describe_repositories()["repositories"] == []


def test_given_a_sandbox_that_has_ended_when_an_account_is_left_then_that_is_no_error() -> None:
    SandboxProcess().leave(fresh_account())


def test_given_two_accounts_when_one_calls_then_only_its_calls_are_counted(sandbox: SandboxProcess, account: str) -> None:
    sandbox.client("ecr", account).create_repository(repositoryName="app")

    assert sandbox.counts(account) == {"ecr.CreateRepository": 1}
    assert sandbox.calls(account=account)[0]["request"] == {"repositoryName": "app"}
