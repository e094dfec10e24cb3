"""How values look on the page: jinja2 with everything escaped, and the filters that its templates use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment

KILO = 1000
LONGEST_LINE = 160
LONGEST = 4_000
"""Characters of a request that are shown."""
TONES = {
    "good": {
        "Succeeded", "Completed", "InService", "Approved", "OK", "COMPLETE", "ACTIVE", "Active", "RUNNING", "Started",
    },
    "busy": {
        "Starting", "Executing", "Stopping", "Creating", "Updating", "SystemUpdating", "Deleting", "InProgress", "Pending",
        "IN_PROGRESS", "PENDING", "PROVISIONING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "Baking",
        "ActivatingTraffic",
    },
    "warn": {"RollingBack", "PendingManualApproval", "INSUFFICIENT_DATA", "CompletedWithFailures", "Stopped", "OutOfService"},
    "bad": {"Failed", "Rejected", "ALARM", "UpdateRollbackFailed", "FAILED"},
}  # fmt: skip
TONE_OF = {state: tone for tone, states in TONES.items() for state in states}


def tone(state: object) -> str:
    """How a state is coloured: good, busy, warn, bad, or idle for one without a meaning of its own."""
    return TONE_OF.get(str(state), "idle")


def task_tone(task: dict[str, Any]) -> str:
    """A task's tone: one that stopped is judged by its exit codes."""
    if task["lastStatus"] != "STOPPED":
        return tone(task["lastStatus"])
    codes = [container.get("exitCode") for container in task.get("containers", [])]
    if task.get("stopCode") == "EssentialContainerExited" and all(code == 0 for code in codes):
        return "good"
    return "warn" if task.get("stopCode") == "UserInitiated" else "bad"


def failed(view: dict[str, Any]) -> dict[str, int]:
    """How much of what is shown went wrong, by section. A pipeline is judged by the execution that ended last."""
    ended = [
        next((run for run in pipeline["executions"]["items"] if tone(run["PipelineExecutionStatus"]) != "busy"), None)
        for pipeline in view["pipelines"]["items"]
    ]
    tones = {
        "endpoints": [tone(endpoint["EndpointStatus"]) for endpoint in view["endpoints"]["items"]],
        "pipelines": [tone(run["PipelineExecutionStatus"]) for run in ended if run],
        "tasks": [task_tone(task) for task in view["tasks"]["items"]],
        "alarms": [tone(alarm["StateValue"]) for alarm in view["alarms"]["items"]],
    }
    return {section: found.count("bad") for section, found in tones.items()}


def size(count: float | None) -> str:
    """Bytes as people say them."""
    value = float(count or 0)
    for unit in ("B", "kB", "MB"):
        if value < KILO:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KILO
    return f"{value:.1f} GB"


def number(value: float) -> str:
    """A number with thin separators, and two decimals at most."""
    return f"{value:,.2f}".rstrip("0").removesuffix(".").replace(",", "\N{NARROW NO-BREAK SPACE}")


def moment(value: datetime | str | None) -> Markup:
    """A time as a `<time>`, which the page's script says in other words: how long ago."""
    if not value:
        return Markup("–")  # noqa: RUF001
    at = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
    text = f"{at:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(at.isoformat(), text, text)


def took(start: datetime | None, end: datetime | None) -> str:
    """How long something lasted."""
    if not start or not end:
        return ""
    seconds = max(0.0, (end - start).total_seconds())
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{number(round(seconds, 1))} s"


def short(arn: str | None) -> str:
    """The last part of an ARN."""
    return (arn or "").rpartition("/")[2]


def digest(value: str | None) -> str:
    """The beginning of a digest, enough to know it by."""
    return (value or "")[:19]


def brief(request: object) -> str:
    """What a call asked for, cut where it is long."""
    text = json.dumps(request, indent=2, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def words(request: dict[str, Any]) -> str:
    """What a call asked for, in one line: its values, without structure."""
    values = [str(value) for value in request.values() if isinstance(value, str | int | float) and str(value)]
    return " · ".join(values)[:LONGEST_LINE]


def resources(needs: Sequence[dict[str, Any]]) -> list[str]:
    """What a call was made on: the last parts of the ARNs that it needed rights to, each once; nothing where that was all."""
    arns = [arn for need in needs for arn in need["resources"] if arn != "*"]
    return list(dict.fromkeys(arn.rpartition(":")[2] for arn in arns))


def anchor(*parts: object) -> str:
    """An id that elements keep from one update to the next."""
    return "-".join("".join(letter if letter.isalnum() else "_" for letter in str(part)) for part in parts)


def environment() -> Environment:
    """The templates."""
    # Most sandboxes' pages are never opened, so the start does not wait for this.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=PackageLoader("slipway_sandbox.control.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, Any]", made.filters)
    filters.update({
        "tone": tone, "task_tone": task_tone, "size": size, "number": number, "moment": moment, "short": short, "digest": digest,
        "took": took, "brief": brief, "words": words, "resources": resources, "anchor": anchor,
    })  # fmt: skip
    return made
