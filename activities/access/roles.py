"""Who the worker is, at which places it acts, and whether it may assume the roles there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from activities.access.lookups import Denied, asked, not_looked_at
from slipway.app.spec import SPEC_FILE, Spec
from slipway.aws.clients import APP_TAG, Aws
from slipway.aws.policies import role_of
from slipway.findings import Finding, Level
from slipway.policy.check import account_of

WHERE = f"{SPEC_FILE}: spec.rollout.waves"


@dataclass(frozen=True)
class Worker:
    """Whose credentials the worker has."""

    arn: str
    account: str

    @property
    def principal(self) -> str:
        """The ARN that a policy names."""
        return role_of(self.arn)


@dataclass(frozen=True)
class Place:
    """Where the worker rolls out, and as whom."""

    account: str
    region: str
    role_arn: str | None
    """None for the worker's own credentials."""
    serving: str | None
    """The role that endpoints there are given; none where a live endpoint keeps its own."""

    @property
    def reader(self) -> str:
        """Who pulls images and reads models there: the role, or anybody in the account."""
        return self.serving or self.account


async def identity(aws: Aws, region: str) -> Worker:
    """Whose credentials the worker has. AWS tells everybody."""
    found = await aws.call("asking who the worker is", aws.sts(region).get_caller_identity)
    return Worker(arn=found["Arn"], account=found["Account"])


def places_of(spec: Spec, worker: Worker, region: str) -> list[Place]:
    """The places of all targets, each once."""
    found = [
        Place(
            account=account_of(target.role_arn) if target.role_arn else worker.account,
            region=target.region or region,
            role_arn=target.role_arn,
            serving=target.execution_role_arn or spec.rollout.variant.execution_role_arn,
        )
        for target in spec.rollout.targets
    ]
    return list(dict.fromkeys(found))


async def role_findings(aws: Aws, place: Place, worker: Worker) -> list[Finding]:
    """Whether the worker may assume the role of a place."""
    if place.role_arn is None:
        return []
    whoami = aws.sts(place.region, place.role_arn).get_caller_identity
    answer = await asked(aws.call(f"assuming the role {place.role_arn}", whoami))
    if not isinstance(answer, Denied):
        return []
    if not answer.is_denial:
        return [not_looked_at(f"whether {worker.principal} may assume {place.role_arn}", WHERE, answer.said)]
    return [
        Finding(
            level=Level.refuse,
            what=f"the role {place.role_arn} cannot be assumed by {worker.principal}",
            where=WHERE,
            why=answer.said,
            remedy="see that the role exists, add the statement to its trust policy, and let the worker's own policy allow "
            "the same actions on it",
            statement=_trust(worker),
        )
    ]


def _trust(worker: Worker) -> str:
    """As deploy/iam/rollout-trust.json has it."""
    return json.dumps(
        {
            "Effect": "Allow",
            "Principal": {"AWS": worker.principal},
            "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
            "Condition": {"StringLike": {f"aws:RequestTag/{APP_TAG}": "*"}},
        }
    )
