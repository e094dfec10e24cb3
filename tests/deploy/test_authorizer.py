"""The server of deploy/temporal/authorizer, built and run: what each permission reaches, and whom events name."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    PollWorkflowTaskQueueRequest,
    ResetWorkflowExecutionRequest,
    RespondWorkflowTaskCompletedRequest,
)
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from sandbox.testkit.go_programs import go_command
from slipway.api import Decision, OperatorCommand
from slipway.cli.plan import ask
from slipway.cli.temporal_errors import explain_temporal
from slipway.plan import PlanRequest
from slipway.temporal.connect import connect
from slipway.temporal.principals import payload_sha256, principal_of
from slipway.temporal.setup import WANTED, check, set_up
from slipway.temporal.start import Handle, promotion, send_update, start_promotion
from tests.support.secured import BUILD, SOURCES, SecuredTemporal, server_program
from tests.support.waiting import PATIENCE, until_asked
from tests.support.world import EVIDENCE, World, request, working

pytestmark = pytest.mark.timeout(BUILD + 120)
QUEUE = "slipway"
"""The authorizer lets CI start on this task queue only."""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredTemporal]:
    server = SecuredTemporal(tmp_path_factory.mktemp("secured"))
    server.start()
    try:
        asyncio.run(_prepare(server))
        yield server
    finally:
        server.process.stop()


async def _prepare(server: SecuredTemporal) -> None:
    root = await server.connect("root", "temporal-system:admin", "default:admin")
    await set_up(root)
    # A frontend learns of them with its next look at the namespaces.
    query = " AND ".join(f"{name} IS NULL" for name in WANTED)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await root.count_workflows(query)
        except RPCError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


@pytest.fixture
async def ci(secured: SecuredTemporal) -> Client:
    return await secured.connect("ci-job", "default:ci")


@pytest.fixture
async def ana(secured: SecuredTemporal) -> Client:
    return await secured.connect("ana", "default:people")


@pytest.fixture
async def worker(secured: SecuredTemporal) -> Client:
    return await secured.connect("worker-1", "default:worker")


@pytest.fixture
async def waiting(ci: Client, ana: Client, worker: Client) -> AsyncIterator[Handle]:
    """A promotion that CI started, at the approval; the handle is ana's."""
    async with working(worker, World(task_queue=QUEUE)):
        started, is_new = await start_promotion(ci, request(), QUEUE)
        assert is_new
        handle = promotion(ana, started.id)
        await until_asked(handle)
        yield handle


async def denied(call: Awaitable[object]) -> str:
    with pytest.raises(RPCError) as refusal:
        await call
    assert refusal.value.status is RPCStatusCode.PERMISSION_DENIED
    return explain_temporal(refusal.value)[1].answered


async def events_of(handle: WorkflowHandle[object, object], kind: EventType.ValueType) -> list[HistoryEvent]:
    return [event async for event in handle.fetch_history_events() if event.event_type == kind]


async def principals(handle: WorkflowHandle[object, object], kind: EventType.ValueType) -> list[str]:
    return [f"{event.principal.type}:{event.principal.name}" for event in await events_of(handle, kind)]


def test_given_the_authorizer_when_its_own_tests_run_then_they_pass() -> None:
    server_program()  # its packages are compiled then
    done = subprocess.run(
        [go_command("the authorizer's tests"), "test", "./..."], cwd=SOURCES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_given_ci_people_and_a_worker_when_each_does_its_part_then_the_model_is_promoted(waiting: Handle) -> None:
    await send_update(waiting, "approve", Decision(by="ana", evidence=EVIDENCE))
    status = await waiting.result()
    assert status.outcome == "promoted"


async def test_given_the_token_of_ci_when_it_does_more_than_start_then_it_is_denied(waiting: Handle, ci: Client) -> None:
    handle = promotion(ci, waiting.id)
    said = await denied(handle.signal("approve", {"by": "ana", "evidence": EVIDENCE}))
    assert "the permission ci plans and starts promotions and looks at their status" in said
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: send_update(handle, "approve", Decision(by="ana", evidence=EVIDENCE)),
        handle.cancel,
        handle.terminate,
        lambda: handle.query("evidence"),
        lambda: ci.start_workflow("RolloutWorkflow", id=str(uuid4()), task_queue=QUEUE),
        lambda: ci.start_activity("set_approval", id=str(uuid4()), task_queue=QUEUE, start_to_close_timeout=timedelta(minutes=1)),
        lambda: ci.start_workflow("PromotionWorkflow", id=str(uuid4()), task_queue=QUEUE, run_timeout=timedelta(minutes=1)),
        lambda: ci.start_workflow(
            "PromotionWorkflow", id=waiting.id, task_queue=QUEUE, id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING
        ),
        lambda: ci.workflow_service.poll_workflow_task_queue(PollWorkflowTaskQueueRequest(namespace="default")),
    ]
    for call in calls:
        await denied(call())
    assert (await handle.query("status")) is not None
    await send_update(waiting, "abort", OperatorCommand(by="ana"))
    await waiting.result()


@pytest.mark.usefixtures("waiting")
async def test_given_the_tokens_of_ci_and_an_approver_when_they_ask_for_a_plan_then_they_get_it(ci: Client, ana: Client) -> None:
    asked = PlanRequest(request=request())
    assert (await ask(ci, asked, QUEUE)).promotion == asked.request.promotion_id
    assert (await ask(ana, asked, QUEUE)).promotion == asked.request.promotion_id
    await denied(ci.start_workflow("PlanWorkflow", asked, id=asked.request.promotion_id, task_queue=QUEUE))


async def test_given_an_approver_when_a_worker_or_an_activity_is_wanted_then_it_is_denied(waiting: Handle, ana: Client) -> None:
    await denied(ana.workflow_service.poll_workflow_task_queue(PollWorkflowTaskQueueRequest(namespace="default")))
    await denied(
        ana.start_activity("set_approval", id=str(uuid4()), task_queue=QUEUE, start_to_close_timeout=timedelta(minutes=1))
    )
    await denied(waiting.terminate())
    await send_update(waiting, "abort", OperatorCommand(by="ana"))
    await waiting.result()


async def test_given_no_token_or_one_of_no_use_here_when_it_connects_then_nothing_is_shown(secured: SecuredTemporal) -> None:
    admin = ("default:admin",)
    for token in (None, secured.token("x"), secured.token("x", "other:admin")):
        client = await secured.connect_with(token)
        await denied(client.count_workflows())
    for token in (
        secured.token("x", *admin, exp=1),
        secured.token("x", *admin, exp=None),
        secured.token("x", *admin, aud="another.server"),
        secured.token("x", *admin)[:-4] + "AAAA",
    ):
        with pytest.raises(RuntimeError, match="PermissionDenied"):
            await secured.connect_with(token)


async def test_given_a_workers_file_with_address_and_token_when_it_connects_then_it_finds_its_namespace(
    secured: SecuredTemporal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(
        f'[profile.default]\naddress = "{secured.address}"\nnamespace = "default"\n'
        f'api_key = "{secured.token("worker-1", "default:worker")}"\n'
        f'[profile.default.tls]\nserver_ca_cert_path = "{secured.folder / "ca.pem"}"\n'
    )
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    await check(await connect())


async def test_given_a_decision_when_its_event_is_looked_at_then_a_signal_names_its_sender_and_an_update_the_worker(
    waiting: Handle, worker: Client, secured: SecuredTemporal
) -> None:
    refused = {"by": "mallory", "evidence": EVIDENCE}
    bo = promotion(await secured.connect("bo", "default:people"), waiting.id)
    # Whoever sends it cannot choose: such members of a call are taken out.
    await bo.signal("approve", refused, rpc_metadata={"temporal-principal-name": "ana", "temporal-principal-type": "jwt"})
    await send_update(waiting, "approve", Decision(by="ana", evidence=EVIDENCE))
    await waiting.result()
    assert await principals(waiting, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED) == ["jwt:ci-job"]
    assert await principals(waiting, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == ["jwt:bo"]
    assert await principals(waiting, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) == ["jwt:worker-1"]
    run_id = (await waiting.describe()).run_id
    assert await principal_of(worker, waiting.id, run_id, signal="approve", sha256=payload_sha256(refused)) == "jwt:bo"


async def test_given_signals_during_a_workflow_task_when_they_are_written_then_each_names_its_own_sender(
    ana: Client, worker: Client, secured: SecuredTemporal
) -> None:
    root, bo = await secured.connect("root", "default:admin"), await secured.connect("bo", "default:people")
    queue, workflow_id = str(uuid4()), str(uuid4())
    await root.start_workflow("Any", id=workflow_id, task_queue=queue)
    poll = PollWorkflowTaskQueueRequest(namespace="default")
    poll.task_queue.name = queue
    task = await worker.workflow_service.poll_workflow_task_queue(poll)
    await ana.get_workflow_handle(workflow_id).signal("approve", {"by": "ana"})
    await bo.get_workflow_handle(workflow_id).signal("approve", {"by": "bo"})
    await worker.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token)
    )
    handle = root.get_workflow_handle(workflow_id)
    assert await principals(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == ["jwt:ana", "jwt:bo"]
    await handle.terminate()


async def test_given_a_reset_when_signals_are_written_again_then_they_are_not_taken_for_ones_of_whoever_reset(
    ana: Client, worker: Client, secured: SecuredTemporal
) -> None:
    root = await secured.connect("root", "default:admin")
    said = {"by": "ana", "evidence": EVIDENCE}
    queue, workflow_id = str(uuid4()), str(uuid4())
    await root.start_workflow("Any", id=workflow_id, task_queue=queue)
    poll = PollWorkflowTaskQueueRequest(namespace="default")
    poll.task_queue.name = queue
    task = await worker.workflow_service.poll_workflow_task_queue(poll)
    await worker.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token)
    )
    handle = root.get_workflow_handle(workflow_id)
    await ana.get_workflow_handle(workflow_id).signal("approve", said)
    first = (await handle.describe()).run_id
    reset = ResetWorkflowExecutionRequest(
        namespace="default", workflow_task_finish_event_id=4, request_id=str(uuid4()), reason="try"
    )
    reset.workflow_execution.workflow_id = workflow_id
    again = (await root.workflow_service.reset_workflow_execution(reset)).run_id
    # The server writes the signal again, and names root.
    rewritten = root.get_workflow_handle(workflow_id, run_id=again)
    assert await principals(rewritten, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == ["jwt:root"]
    assert await principal_of(worker, workflow_id, first, signal="approve", sha256=payload_sha256(said)) == "jwt:ana"
    assert not await principal_of(worker, workflow_id, again, signal="approve", sha256=payload_sha256(said))
    await handle.terminate()
