from slipway_sandbox.testing import SandboxProcess


def test_given_two_accounts_when_one_calls_then_only_its_calls_are_counted(sandbox: SandboxProcess, account: str) -> None:
    sandbox.client("ecr", account).create_repository(repositoryName="app")

    assert sandbox.counts(account) == {"ecr.CreateRepository": 1}
    assert sandbox.calls(account=account)[0]["request"] == {"repositoryName": "app"}
