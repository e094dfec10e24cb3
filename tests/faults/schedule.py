"""What an example of a rollout is: its spec, its model, and what goes wrong at which moment. Drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

Kind = Literal["at once", "canary", "linear", "rolling"]
OnFailure = Literal["stop", "rollbackWave", "rollbackAll"]
Model = Literal["good", "wrong", "fails", "recovers", "crashes"]
Action = Literal["abort", "kill", "alarm"]
Steer = Literal["retry", "abort"]
MUTATIONS = (
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "CreateEndpoint"),
    ("sagemaker", "UpdateEndpoint"),
    ("sagemaker", "DeleteEndpoint"),
    ("sagemaker", "AddTags"),
    ("sagemaker", "UpdateModelPackage"),
    ("sagemaker-runtime", "InvokeEndpoint"),
    ("application-autoscaling", "DeregisterScalableTarget"),
    ("application-autoscaling", "RegisterScalableTarget"),
    ("application-autoscaling", "PutScalingPolicy"),
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
    ("application-autoscaling", "DescribeScalableTargets"),
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


def faults() -> st.SearchStrategy[Fault]:
    return st.builds(
        lambda operation, kind, count: Fault(*operation, kind, count),
        st.sampled_from([*MUTATIONS, *READS]),
        st.sampled_from(FAULTS),
        st.integers(1, 4),
    )


def moments() -> st.SearchStrategy[Moment]:
    return st.one_of(
        st.sampled_from(MUTATIONS).map(lambda operation: Moment("call", *operation)),
        st.builds(lambda share, at: Moment("share", share=share, at=at), st.sampled_from((0.0, 0.5, 1.0)), st.integers(0, 2)),
        st.sampled_from((Moment("soak"), Moment("undoing"), Moment("begin"))),
    )


def events(kills: bool) -> st.SearchStrategy[Event]:
    actions: tuple[Action, ...] = ("abort", "alarm", "kill") if kills else ("abort", "alarm")
    return st.builds(Event, moments(), st.sampled_from(actions))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any example. One in four has a worker that dies, which costs ten seconds until another one is let take over."""
    kind = draw(st.sampled_from(("at once", "canary", "linear", "rolling")))
    waves = draw(st.sampled_from(((1,), (2,), (1, 1), (1, 2))))
    kills = draw(st.sampled_from((False, False, False, True)))
    return Schedule(
        kind=kind,
        has_alarms=draw(st.sampled_from((True, True, False))),
        has_bake=draw(st.booleans()) and kind != "rolling",
        waves=waves,
        at_once=draw(st.sampled_from((None, None, 1))),
        soaks=draw(st.booleans()),
        on_failure=draw(st.sampled_from(("rollbackAll", "rollbackWave", "stop"))),
        instances=draw(st.integers(1, 4)),
        new_target=draw(st.sampled_from((False, False, True))),
        scaled=draw(st.sampled_from((False, False, True))),
        marked=draw(st.booleans()),
        model=draw(st.sampled_from(("good", "good", "good", "good", "wrong", "fails", "recovers", "crashes"))),
        tries=draw(st.integers(1, 2)),
        manual=draw(st.booleans()),
        rejects=draw(st.sampled_from((False,) * 9 + (True,))),
        dials=tuple(draw(st.lists(st.tuples(st.integers(0, sum(waves) - 1), st.sampled_from(DIALS)), max_size=1))),
        faults=tuple(draw(st.lists(faults(), max_size=3))),
        events=tuple(draw(st.lists(events(kills), max_size=3))),
        steering=tuple(
            draw(st.lists(st.builds(Steering, st.sampled_from(("retry", "retry", "abort")), st.booleans()), max_size=3))
        ),
    )
