"""Whatever goes wrong in a rollout, it ends by one of the named outcomes, and the endpoints serve what that says.

`SLIPWAY_EXAMPLES=200` runs so many examples, drawn anew each time; without it a few that are always the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, seed, settings

from tests.faults.drive import Drive
from tests.faults.ground import Ground, Scene
from tests.faults.judge import Judge, problems_of_histories
from tests.faults.schedule import Schedule, schedule_of, schedules

T = TypeVar("T")
EXAMPLES = int(os.environ.get("SLIPWAY_EXAMPLES", "0"))
FEW = 6
SEED = 8
"""The few have each of what may go wrong, and one worker that dies."""
A_MINUTE = 60


def identity(test: T) -> T:
    """The test as it is, whose examples are drawn anew each time."""
    return test


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The servers and a worker."""
    with Ground(tmp_path_factory.mktemp("faults")) as ground:
        yield ground


@pytest.mark.slow
@pytest.mark.timeout((EXAMPLES or FEW) * A_MINUTE)
@settings(
    max_examples=EXAMPLES or FEW,
    database=None,
    deadline=None,
    # A smaller example is not worth its minutes: the events are few already, and the log says what happened.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    report_multiple_bugs=False,
    print_blob=True,
)
@(identity if EXAMPLES else seed(SEED))
@given(schedule=schedules())
@example(schedule=schedule_of(2154))  # an abort during preflight, which was lost
@example(schedule=schedule_of(134217729))  # a broken endpoint, at which nobody was asked
def test_given_faults_alarms_commands_and_crashes_when_a_model_is_rolled_out_then_the_endpoints_serve_what_the_outcome_says(
    ground: Ground, schedule: Schedule
) -> None:
    asyncio.run(rolled_out(ground, schedule))


async def rolled_out(ground: Ground, schedule: Schedule) -> None:
    """One example, from what is there before to what is there after."""
    scene = await asyncio.to_thread(Scene, ground, schedule)
    client = await ground.connect()
    drive = Drive(scene, client)
    try:
        status = await drive.run()
        problems = await asyncio.to_thread(Judge(drive, status).problems)
        problems += await problems_of_histories(client, scene, status)
        assert not problems, "\n".join([*problems, str(status), *drive.log])
    except BaseException:
        note("\n".join(drive.log))
        await drive.give_up()
        raise
    finally:
        await asyncio.to_thread(scene.tidy)
