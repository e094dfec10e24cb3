"""When a promotion is to go on in a new run: continue as new, in Temporal's terms."""

from __future__ import annotations

from temporalio import workflow

EVENTS = 2_000
"""Events of a run after which a wait goes on in a new one. A promotion to one endpoint has about a hundred and fifty by itself;
Temporal ends a workflow at 51,200, and nothing is undone then."""
SIZE = 2_000_000
"""Bytes by which a run's history grows before a wait goes on in a new one. One signal may have 2 MB; Temporal ends a workflow at
50 MB. What the run began with does not count: a large state would otherwise be carried on without end."""


class NewRun:
    """Whether this run of a workflow has lasted long enough. Made in the workflow's constructor."""

    def __init__(self) -> None:
        info = workflow.info()
        self._worker_version = info.get_current_deployment_version()
        self._size_at_start = info.get_current_history_size()

    def is_due(self) -> bool:
        """Whether the history has grown, or a worker of another deployment version took over.

        A short history is all that a later version of the worker has to follow.
        """
        info = workflow.info()
        version = info.get_current_deployment_version()
        replaced = bool(version and version.deployment_name) and version != self._worker_version
        return replaced or self.is_long()

    def is_long(self) -> bool:
        """Whether the history has grown."""
        return workflow.info().is_continue_as_new_suggested() or self._has_grown()

    def _has_grown(self) -> bool:
        """Whether the history is larger than a promotion's own steps make it, as by signals that nobody asked for."""
        info = workflow.info()
        events, size = info.get_current_history_length(), info.get_current_history_size() - self._size_at_start
        # Promotions of an older release may have waited longer than this.
        return (events > EVENTS or size > SIZE) and workflow.patched("short-history")
