"""Runs executions: starts the steps that may begin, each on a thread of its own, until none is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from slipway_sandbox.sagemaker.pipelines.caching import find_hit, is_cached, signature_of
from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError
from slipway_sandbox.sagemaker.pipelines.notices import move_execution, move_step, tell_step
from slipway_sandbox.sagemaker.pipelines.parts import RetryPolicy, Step
from slipway_sandbox.sagemaker.pipelines.paths import PathError
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, STEP_FAILURE, Execution, StepRun
from slipway_sandbox.sagemaker.pipelines.steps import PERFORM, send_callback
from slipway_sandbox.sagemaker.pipelines.work import (
    LONGEST_REASON,
    SERVICE_FAULT,
    THROTTLING,
    AbandonedError,
    Outcome,
    StepError,
    Tools,
    Work,
)

log = logging.getLogger(__name__)
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
Peers = Callable[[Execution], Iterable[Execution]]
BY_ITSELF = RetryPolicy.model_validate({"ExceptionType": (SERVICE_FAULT, THROTTLING)})
"""What AWS does about these where a step has no policy for them."""


class Runner:
    """Moves executions on. Its methods are called under SageMaker's lock; the steps run without it.

    Args:
        tools: What steps work with.
        peers: The executions of the same pipeline, for step caching.
    """

    def __init__(self, tools: Tools, peers: Peers) -> None:
        self._tools = tools
        self._world = tools.world
        self._peers = peers

    def advance(self, execution: Execution) -> None:
        """Start what may begin, and end the execution when nothing runs any more."""
        for placed in execution.ready():
            self._start(execution, placed.step.name)
        if not execution.busy and execution.status in RUNNING:
            self._finish(execution)

    def stop(self, execution: Execution) -> None:
        """Stop the steps that run, and start no more. A Callback step runs until it is answered."""
        move_execution(self._world, execution, "Stopping")
        for run in execution.busy:
            if run.waiting:
                self._end(execution, run, Outcome("Stopped", run.failure, run.metadata))
                continue
            move_step(self._world, execution, run, "Stopping")
            if "Callback" in run.metadata:
                self._thread(execution, run, self._say_stopping)
        self.advance(execution)

    def retry(self, execution: Execution) -> None:
        """Go on from the steps that failed or were stopped."""
        for name in [name for name, run in execution.runs.items() if run.status != "Succeeded"]:
            del execution.runs[name]
        move_execution(self._world, execution, "Executing")
        self.advance(execution)

    def conclude(self, execution: Execution, run: StepRun, outcome: Outcome) -> None:
        """Note how a step ended, or try it again, and go on."""
        wait = self._wait(execution, run, outcome)
        if wait is None:
            self._end(execution, run, outcome)
            self.advance(execution)
            return
        run.waiting, run.failure = True, outcome.failure
        execution.modified = self._world.clock.now()
        self._world.clock.call_later(wait, lambda: self._again(execution, run))

    def _start(self, execution: Execution, name: str) -> None:
        attempt = execution.attempts[name] = execution.attempts.get(name, 0) + 1
        run = StepRun(name, attempt, self._world.clock.now(), self._world.clock.seconds())
        execution.runs[name] = run
        tell_step(self._world, execution, run, None)
        self._thread(execution, run, self._work)

    def _again(self, execution: Execution, run: StepRun) -> None:
        with self._world.lock("sagemaker"):
            if execution.abandoned.is_set() or not run.waiting:
                return
            run.waiting, run.failure, run.metadata = False, None, {}
            run.attempt = execution.attempts[run.name] = execution.attempts[run.name] + 1
            run.tries += 1
            self._thread(execution, run, self._work)

    def _thread(self, execution: Execution, run: StepRun, target: Callable[[Execution, StepRun], None]) -> None:
        name = f"pipeline-{execution.id}-{run.name}"
        threading.Thread(target=target, args=(execution, run), name=name, daemon=True).start()

    def _say_stopping(self, execution: Execution, run: StepRun) -> None:
        try:
            send_callback(Work(self._tools, execution, run), "Stopping")
        except (StepError, EvaluationError, PathError):
            log.exception("the queue was not told that %s is stopping", execution.arn)

    def _work(self, execution: Execution, run: StepRun) -> None:
        try:
            outcome = self._perform(execution, run)
        except AbandonedError:
            return
        if outcome is None:
            return
        with self._world.lock("sagemaker"):
            if not execution.abandoned.is_set():
                self.conclude(execution, run, outcome)

    def _perform(self, execution: Execution, run: StepRun) -> Outcome | None:
        try:
            work = Work(self._tools, execution, run)
            return self._cached(work) or PERFORM[work.step.type](work)
        except StepError as error:
            return Outcome("Failed", str(error), run.metadata, exception=error.exception)
        except (EvaluationError, PathError) as error:
            return Outcome("Failed", f"ClientError: {error}", run.metadata)
        except AbandonedError:
            raise
        except Exception:
            log.exception("the step %s of %s failed", run.name, execution.arn)
            return Outcome("Failed", INTERNAL_ERROR, run.metadata)

    def _cached(self, work: Work) -> Outcome | None:
        """The result of an earlier run, where there is one to take."""
        if not is_cached(work.step) or work.run.metadata:
            return None
        signature = signature_of(work.step, work.arguments, work.value(work.step.queue or work.step.function))
        with self._world.lock("sagemaker"):
            work.run.signature = signature
            hit = find_hit(work.step, signature, self._peers(work.execution), self._world.clock.seconds())
            if hit is None:
                return None
            execution, run = hit
            work.run.cached_from = execution.arn
            return Outcome("Succeeded", None, run.metadata, run.properties)

    def _wait(self, execution: Execution, run: StepRun, outcome: Outcome) -> float | None:
        """Simulated seconds until the step is tried again; None when it is not."""
        if outcome.exception is None or execution.status != "Executing":
            return None
        policy = policy_for(execution.step(run.name), outcome.exception)
        return policy.wait(run.tries, self._world.clock.seconds() - run.began) if policy else None

    def _end(self, execution: Execution, run: StepRun, outcome: Outcome) -> None:
        run.waiting, run.failure = False, outcome.failure[:LONGEST_REASON] if outcome.failure else None
        run.metadata = outcome.metadata or run.metadata
        run.properties = outcome.properties
        run.ended = execution.modified = self._world.clock.now()
        run.ended_at = self._world.clock.seconds()
        move_step(self._world, execution, run, outcome.status)

    def _finish(self, execution: Execution) -> None:
        status = "Stopped" if execution.status == "Stopping" else execution.verdict()
        failure = STEP_FAILURE if status in ("Failed", "CompletedWithFailures") else None
        move_execution(self._world, execution, status, failure)


def policy_for(step: Step, exception: str) -> RetryPolicy | None:
    """The policy that counts for a type of exception: the step's own, or the one that every step has."""
    own = next((policy for policy in step.retries if exception in policy.exceptions), None)
    return own or (BY_ITSELF if exception in BY_ITSELF.exceptions else None)
