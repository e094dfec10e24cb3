"""Runs workflows in the SDK's sandbox, and keeps two faults of the SDK (temporalio 1.35) away from them.

A query that is ahead: a worker that does not have a workflow in memory reads its history to answer a query. The SDK then gives
the workflow all events up to now, and keeps what it decides by them until its next task. If that task brings more events, the
history says that all of them came at once. A replay gives them to the workflow at once too, and it may decide otherwise. Such a
workflow never goes on. This takes a worker that was killed, somebody who watches, and two events within the ten seconds after
which Temporal gives a task to another worker. So a workflow that is ahead is taken out of memory with the answer, and its next
task begins anew.

A task that is slow: the SDK fails a workflow task after two seconds, and interrupts its thread. The interruption may come at a
moment after which the workflow cannot be taken out of memory any more. Then the worker cannot go on with it, and never stops.
All that it takes is a busy machine. So a slow task is failed but not interrupted: it ends by itself, and is done again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

_NO_EVENTS = frozenset({"query_workflow", "remove_from_cache"})
"""The jobs of an activation that bring the workflow nothing new."""


def guarded_worker(make: Callable[..., Worker], inner: WorkflowRunner | None = None, **options: Any) -> Worker:
    """A worker whose workflows may be asked at any time, and may be slow.

    Args:
        make: Makes a worker.
        inner: How it runs workflows; in the sandbox where none is given.
        options: What it is made with.
    """
    runner = GuardedRunner(inner or SandboxedWorkflowRunner())
    worker = make(workflow_runner=runner, **options)
    runner.attend(worker)
    return worker


class GuardedRunner(WorkflowRunner):
    """The runner of one worker.

    Args:
        inner: How it runs workflows.
    """

    def __init__(self, inner: WorkflowRunner) -> None:
        self._inner = inner
        self._evict: Callable[[str], None] = lambda _: None

    def attend(self, worker: Worker) -> None:
        """Take workflows out of this worker's memory. Without one, as in a replay, none is."""
        # The SDK has no public way.
        self._evict = worker._bridge_worker.request_workflow_eviction  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001

    def prepare_workflow(self, defn: Any) -> None:
        self._inner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._inner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(self._inner.create_instance(det), self._evict)


class _Instance(WorkflowInstance):
    """One run of a workflow.

    Args:
        inner: Runs it.
        evict: Takes a run out of the worker's memory, after what is being done for it.
    """

    def __init__(self, inner: WorkflowInstance, evict: Callable[[str], None]) -> None:
        self._inner = inner
        self._evict = evict
        self._task_began = 0
        self._events = 0
        self._is_ahead = False
        # What takes a run out of memory must not begin beside a task that is slow; the SDK does not wait for it.
        self._active = threading.Lock()

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        jobs = {job.WhichOneof("variant") for job in act.jobs}
        if not jobs <= _NO_EVENTS:
            self._is_ahead = self._is_ahead or self._has_no_task_for(act)
            self._task_began, self._events = act.timestamp.ToNanoseconds(), act.history_length
        elif self._is_ahead and "query_workflow" in jobs:
            self._evict(act.run_id)
        with self._active:
            return self._inner.activate(act)

    def _has_no_task_for(self, act: WorkflowActivation) -> bool:
        """Whether it brings more events, but not the start of a task: the workflow's time is that start, and has not changed."""
        return act.timestamp.ToNanoseconds() == self._task_began and act.history_length > self._events

    # Slipway's converter reads neither. To ask the sandbox, three times for each payload, takes a tenth of a worker's time.

    def get_serialization_context(self, command_info: Any) -> None:
        del command_info

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        del command_info
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> Any:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        # The SDK interrupts the thread that it is told.
        return None
