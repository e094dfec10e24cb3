"""What was measured, as lines that start with `name value`, and as JSON."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """A bound."""

    bound: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"goal {'>=' if self.at_least else '<='} {self.bound:g}"


GOALS = {
    "promotion_to_bare_script_wall_ratio": Goal(1.15),
    "promotions_per_minute_to_empty_workflow_ratio": Goal(0.8, at_least=True),
    "history_events": Goal(186),
    "history_bytes": Goal(100_000),
    "endpoint_calls_1000_to_10_waiting_ratio": Goal(5),
    "execution_calls_1000_to_10_waiting_ratio": Goal(5),
    "change_to_next_step_seconds_p95": Goal(2),
    "image_packages_mb": Goal(15),
    "image_start_ratio": Goal(0.2),
    "sandbox_start_seconds": Goal(1.5),
    "sandbox_idle_mb": Goal(150),
    "describe_endpoint_ms_among_10000": Goal(20),
    "describe_execution_ms_among_10000": Goal(20),
    "slipway_help_cpu_seconds": Goal(0.45),
    "slipway_lint_cpu_seconds": Goal(0.65),
    "slipway_status_cpu_seconds": Goal(1.0),
    # The same on any machine: one that imports the SDK without need is above.
    "slipway_help_to_import_temporalio_ratio": Goal(1.0),
    "slipway_lint_to_import_temporalio_ratio": Goal(1.5),
    "slipway_status_to_import_temporalio_ratio": Goal(1.85),
}
"""The goals that were set. Every other figure explains one of these."""


def line_of(name: str, value: float) -> str:
    """One figure, and how it stands to its goal."""
    goal = GOALS.get(name)
    comment = f"  # {goal}: {'met' if goal.is_met(value) else 'MISSED'}" if goal else ""
    return f"{name} {value:.10g}{comment}"


def write(figures: dict[str, float], file: Path) -> None:
    """Keep the figures, and those goals that were measured."""
    goals = {
        name: {"bound": goal.bound, "at_least": goal.at_least, "met": goal.is_met(figures[name])}
        for name, goal in GOALS.items()
        if name in figures
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"figures": figures, "goals": goals}, indent=2) + "\n", encoding="utf-8")


def ratio_of_pairs(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of runs that stood side by side: what slows the machine down for a while weighs on both."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def told(text: str) -> None:
    """Progress, on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
