"""What Temporal shows of a promotion: its current details and its search attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

with workflow.unsafe.imports_passed_through():
    from slipway.api import PromotionRequest
    from slipway.temporal import search_attributes as attributes
    from workflows.state.promotion import PromotionState

from workflows.details import render

TARGETS_LIMIT = 1_500
"""Bytes of endpoint names that are searchable. The server terminates a workflow whose attribute has more than 2,048."""


class StatusView:
    """Shows a promotion's state.

    Args:
        promotion_id: The workflow's id.
        request: What was asked for.
        state: What is shown.
    """

    def __init__(self, promotion_id: str, request: PromotionRequest, state: PromotionState) -> None:
        self._id = promotion_id
        self._request = request
        self._state = state

    def show(self) -> None:
        """Set the current details, which cost no event."""
        workflow.set_current_details(render(self._state.status(self._id, self._request)))

    def index(self, *, state: attributes.State, waiting_for: str | None = None) -> None:
        """Set the search attributes that changed: one event for all of them, or none. The app's was set at the start."""
        wanted: dict[Any, Any] = {
            attributes.STAGE: self._state.current.value,
            attributes.STATE: state.value,
            attributes.WAITING_FOR: waiting_for,
        }
        if self._state.app:
            targets = self._state.app.spec.spec.rollout.targets
            wanted[attributes.TARGETS] = fitting(target.endpoint for target in targets)
        present = workflow.info().typed_search_attributes
        updates: list[SearchAttributeUpdate[Any]] = [
            key.value_unset() if value is None else key.value_set(value)
            for key, value in wanted.items()
            if present.get(key) != value
        ]
        if updates:
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] -- the SDK's own type is partial


def fitting(names: Iterable[str], limit: int = TARGETS_LIMIT) -> list[str]:
    """The different names, as many as fit into so many bytes, and `…` where some are left out."""
    kept: list[str] = []
    size = 0
    for name in dict.fromkeys(names):
        size += len(name.encode()) + len('"",')
        if size > limit:
            return [*kept, "…"]
        kept.append(name)
    return kept
