from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from temporalio.bridge.proto.workflow_activation import (
    RemoveFromCache,
    SignalWorkflow,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from slipway.temporal.runner import GuardedRunner

PATIENCE = 20


class Instance(WorkflowInstance):
    """A workflow whose task goes on until it is let go, and which notes what is done with it."""

    def __init__(self) -> None:
        self.is_busy = threading.Event()
        self.is_let_go = threading.Event()
        self.done: list[str] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        kind = act.jobs[0].WhichOneof("variant") or ""
        if kind == "signal_workflow":
            self.is_busy.set()
            assert self.is_let_go.wait(PATIENCE)
        self.done.append(kind)
        return WorkflowActivationCompletion()

    def get_serialization_context(self, command_info: Any) -> None: ...
    def get_external_store_context(self, command_info: Any) -> Any: ...
    def get_info(self) -> Any: ...
    def get_thread_id(self) -> int | None: ...


class Runner(WorkflowRunner):
    """Runs that one workflow."""

    def __init__(self) -> None:
        self.instance = Instance()

    def prepare_workflow(self, defn: Any) -> None: ...
    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None: ...
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        del det
        return self.instance


def test_given_a_task_that_goes_on_when_its_workflow_is_taken_out_of_memory_then_that_waits_for_the_task() -> None:
    runner = Runner()
    guarded = GuardedRunner(runner).create_instance(cast("WorkflowInstanceDetails", None))
    signalled = WorkflowActivation(jobs=[WorkflowActivationJob(signal_workflow=SignalWorkflow())])
    removed = WorkflowActivation(jobs=[WorkflowActivationJob(remove_from_cache=RemoveFromCache())])
    with ThreadPoolExecutor() as pool:
        first = pool.submit(guarded.activate, signalled)
        assert runner.instance.is_busy.wait(PATIENCE)
        second = pool.submit(guarded.activate, removed)
        runner.instance.is_let_go.set()
        first.result(PATIENCE)
        second.result(PATIENCE)
    assert runner.instance.done == ["signal_workflow", "remove_from_cache"]
