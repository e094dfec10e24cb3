from __future__ import annotations

from pathlib import Path

import pytest

from demo.temporal import TemporalServer
from tests.support.shell import Shell
from tests.support.world import World


@pytest.fixture
def shell(temporal: TemporalServer, world: World, tmp_path: Path) -> Shell:
    return Shell(temporal, world.task_queue, tmp_path)
