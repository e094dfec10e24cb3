"""`slipway watch` and `slipway status`: promotions that end, wait, and lose their worker or their server meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from demo.stack import BINARIES
from demo.temporal import TemporalServer
from slipway.api import Decision
from slipway.cli import following, reading
from slipway.progress import CopyProgress
from slipway.temporal.start import send_update, start_promotion
from tests.support.shell import Done, Shell
from tests.support.waiting import until_asked
from tests.support.world import EVIDENCE, World, approval, request, working


async def test_given_a_gate_that_is_not_met_when_it_is_watched_then_the_exit_code_says_so(
    shell: Shell, world: World, client: Client
) -> None:
    world.accuracy = 0.5
    handle, _ = await start_promotion(client, request(), world.task_queue)
    done = await shell.slipway("watch", handle.id)
    assert done.code == 3
    assert "refused: a gate is not met: accuracy: 0.5 does not meet min 0.9" in done.out.splitlines()[-1]


async def test_given_a_waiting_promotion_when_the_watch_is_limited_then_the_exit_code_says_that_it_waits(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    done = await shell.slipway("watch", handle.id, "--timeout", "1s", "--json")
    assert done.code == 4
    assert done.lines[-1]["waiting_for"]["what"] == "approval (0 of 1)"
    await handle.terminate()


def take_interrupts() -> None:
    """As in a terminal. A shell that runs the tests in the background has them ignored, which programs inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_given_a_watch_when_it_is_interrupted_once_then_the_process_ends(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    outer, inner = pty.openpty()
    environment = {**shell.environment, "TERM": "xterm"}
    watch = await asyncio.create_subprocess_exec(
        str(BINARIES / "slipway"),
        *("watch", handle.id),
        env=environment,
        stdin=inner,
        stdout=inner,
        preexec_fn=take_interrupts,
    )
    try:
        seen = b""
        while b"slipway approve" not in seen:
            seen += await asyncio.wait_for(asyncio.to_thread(os.read, outer, 65_536), 60)
        watch.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(watch.wait(), 15) == 130
    finally:
        with contextlib.suppress(ProcessLookupError):
            watch.kill()
        os.close(outer)
        os.close(inner)
        await handle.terminate()


async def test_given_a_promotion_that_ends_when_it_is_watched_then_the_end_is_noticed_before_the_next_look(
    shell: Shell, world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following.Lines, "every", 600.0)
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    watching = asyncio.create_task(shell.slipway("watch", handle.id))
    await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
    done = await asyncio.wait_for(watching, 30)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"promotion {handle.id}: promoted")


async def test_given_a_worker_that_is_away_for_a_while_when_it_is_watched_then_the_watch_goes_on(
    temporal: TemporalServer, client: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    world = World(task_queue=f"test-{uuid4()}")
    async with working(client, world):
        handle, _ = await start_promotion(client, request(), world.task_queue)
        await until_asked(handle)
    watching = asyncio.create_task(shell.slipway("watch", handle.id, "--timeout", "60s"))
    await shell.until_said("no worker answers since")
    async with working(client, world):
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
        done = await asyncio.wait_for(watching, 40)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"promotion {handle.id}: promoted"


async def test_given_no_worker_when_the_watch_is_limited_then_it_waits_until_then(
    shell: Shell, world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    handle, _ = await start_promotion(client, request(), f"nobody-{uuid4()}")
    done = await shell.slipway("watch", handle.id, "--timeout", "2s")
    assert (done.code, done.err) == (4, "")
    assert "no worker answers since" in done.out
    await handle.terminate()


async def test_given_a_server_that_goes_away_when_it_is_watched_then_the_watch_waits_for_it(
    shell: Shell, world: World, client: Client, temporal: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await until_asked(handle)
    async with Road(temporal.address) as road:
        watching = asyncio.create_task(shell.slipway("watch", handle.id, "--timeout", "50s", TEMPORAL_ADDRESS=road.address))
        await shell.until_said("waiting for approval")
        await road.close()
        await shell.until_said("Temporal does not answer since")
        await road.open()
        await send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE))
        done = await asyncio.wait_for(watching, 40)
    assert (done.code, done.err) == (0, "")


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a worker that is not there."""
    monkeypatch.setattr(reading, "QUERY_TIMEOUT", timedelta(seconds=0.5))
    monkeypatch.setattr(following.Lines, "every", 0.2)


async def test_given_no_worker_when_its_status_is_asked_for_then_temporals_own_record_is_told(
    shell: Shell, world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    handle, _ = await start_promotion(client, request(), f"nobody-{uuid4()}")
    done = await shell.slipway("status", handle.id)
    assert done.code == 1
    assert "no worker answers; by Temporal's record it is at image (running)" in done.err
    await handle.terminate()


async def test_given_a_running_task_when_its_status_is_asked_for_then_live_progress_is_shown(
    shell: Shell, world: World, client: Client
) -> None:
    world.hold("follow_task")
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await asyncio.wait_for(world.entered["follow_task"].wait(), 20)
    await until_shown(shell, handle.id, "follow_task: RUNNING")
    await handle.terminate()


@pytest.mark.parametrize(
    ("heartbeat", "shown"),
    [
        (b"", ""),
        (
            CopyProgress(copied_blobs=2, mounted_blobs=0, skipped_blobs=1, copied_bytes=12_340_000).model_dump_json().encode(),
            "12.3 MB copied",
        ),
        (b'{"status": "RUNNING", "containers": [{"name": "train"}]}', ""),
        (b"7", ""),
        (b"\x00\xff", ""),
        (b"[" * 100_000, ""),
    ],
    ids=["none", "copy", "of another release", "a number", "no JSON", "nested too deeply"],
)
def test_given_a_heartbeat_when_it_is_shown_then_it_is_one_line_or_nothing(heartbeat: bytes, shown: str) -> None:
    assert reading.describe_progress(heartbeat) == shown


@pytest.mark.parametrize("size", [10, 10_000])
async def test_given_a_step_that_is_tried_again_when_its_status_is_asked_for_then_it_says_why(
    shell: Shell, world: World, client: Client, size: int
) -> None:
    text = "ThrottlingException: slow down\n" + "x" * size
    world.fail("write_image", ApplicationError(text, next_retry_delay=timedelta(minutes=1)))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    done = await until_shown(shell, handle.id, "write_image: attempt 2 after")
    assert "attempt 2 after ThrottlingException: slow down\n" in done.out
    await handle.terminate()


async def until_shown(shell: Shell, promotion_id: str, text: str) -> Done:
    async with asyncio.timeout(20):
        while text not in (done := await shell.slipway("status", promotion_id)).out:
            assert done.code == 0, done.err
    return done


async def test_given_a_promotion_that_is_over_then_its_status_needs_no_worker(shell: Shell, world: World, client: Client) -> None:
    world.set_approval(approval(mode="auto"))
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.result()
    done = await shell.slipway("status", handle.id, "--json", SLIPWAY_UI_URL="http://localhost:8080")
    assert done.lines[0]["outcome"] == "promoted"
    assert done.lines[0]["url"] == f"http://localhost:8080/namespaces/default/workflows/{handle.id}"


async def test_given_a_promotion_that_was_terminated_then_its_status_says_that_nothing_was_undone_and_how_it_comes_back(
    shell: Shell, world: World, client: Client
) -> None:
    handle, _ = await start_promotion(client, request(), world.task_queue)
    await handle.terminate()
    done = await shell.slipway("status", handle.id)
    assert (done.code, "it was ended from outside, and nothing was undone" in done.err) == (1, True)
    assert f"temporal workflow reset --workflow-id {handle.id} --type LastWorkflowTask" in " ".join(done.err.split())


class Road:
    """The way to a server, which can be closed for a while."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._own_port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._own_port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._drive, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _drive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, there_writer}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._carry(reader, there_writer), self._carry(there_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def __aenter__(self) -> Road:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
