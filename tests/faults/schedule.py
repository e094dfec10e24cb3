"""What an example of a rollout is: its spec, its model, and what goes wrong at which moment. Drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from hypothesis import strategies as st

Kind = Literal["at once", "canary", "linear", "rolling"]
OnFailure = Literal["stop", "rollbackWave", "rollbackAll"]
Model = Literal["good", "wrong", "fails", "recovers", "crashes"]
Action = Literal["abort", "kill", "alarm"]
Steer = Literal["retry", "abort"]
KINDS: tuple[Kind, ...] = ("at once", "canary", "linear", "rolling")
ON_FAILURE: tuple[OnFailure, ...] = ("stop", "rollbackWave", "rollbackAll")
MODELS: tuple[Model, ...] = ("wrong", "fails", "recovers", "crashes")
CALM: tuple[Action, ...] = ("abort", "alarm")
STEERS: tuple[Steer, ...] = ("retry", "retry", "abort")
SCALING = "application-autoscaling"
MUTATIONS = (
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "CreateEndpoint"),
    ("sagemaker", "UpdateEndpoint"),
    ("sagemaker", "DeleteEndpoint"),
    ("sagemaker", "AddTags"),
    ("sagemaker", "UpdateModelPackage"),
    ("sagemaker-runtime", "InvokeEndpoint"),
    (SCALING, "DeregisterScalableTarget"),
    (SCALING, "RegisterScalableTarget"),
    (SCALING, "PutScalingPolicy"),
)
"""The calls after which something may happen. The test makes none of them while a promotion runs."""
READS = (
    ("sagemaker", "DescribeEndpoint"),
    ("sagemaker", "DescribeEndpointConfig"),
    ("sagemaker", "DescribeModel"),
    ("sagemaker", "DescribeModelPackage"),
    ("sagemaker", "ListTags"),
    ("sagemaker", "ListEndpoints"),
    ("cloudwatch", "DescribeAlarms"),
    (SCALING, "DescribeScalableTargets"),
)
FAULTS = ("throttle", "server-error", "reset", "lost-answer", "denied")
DIALS = ("capacity", "rollback", "rollback with a reason", "rollback-failed")


@dataclass(frozen=True)
class Fault:
    """What some of the worker's calls of one operation come to."""

    service: str
    operation: str
    kind: str
    count: int


@dataclass(frozen=True)
class Moment:
    """When something happens: right after a call, before its answer; at a share of the traffic; in a soak; in the undoing."""

    kind: Literal["call", "share", "soak", "undoing", "begin"]
    service: str = ""
    operation: str = ""
    share: float = 0.0
    at: int = 0
    """Which target's traffic."""


@dataclass(frozen=True)
class Event:
    """Something that somebody does, or that happens to the worker or to an alarm."""

    moment: Moment
    action: Action


@dataclass(frozen=True)
class Steering:
    """What an operator does where a promotion is parked."""

    command: Steer
    heals: bool
    """Whether the cause is fixed first: faults end, alarms are OK, a broken endpoint is brought back by hand."""


@dataclass(frozen=True)
class Schedule:
    """One example."""

    number: int
    kind: Kind
    has_alarms: bool
    has_bake: bool
    waves: tuple[int, ...]
    """Targets by wave."""
    at_once: int | None
    soaks: bool
    on_failure: OnFailure
    instances: int
    new_target: bool
    """Whether the last target is not there yet."""
    scaled: bool
    """Whether the first target is scaled automatically, and gets another instance type."""
    marked: bool
    """Whether an earlier promotion left its mark on the targets."""
    model: Model
    tries: int
    manual: bool
    rejects: bool
    dials: tuple[tuple[int, str], ...] = ()
    """Targets, and what SageMaker makes of their next update."""
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
    steering: tuple[Steering, ...] = field(default=())

    @property
    def targets(self) -> int:
        return sum(self.waves)


def schedules() -> st.SearchStrategy[Schedule]:
    """Any example. Drawn part by part, most of a hundred would have no events at all: hypothesis begins with what is simple."""
    return st.integers(0, 2**32 - 1).map(schedule_of)


def schedule_of(number: int) -> Schedule:
    """One example by its number. In one of three the worker may die: that costs ten seconds."""
    random = Random(number)
    kind = random.choice(KINDS)
    waves = random.choice(((1,), (1,), (2,), (1, 1), (1, 2)))
    new_target, scaled, soaks = random.random() < 0.3, random.random() < 0.3, random.random() < 0.5
    moments = _moments(new_target=new_target, updates=sum(waves) > new_target, scaled=scaled, soaks=soaks and len(waves) > 1)
    actions: tuple[Action, ...] = random.choice((CALM, CALM, (*CALM, "kill")))
    return Schedule(
        number=number,
        kind=kind,
        has_alarms=random.random() < 0.7,
        has_bake=random.random() < 0.5 and kind != "rolling",
        waves=waves,
        at_once=random.choice((None, None, 1)),
        soaks=soaks,
        on_failure=random.choice(ON_FAILURE),
        instances=random.randint(1, 4),
        new_target=new_target,
        scaled=scaled,
        marked=random.random() < 0.5,
        model=random.choice(MODELS) if random.random() < 0.35 else "good",
        tries=random.randint(1, 2),
        manual=random.random() < 0.5,
        rejects=random.random() < 0.05,
        dials=tuple((random.randrange(sum(waves)), random.choice(DIALS)) for _ in range(random.choice((0, 0, 1)))),
        faults=tuple(_fault(random) for _ in range(random.randint(0, 3))),
        events=tuple(Event(random.choice(random.choice(moments)), random.choice(actions)) for _ in range(random.randint(0, 3))),
        steering=tuple(Steering(random.choice(STEERS), heals=random.random() < 0.5) for _ in range(random.randint(0, 2))),
    )


def _fault(random: Random) -> Fault:
    service, operation = random.choice((*MUTATIONS, *READS))
    return Fault(service, operation, random.choice(FAULTS), random.choice((1, 1, 1, 3)))


def _moments(*, new_target: bool, updates: bool, scaled: bool, soaks: bool) -> list[list[Moment]]:
    """The moments that a rollout may have, kind by kind. An event whose moment never comes would hold up those behind it."""
    never = {
        *(("CreateEndpoint", "DeleteEndpoint") if not new_target else ()),
        *(("UpdateEndpoint",) if not updates else ()),
        *((operation for service, operation in MUTATIONS if service == SCALING) if not (scaled and updates) else ()),
    }
    calls = [Moment("call", service, operation) for service, operation in MUTATIONS if operation not in never]
    shares = [Moment("share", share=share, at=at) for share in (0.0, 0.5, 1.0) for at in range(3)]
    soak = [[Moment("soak")]] if soaks else []
    return [calls, calls, shares, [Moment("begin")], [Moment("undoing")], *soak]
