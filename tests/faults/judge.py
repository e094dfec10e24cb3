"""Whether an example ended well: with a named outcome, and with every endpoint exactly as the outcome says."""

from __future__ import annotations

from collections import Counter
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from slipway.api import LedgerEntry, LedgerState, Outcome, PromotionStatus, StageName
from slipway.served import SERVED, TAG
from tests.faults.drive import Drive
from tests.faults.ground import NEW, Scene
from tests.support.workflow_tasks import failed_tasks

FORMER = "former"
GOOD_ENDS = (LedgerState.undone, LedgerState.kept)


class Judge:
    """Looks at what is there after a promotion's end.

    Args:
        drive: The promotion.
        status: How it ended.
    """

    def __init__(self, drive: Drive, status: PromotionStatus) -> None:
        self._drive, self._scene, self._status = drive, drive.scene, status
        sandbox = drive.scene.ground.stack.sandbox
        calls = sandbox.calls(account=drive.scene.ground.account, since=drive.scene.since)
        self._calls = [call for call in calls if call["error"] is None]

    def problems(self) -> list[str]:
        """All that is not as it should be."""
        found = [*self._of_outcome(), *self._of_package(), *self._of_alarm(), *self._of_repetitions()]
        for endpoint in self._scene.endpoints:
            found += [f"{endpoint}: {problem}" for problem in self._of_endpoint(endpoint)]
        return found

    def _of_outcome(self) -> list[str]:
        outcome, promoted = self._status.outcome, self._status.outcome is Outcome.promoted
        if outcome is None:
            return ["it ended without an outcome"]
        found: list[str] = []
        expected = {LedgerState.kept} if promoted else {*GOOD_ENDS, *([LedgerState.needs_person] if self._drive.left else [])}
        # A target that was put back, and served the model after a retry, has an entry that says so.
        settled = expected | {LedgerState.undone}
        found += [f"the ledger ends with {entry}" for entry in self._status.ledger if entry.state not in settled]
        if promoted and len(self._status.endpoints) != len(self._scene.endpoints):
            found.append(f"promoted, and {len(self._status.endpoints)} of {len(self._scene.endpoints)} targets are told")
        if outcome in {Outcome.expired, Outcome.refused}:
            found.append("nothing in the example leads to that outcome")
        return found

    # --- Endpoints ---

    def _of_endpoint(self, endpoint: str) -> list[str]:
        found = self._scene.described(endpoint)
        entry = self._entry(endpoint)
        if self._status.outcome is not Outcome.promoted and entry and entry.state is LedgerState.needs_person:
            return []  # the ledger says so, and an operator left it to people
        wanted, name = self._wanted(endpoint)
        if wanted is None:
            return [f"it is there, {found['EndpointStatus']} with {found['EndpointConfigName']}"] if found else []
        if found is None:
            return ["it is gone"]
        state = (found["EndpointStatus"], found["EndpointConfigName"], found.get("PendingDeploymentSummary"))
        if state != ("InService", wanted, None):
            return [f"it is {state}, and should serve {wanted}"]
        return [*self._of_answer(endpoint, name), *self._of_tag(found), *self._of_scaling(endpoint)]

    def _wanted(self, endpoint: str) -> tuple[str | None, str]:
        """The config that the outcome says, and the model's name."""
        if self._status.outcome is not Outcome.promoted:
            return self._scene.formers[endpoint], FORMER
        told = next((served.config for served in self._status.endpoints if served.endpoint == endpoint), "none")
        return told, NEW

    def _entry(self, endpoint: str) -> LedgerEntry | None:
        """The newest entry of an endpoint's way back."""
        entries = [entry for entry in self._status.ledger if entry.stage is StageName.rollout]
        return next((entry for entry in reversed(entries) if endpoint in entry.inverse.split()), None)

    def _of_answer(self, endpoint: str, name: str) -> list[str]:
        found: list[str] = []
        answered = self._scene.answer(endpoint)
        if answered != name:
            found.append(f"the model {answered} answers, and not {name}")
        config = self._scene.described(endpoint) or {}
        config = self._scene.sagemaker.describe_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
        model = self._scene.sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        container = model.get("PrimaryContainer") or model["Containers"][0]
        is_new = container["ModelPackageName"] == self._scene.package
        if is_new != (name == NEW):
            found.append(f"it serves {container['ModelPackageName']}")
        return found

    def _of_tag(self, found: dict[str, Any]) -> list[str]:
        tags = self._scene.sagemaker.list_tags(ResourceArn=found["EndpointArn"])["Tags"]
        left = next((tag["Value"] for tag in tags if tag["Key"] == TAG), None)
        allowed = {found["EndpointConfigName"]}
        if self._status.outcome is not Outcome.promoted and not self._scene.schedule.marked:
            allowed.add(None)
        return [] if left in allowed else [f"its tag names {left}: the next promotion would take it for changed by hand"]

    def _of_scaling(self, endpoint: str) -> list[str]:
        before = self._scene.scaling.get(endpoint)
        now = self._scene.scaling_of(endpoint) if before else None
        return [] if before == now else [f"its automatic scaling is {now}, and was {before}"]

    # --- The rest ---

    def _of_package(self) -> list[str]:
        package = self._scene.sagemaker.describe_model_package(ModelPackageName=self._scene.package)
        promoted = self._status.outcome is Outcome.promoted
        wanted = "Approved" if promoted else "Rejected"
        found: list[str] = []
        undone = all(
            entry.state is not LedgerState.needs_person for entry in self._status.ledger if entry.stage is StageName.approval
        )
        if package["ModelApprovalStatus"] != wanted and undone and (promoted or self._status.package):
            found.append(f"the package is {package['ModelApprovalStatus']}, and should be {wanted}")
        recorded = f"{SERVED}{self._status.id}" in package.get("CustomerMetadataProperties", {})
        if recorded != promoted and (promoted or undone):
            found.append(f"the package has {'a' if recorded else 'no'} record that it serves")
        return found

    def _of_alarm(self) -> list[str]:
        [alarm] = self._scene.cloudwatch.describe_alarms(AlarmNames=[self._scene.alarm])["MetricAlarms"]
        # Who rings an alarm at the moment when an update is stopped by it may find it reset.
        allowed = {self._drive.alarm, "OK"} if self._drive.rang else {"OK"}
        return [] if alarm["StateValue"] in allowed else [f"its alarm is {alarm['StateValue']}: {alarm['StateReason']}"]

    def _of_repetitions(self) -> list[str]:
        created = Counter(
            (call["operation"], call["request"].get("ModelName") or call["request"].get("EndpointConfigName"))
            for call in self._calls
            if call["operation"] in {"CreateModel", "CreateEndpointConfig"}
        )
        found = [f"{operation} of {name} was called {count} times" for (operation, name), count in created.items() if count > 1]
        for endpoint in self._scene.endpoints:
            found += [f"{endpoint}: {problem}" for problem in self._of_updates(endpoint)]
        return found

    def _of_updates(self, endpoint: str) -> list[str]:
        of = [call for call in self._calls if call["request"].get("EndpointName") == endpoint]
        updates = [call["request"]["EndpointConfigName"] for call in of if call["operation"] == "UpdateEndpoint"]
        former = self._scene.formers[endpoint]
        back = updates.count(former) if former else 0
        forward = len(updates) - back
        found: list[str] = []
        if forward > 1 + self._drive.retries:
            found.append(f"it was updated {forward} times, and retried {self._drive.retries} times")
        if back > forward + self._drive.by_hand:
            found.append(f"it was put back {back} times after {forward} updates")
        creations = sum(call["operation"] == "CreateEndpoint" for call in of)
        deletions = sum(call["operation"] == "DeleteEndpoint" for call in of)
        if creations > deletions + 1:
            found.append(f"it was created {creations} times, and deleted {deletions} times")
        return found


async def problems_of_histories(client: Client, scene: Scene, status: PromotionStatus) -> list[str]:
    """What went wrong in Temporal: a workflow task that failed, or a rollout that goes on after its promotion."""
    found: list[str] = []
    children: set[str] = set()
    history = await client.get_workflow_handle(status.id).fetch_history()
    found += [f"{status.id}: a workflow task failed: {why}" for why in failed_tasks(history)]
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            children.add(event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id)
    for child in children:
        description = await client.get_workflow_handle(child).describe()
        if description.status is WorkflowExecutionStatus.RUNNING:
            found.append(f"the rollout {child} goes on")
    return found
