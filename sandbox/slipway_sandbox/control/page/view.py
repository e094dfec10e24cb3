"""Everything that there is in one account and region: what the page shows, and what `GET /_sandbox/view` answers."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from slipway_sandbox.control.page import endpoints, pipelines, resources
from slipway_sandbox.control.page.activity import Activity, Place
from slipway_sandbox.control.page.dials import Dials
from slipway_sandbox.control.page.reader import Memory, Reader
from slipway_sandbox.core.world import World

WHILE_BUSY = 1.0
"""Seconds after which what is under way is read again."""
WHILE_IDLE = 10.0
"""Seconds after which all is read again although no client did anything: a metric's period passes, a scan ends."""
SETTLING = 3.0
"""Seconds after a change in which more is to be expected, such as its metrics."""
SHARE = 5.0
"""Pause between two readings, in multiples of the last reading's duration, so that the page leaves the machine to the work."""
LONGEST_PAUSE = 10.0
"""Seconds after which what changed is read again, however long that takes."""
PLACES = 100
"""Accounts and regions to choose from, those with the latest calls."""
BUSY = frozenset(
    {
        "Creating",
        "Updating",
        "RollingBack",
        "SystemUpdating",
        "Deleting",
        "Executing",
        "Stopping",
        "InProgress",
        "Pending",
        "IN_PROGRESS",
    }
)


@dataclass
class Reading:
    """What was read of a place, and when."""

    place: Place
    memory: Memory = field(default_factory=Memory)
    lock: threading.Lock = field(default_factory=threading.Lock)
    resources: dict[str, Any] = field(default_factory=dict[str, Any])
    number: int = 0
    """Changes with the content."""
    changes: int = -1
    """What had been done there when it was read."""
    changed: float = 0.0
    read: float = 0.0
    took: float = 0.0
    busy: bool = True

    def is_due(self, changes: int) -> bool:
        """Whether to read again."""
        now = time.monotonic()
        if changes != self.changes:
            self.changed = now
        age = now - self.read
        lively = self.busy or now - self.changed < SETTLING
        return self.changes < 0 or age > max(WHILE_BUSY if lively else WHILE_IDLE, min(self.took * SHARE, LONGEST_PAUSE))


class Views:
    """Reads places, no more often than they change.

    Args:
        world: What is shown.
        activity: Tells when something changed.
        dials: Those of the sandbox.
    """

    def __init__(self, world: World, activity: Activity, dials: Dials) -> None:
        self._world = world
        self._activity = activity
        self._dials = dials
        self._readings: dict[Place, Reading] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def view(self, place: Place) -> tuple[dict[str, Any], str]:
        """The view of a place, and a tag that is another one whenever the view is."""
        places = self._activity.places()
        trace = self._activity.trace(place)
        found, number = self._resources(place, trace.changes) if place in places else (nothing(), 0)
        calls = {"items": [call.to_json() for call in reversed(trace.calls)], "total": trace.total, "failed": trace.failed}
        dials = self._dials.shown(place.account)
        # Always in the same order, so that an idle page stays the same.
        offered = [asdict(each) for each in sorted(places[:PLACES])]
        view = {**asdict(place), "places": offered, **found, "calls": calls, **dials}
        tag = json.dumps([asdict(place), offered, number, trace.last, trace.total, dials], default=str)
        return view, tag

    def forget(self) -> None:
        """Read everything again: after a reset, names may stand for something else."""
        with self._lock:
            self._readings.clear()

    def expire(self, place: Place) -> None:
        """Read a place again at the next look: it was changed by something that is no client's call."""
        with self._lock:
            reading = self._readings.get(place)
        if reading:
            reading.read, reading.changed = 0.0, time.monotonic()

    def _resources(self, place: Place, changes: int) -> tuple[dict[str, Any], int]:
        with self._lock:
            reading = self._readings.setdefault(place, Reading(place))
        with reading.lock:
            if reading.is_due(changes):
                # The first time is no measure: it makes the clients, too.
                first, start = reading.changes < 0, time.monotonic()
                found = read(Reader(self._world, reading.place.caller, reading.memory), changes)
                reading.read = time.monotonic()
                reading.took, reading.changes = 0.0 if first else reading.read - start, changes
                if found != reading.resources:
                    reading.resources = found
                    reading.number = next(self._numbers)
                reading.busy = is_busy(found)
            return reading.resources, reading.number


def read(reader: Reader, generation: int) -> dict[str, Any]:
    """All resources of a place."""
    clusters = resources.clusters(reader)
    found = {
        "endpoints": endpoints.endpoints(reader),
        "pipelines": pipelines.pipelines(reader, generation),
        "jobs": resources.jobs(reader),
        "packageGroups": resources.package_groups(reader),
        "clusters": clusters,
        "tasks": resources.tasks(reader, [cluster["clusterArn"] for cluster in clusters["items"]]),
        "taskDefinitions": resources.task_definitions(reader),
        "repositories": resources.repositories(reader),
        "alarms": resources.alarms(reader),
    }
    return {**found, "problems": reader.problems}


def nothing() -> dict[str, Any]:
    """The resources of a place where nothing is."""
    names = ("endpoints", "pipelines", "jobs", "packageGroups", "clusters", "tasks", "taskDefinitions", "repositories", "alarms")
    empty: dict[str, Any] = {name: {"items": [], "total": 0, "more": False} for name in names}
    return {**empty, "problems": []}


def is_busy(found: dict[str, Any]) -> bool:
    """Whether anything is under way, so that it changes by itself."""
    states = [endpoint["EndpointStatus"] for endpoint in found["endpoints"]["items"]]
    states += [job["Status"] for job in found["jobs"]["items"]]
    for pipeline in found["pipelines"]["items"]:
        states += [execution["PipelineExecutionStatus"] for execution in pipeline["executions"]["items"]]
    for repository in found["repositories"]["items"]:
        states += [image.get("imageScanStatus", {}).get("status") for image in repository["images"]["items"]]
    running = any(task.get("lastStatus") != "STOPPED" for task in found["tasks"]["items"])
    return running or not BUSY.isdisjoint(states)
