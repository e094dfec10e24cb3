"""Runs executions: starts the steps that may begin, each on a thread of its own, until none is left."""

from __future__ import annotations

import logging
import threading

from slipway_sandbox.sagemaker.pipelines.evaluate import EvaluationError
from slipway_sandbox.sagemaker.pipelines.paths import PathError
from slipway_sandbox.sagemaker.pipelines.state import STEP_FAILURE, Execution, StepRun
from slipway_sandbox.sagemaker.pipelines.steps import PERFORM, AbandonedError, Outcome, StepError, Work
from slipway_sandbox.world import World

log = logging.getLogger(__name__)


class Runner:
    """Moves executions on. Its methods are called under SageMaker's lock; the steps run without it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def advance(self, execution: Execution) -> None:
        """Start what may begin, and end the execution when nothing runs any more."""
        for placed in execution.ready():
            self._start(execution, placed.step.name)
        if not execution.busy:
            self._finish(execution)

    def stop(self, execution: Execution) -> None:
        """Let the steps that run stop, and no further one begin."""
        execution.status = "Stopping"
        execution.modified = self._world.clock.now()
        for run in execution.busy:
            run.status = "Stopping"
        self.advance(execution)

    def retry(self, execution: Execution) -> None:
        """Go on from the steps that failed or were stopped."""
        for name in [name for name, run in execution.runs.items() if run.status != "Succeeded"]:
            del execution.runs[name]
        execution.status, execution.failure = "Executing", None
        execution.modified = self._world.clock.now()
        self.advance(execution)

    def _start(self, execution: Execution, name: str) -> None:
        attempt = execution.attempts[name] = execution.attempts.get(name, 0) + 1
        run = StepRun(execution.definition.placed[name].step, attempt, self._world.clock.now())
        execution.runs[name] = run
        title = f"pipeline-{execution.id}-{name}"
        threading.Thread(target=self._work, args=(execution, run), name=title, daemon=True).start()

    def _work(self, execution: Execution, run: StepRun) -> None:
        try:
            outcome = self._perform(execution, run)
        except AbandonedError:
            return
        with self._world.lock("sagemaker"):
            if execution.abandoned.is_set():
                return
            run.status, run.failure = outcome.status, outcome.failure
            run.metadata = outcome.metadata or run.metadata
            run.properties = outcome.properties
            run.ended = execution.modified = self._world.clock.now()
            self.advance(execution)

    def _perform(self, execution: Execution, run: StepRun) -> Outcome:
        try:
            return PERFORM[run.step.type](Work(self._world, execution, run))
        except StepError as error:
            return Outcome("Failed", str(error))
        except (EvaluationError, PathError) as error:
            return Outcome("Failed", f"ClientError: {error}")
        except AbandonedError:
            raise
        except Exception:
            log.exception("the step %s of %s failed", run.name, execution.arn)
            return Outcome("Failed", "InternalServerError: The sandbox made a mistake; its log has the details.")

    def _finish(self, execution: Execution) -> None:
        if execution.status == "Stopping":
            execution.status = "Stopped"
        elif any(run.status == "Failed" for run in execution.runs.values()):
            execution.status, execution.failure = "Failed", STEP_FAILURE
        else:
            execution.status = "Succeeded"
        execution.modified = self._world.clock.now()
