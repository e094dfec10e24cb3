"""Each endpoint is rolled out once, however it is written."""

from __future__ import annotations

import pytest

from slipway.app.lint import read_app
from tests.slipway.app.test_lint import APP, FILES, SPEC, reading

PROD = "{endpoint: prod}"
ROLE = "roleArn: arn:aws:iam::222222222222:role/rollout"


def messages(waves: str, app: str = APP) -> list[str]:
    spec = SPEC.replace("waves: [{targets: [{endpoint: screening}]}]", f"waves: {waves}")
    problems = read_app(reading(FILES | {"promotion.yaml": spec, "app.pipecd.yaml": app})).problems
    return [f"{problem.path} {problem.message}" for problem in problems]


@pytest.mark.parametrize(
    ("name", "more"),
    [("prod", "region: us-east-1"), ("PROD", "region: us-east-1"), ("prod", ROLE), ("Prod", f"region: us-east-1, {ROLE}")],
)
def test_given_one_endpoint_in_two_spellings_when_the_files_are_checked_then_it_is_refused_with_both_places(
    name: str, more: str
) -> None:
    twin = f"{{endpoint: {name}, {more}}}"
    told = f"spec.rollout.waves[1].targets[1] the endpoint {name} in us-east-1 is waves[0].targets[0] already"
    assert messages(f"[{{targets: [{PROD}]}}, {{targets: [{{endpoint: other}}, {twin}]}}]") == [told]


def test_given_one_endpoint_by_two_roles_of_one_account_when_the_files_are_checked_then_it_is_refused() -> None:
    one, other = (f"{{endpoint: prod, roleArn: arn:aws:iam::333333333333:role/{name}}}" for name in ("a", "b"))
    assert "already" in "".join(messages(f"[{{targets: [{one}, {other}]}}]"))


@pytest.mark.parametrize(
    "other",
    [
        "{endpoint: prod-2}",
        "{endpoint: prod, region: eu-west-1}",
        "{endpoint: prod, roleArn: arn:aws:iam::333333333333:role/rollout}",
    ],
)
def test_given_two_endpoints_of_one_name_when_the_files_are_checked_then_they_are_allowed(other: str) -> None:
    assert messages(f"[{{targets: [{PROD}, {other}]}}]") == []


def test_given_an_arn_for_an_endpoint_when_the_files_are_checked_then_it_is_refused() -> None:
    arn = "{endpoint: 'arn:aws:sagemaker:us-east-1:222222222222:endpoint/prod'}"
    assert "spec.rollout.waves[0].targets[0].endpoint" in "".join(messages(f"[{{targets: [{arn}]}}]"))


def test_given_targets_that_are_too_large_for_temporal_when_the_files_are_checked_then_it_is_refused() -> None:
    role = f"arn:aws:iam::222222222222:role/{'r' * 500}"
    targets = ", ".join(f"{{endpoint: e{number}, roleArn: *role}}" for number in range(1, 50))
    first = f"{{endpoint: e0, roleArn: &role {role}}}"
    waves = [f"{{targets: [{first}, {targets}]}}"]
    waves += [
        f"{{targets: [{', '.join(f'{{endpoint: w{wave}e{at}, roleArn: *role}}' for at in range(50))}]}}" for wave in range(1, 20)
    ]
    (message,) = messages(f"[{', '.join(waves)}]")
    assert "and at most 300,000 fit into Temporal's messages" in message
