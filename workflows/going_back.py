"""What a rollback does in the place of the first four stages, and what a rollout leaves on record."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.endpoints.activities import EndpointActivities
    from activities.endpoints.messages import EndpointPlan
    from activities.endpoints.served import group_of
    from activities.records import FindFormerPackage, RecordActivities, RecordServed, version_of
    from activities.taskdefs import ReadApp, TaskdefActivities
    from slipway.api import ModelPackage, TaskdefCommit
    from slipway.aws.clients import region_of
    from workflows.state.promotion import known

from workflows.activity_options import CHANGE, GIT, READ
from workflows.undoing import UndoingWorkflow

NOT_NEEDED = "not needed: a rollback takes a model that is there"


class RollbackStages(UndoingWorkflow):
    """The stages of a rollback that differ from a promotion's: it trains nothing, and changes nothing in git."""

    async def _read_to_go_back(self) -> None:
        state, request = self._state, self._request
        read = ReadApp(app=request.app, image="", rollback=request.rollback)
        state.app = app = await self._step(TaskdefActivities.read_app, read, GIT, "read the application's files")
        for warning in app.warnings:
            self._notice(warning)
        # The evidence has members for both.
        state.image = ""
        state.taskdef = TaskdefCommit(commit="", changed=False, file="", before="", after="")
        self._summarize(NOT_NEEDED)

    async def _need_nothing(self) -> None:
        self._summarize(NOT_NEEDED)

    async def _find_former_package(self) -> None:
        state, spec = self._state, known(self._state.app).spec.spec
        await self._require_no_rollout()
        find = FindFormerPackage(
            group=spec.model.package_group,
            region=state.region,
            targets=spec.rollout.targets,
            variant=spec.rollout.variant.name,
            version=known(self._request.rollback).version,
            origin=self._origin,
        )
        found = await self._step(RecordActivities.find_former_package, find, READ, f"find the model in {find.group}")
        state.package = found.package
        self._summarize(f"back to version {found.version}, {found.witness}")

    async def _require_no_rollout(self) -> None:
        summary = "is a promotion of this app at its rollout?"
        await self._step(RecordActivities.require_no_rollout, self._origin, READ, summary)

    @property
    def _purpose(self) -> str:
        """What a rollback is for, as approvers read it; empty for a promotion."""
        going_back = self._request.rollback
        if going_back is None:
            return ""
        where = going_back.endpoint or "every target"
        return f"rollback of {where} to version {known(self._state.package).version}: {going_back.reason}"

    async def _record_served(self, unmarked: list[EndpointPlan]) -> None:
        """Leave on record what serves now, so that it is known when Temporal has forgotten it.

        Args:
            unmarked: The targets that rollouts of an older release have left without a mark.
        """
        for plan in unmarked:
            summary = f"record what {plan.target.endpoint} serves"
            await self._step(EndpointActivities.mark_endpoint, plan, CHANGE, summary)
        state, package = self._state, known(self._state.package)
        record = RecordServed(
            package=package,
            promotion_id=self._id,
            evidence=known(state.evidence).hash,
            by=tuple(f"{said.by}:{said.level}" for said in state.round.approvals) if state.round else (),
            left=self._left_packages(package) if self._request.rollback else (),
            decisions=state.signed_approvals,
            deliveries=state.delivered_approvals,
            origin=self._origin,
        )
        await self._step(RecordActivities.record_served, record, CHANGE, f"record that version {package.version} serves")

    def _left_packages(self, package: ModelPackage) -> tuple[ModelPackage, ...]:
        """The packages of the group that the targets served before."""
        group = group_of(package.arn)
        champions = dict.fromkeys(champion.package for champion in known(self._state.evidence).champions if champion.package)
        return tuple(
            ModelPackage(arn=arn, version=version_of(arn), region=region_of(arn))
            for arn in champions
            if arn != package.arn and group_of(arn) == group and version_of(arn)
        )
