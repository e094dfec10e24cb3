"""Stage 6 activities: preflight, prepare, update, follow, smoke test, restore."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.compensation import Compensation
from activities.endpoints import deployment
from activities.endpoints.approved import require_approved
from activities.endpoints.deployment import RolloutState
from activities.endpoints.drift import mark, require_no_drift, unmark
from activities.endpoints.former import former_of
from activities.endpoints.listing import followed_endpoints
from activities.endpoints.messages import (
    EndpointPlan,
    EndpointVerdict,
    FollowEndpoint,
    PlanRollout,
    Preflight,
    RestoreEndpoint,
    RolloutEnd,
    Smoke,
    SmokeAnswer,
    UpdateEndpoint,
)
from activities.endpoints.metric_watch import Metrics, MetricWatch, first_ended, reason_of, watched
from activities.endpoints.outlook import config_of, plan_for, warnings_of
from activities.endpoints.preflight import alarms_firing, check_preconditions, require_not_scaled_now
from activities.endpoints.preparation import changed, prepare
from activities.endpoints.scaling import scaling_in_the_way
from activities.endpoints.served import Looks, SageMakerAccount, account_of, is_missing
from activities.endpoints.smoking import smoke
from activities.endpoints.stopping import UpdateStop
from activities.repositories import Repositories
from activities.tags import PROMOTION_TAG
from activities.waiting import deadline_after, follower
from slipway.api import LedgerState
from slipway.app.durations import format_duration
from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.aws.looking import Source
from slipway.aws.polling import Polling
from slipway.errors import NeedsPersonError, SlipwayError, TransientError
from slipway.gathering import both

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

CLOCK_SLACK = timedelta(seconds=5)


class EndpointActivities:
    """Stage 6, for one target.

    Args:
        aws: Where to find AWS.
        repositories: Where smoke requests are read from.
        polling: How followed endpoints and their metrics are looked at.
    """

    def __init__(self, aws: Aws, repositories: Repositories, polling: Polling) -> None:
        self._aws = aws
        self._repositories = repositories
        self._endpoints = polling.pollers(self._endpoints_at, account_of)
        self._metrics = Metrics(aws, polling)

    @activity.defn
    async def preflight(self, asked: PlanRollout) -> Preflight:
        """Plans the rollout, and looks at what is there now and whether an update could go well. Reads only.

        Raises:
            NeedsPersonError: The endpoint is being changed or failed, it is not clear what to replace, it is of a kind that a
                rollout does not update, an alarm is missing or already in ALARM, or the package is not ready.
            RefusedError: The package is in another region than the target.
        """
        account = Looks(self._aws).at(asked.region, asked.target.role_arn)
        endpoint = await account.endpoint(asked.target.endpoint)
        plan, is_new = plan_for(asked, endpoint)
        _, (unknown, former) = await both(
            check_preconditions(account, plan, endpoint),
            both(require_no_drift(account, plan, None if is_new else endpoint), former_of(account, plan)),
        )
        return Preflight(
            plan=plan,
            current_config=config_of(endpoint),
            warnings=(*unknown, *await warnings_of(account, plan, endpoint, former)),
            scaling=await scaling_in_the_way(account, plan, former) if former else None,
            modified=endpoint["LastModifiedTime"] if endpoint else None,
        )

    @activity.defn
    async def look_again(self, request: UpdateEndpoint) -> Preflight:
        """Looks at the target of a rollout that failed, before it is tried again. Reads only.

        Where the plan's own update is under way or has been made, the plan stays: what it found before is what the endpoint goes
        back to. Otherwise everything is planned anew, for others may have changed the endpoint since.

        Raises:
            NeedsPersonError: As `preflight`.
            RefusedError: As `preflight`.
        """
        endpoint = await self._account(request.plan).endpoint(request.plan.target.endpoint)
        if endpoint is not None and deployment.is_going_to(endpoint, request.plan.config):
            return Preflight(plan=request.plan, current_config=request.previous_config)
        return await self.preflight(request.plan)

    @activity.defn
    async def prepare_endpoint(self, plan: EndpointPlan) -> EndpointPlan:
        """Creates the model and the config that the plan names.

        They have all that the live endpoint has, but for the package and what the spec names.

        If it is killed after either, the retry finds it by its name, which carries a hash of what it is made of.

        Raises:
            ChangedSinceApprovalError: The package, its files or the target are not what was approved.
            NeedsPersonError: The endpoint is not as preflight found it, or something else has a name of the plan's.
        """
        looks = Looks(self._aws)
        await require_approved(looks, plan)
        # What is carried over is what was compared.
        await prepare(looks.at(plan.region, plan.target.role_arn), plan)
        return plan

    @activity.defn
    async def update_endpoint(self, request: UpdateEndpoint) -> None:
        """Starts the update of the endpoint to the plan's config, or creates the endpoint.

        If it is killed after the call, the retry finds the endpoint being updated to the config, or serving it. If AWS has
        already rolled the update back by then, the retry finds that as well, and does not update a second time.

        Raises:
            ChangedSinceApprovalError: The package, its files or the target are not what was approved.
            NeedsPersonError: The endpoint is not as preflight found it.
        """
        plan = request.plan
        account = self._account(plan)
        await require_approved(Looks(self._aws), plan)
        endpoint = await account.endpoint(plan.target.endpoint)
        if endpoint is not None and _failed_creation(endpoint, request):
            await self._delete(account, plan)
            endpoint = None
        if endpoint is None:
            if request.previous_config is not None:
                raise changed(plan, "preflight found it, and now it is gone")
            await self._create_endpoint(account, plan)
        elif not deployment.is_going_to(endpoint, plan.config) and not _rolled_back_since(endpoint, request):
            _require_unchanged(endpoint, request)
            await self._update(account, plan, plan.config, endpoint)

    async def _create_endpoint(self, account: SageMakerAccount, plan: EndpointPlan) -> None:
        arguments = {"EndpointName": plan.target.endpoint, "EndpointConfigName": plan.config, "Tags": _tags(plan)}
        await self._start_update(
            account, plan, f"creating the endpoint {plan.target.endpoint}", account.no_retries.create_endpoint, arguments
        )

    async def _update(
        self, account: SageMakerAccount, plan: EndpointPlan, config: str, endpoint: DescribeEndpointOutputTypeDef
    ) -> None:
        arguments: dict[str, Any] = {
            "EndpointName": plan.target.endpoint,
            "EndpointConfigName": config,
            # A rollout changes the model. Capacity that people or autoscaling have set since stays as it is.
            "RetainAllVariantProperties": True,
        }
        if plan.settings.data_capture:  # what the spec sets, and on the way back what it was before
            arguments["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DataCaptureConfig"}]
        if not deployment.is_serverless(endpoint):
            forward = config == plan.config
            way = deployment.deployment_config if forward else deployment.config_of_way_back
            arguments |= {"DeploymentConfig": made} if (made := way(plan.strategy, deployment.smallest_fleet(endpoint))) else {}
        tried = f"updating the endpoint {plan.target.endpoint} to {config}"
        await self._start_update(account, plan, tried, account.no_retries.update_endpoint, arguments)

    @staticmethod
    async def _start_update(
        account: SageMakerAccount, plan: EndpointPlan, tried: str, function: Any, arguments: dict[str, Any]
    ) -> None:
        try:
            await account.aws.call(tried, function, **arguments)
        except SlipwayError as error:
            if is_missing(error) and plan.config in answer_of(error)[1]:
                raise TransientError(tried, str(error.report.answered), "SageMaker does not see the new config yet") from error
            raise

    @activity.defn
    @follower
    async def follow_endpoint(self, request: FollowEndpoint) -> EndpointVerdict:
        """Waits until no deployment runs, and judges the endpoint by the config and the package that it serves. Reads only.

        Where a metric of the new fleet breaches its rule meanwhile, it waits no longer: the update is to be stopped.

        Raises:
            NeedsPersonError: It is broken, serves something else than it says, or the deployment did not end in time.
        """
        plan = request.plan
        tried = f"following the endpoint {plan.target.endpoint} to {plan.config}"
        metrics = await self._metrics.watch([watched(plan)], plan.strategy.metrics)
        settled = self._until(plan, deployment.Settled(plan.config), deadline_after(request.timeout))
        if await first_ended(settling := asyncio.ensure_future(settled), metrics.until_breach()) is not settling:
            return await self._stopped(plan, metrics)
        endpoint = await settling
        if endpoint is None:
            raise NeedsPersonError(
                tried, "the endpoint is gone", "see who deleted it; retry creates it, abort ends the promotion"
            )
        state = deployment.rollout_state(endpoint, plan.config)
        if state is RolloutState.moving:
            said = f"it is still {endpoint['EndpointStatus']} after {format_duration(request.timeout)}"
            raise NeedsPersonError(tried, said, "see it in SageMaker; retry follows it again, abort restores the former config")
        verdict = await self._verdict(plan, endpoint, state)
        return await _judged(verdict, metrics) if verdict.end is RolloutEnd.served else verdict

    async def _stopped(self, plan: EndpointPlan, metrics: MetricWatch) -> EndpointVerdict:
        """The verdict on an update that is under way, and is not to go on."""
        endpoint = await self._account(plan).endpoint(plan.target.endpoint)
        config = endpoint.get("EndpointConfigName", "") if endpoint else ""
        package = await self._account(plan).package_of(config, plan.variant.name, plan.package.arn) if config else None
        reason = reason_of(metrics)
        return EndpointVerdict(end=RolloutEnd.rolled_back, config=config, package=package, reason=reason, stopped=True)

    async def _verdict(self, plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef, state: RolloutState) -> EndpointVerdict:
        account = self._account(plan)
        config = endpoint.get("EndpointConfigName", "")
        reason = endpoint.get("FailureReason", "")
        tried = f"following the endpoint {plan.target.endpoint} to {plan.config}"
        if state in {RolloutState.broken, RolloutState.unclear}:
            said = f"it is {endpoint['EndpointStatus']} with {config}: {reason or 'no reason given'}"
            raise NeedsPersonError(tried, said, _remedy(endpoint))
        package = await account.package_of(config, plan.variant.name, plan.package.arn)
        if state is RolloutState.served:
            if package != plan.package.arn:
                raise NeedsPersonError(
                    tried, f"it serves {config}, which is {package}", "see who changed the config's model; then retry or abort"
                )
            return EndpointVerdict(end=RolloutEnd.served, config=config, package=package)
        firing = await alarms_firing(account, plan.strategy.alarms)
        reason = reason or (f"alarm {', '.join(firing)} went off" if firing else "SageMaker gave no reason")
        return EndpointVerdict(end=RolloutEnd.rolled_back, config=config, package=package, reason=reason)

    @activity.defn
    async def smoke_endpoint(self, request: Smoke) -> SmokeAnswer:
        """Sends one request to the model; a retry sends it again, which changes nothing.

        A model that fails is an answer with `ok` false.
        """
        return await smoke(self._aws, self._repositories, request)

    @activity.defn
    async def mark_endpoint(self, plan: EndpointPlan) -> None:
        """Leaves on the endpoint what it serves now, so that a later change by hand is seen. A retry leaves the same.

        Raises:
            NeedsPersonError: It serves something else.
        """
        await mark(self._account(plan), plan)

    @activity.defn
    async def restore_endpoint(self, request: RestoreEndpoint) -> Compensation:
        """Restores the former config, all at once or in the batches of a rolling strategy; deletes an endpoint that it created.

        An update of this promotion that is under way is stopped, where its deployment has alarms. Without alarms SageMaker lets
        nobody change the endpoint until the update has ended, and the former config follows then.

        If it is killed after the update, the retry waits until no deployment runs, and finds the former config. If it is killed
        after it has set an alarm, the retry finds that alarm by its reason, and resets it.
        """
        stop = UpdateStop(self._account(request.plan), request.plan)
        endpoint = await self._at_rest(request.plan, stop)
        await stop.release()
        done = await self._restore(request, endpoint)
        if done.state is LedgerState.undone and request.previous_config:
            with contextlib.suppress(NeedsPersonError):  # the endpoint is back all the same
                await unmark(self._account(request.plan), request.plan, request.previous_config)
        return done.model_copy(update={"note": f"{done.note}; {stop.problem}"}) if stop.problem else done

    async def _restore(self, request: RestoreEndpoint, endpoint: DescribeEndpointOutputTypeDef | None) -> Compensation:
        plan = request.plan
        account = self._account(plan)
        if endpoint is None:
            gone = LedgerState.undone if request.previous_config is None else LedgerState.needs_person
            return Compensation(state=gone, note=f"the endpoint {plan.target.endpoint} does not exist")
        config = endpoint.get("EndpointConfigName", "")
        if config == request.previous_config and endpoint["EndpointStatus"] == "InService":
            return Compensation(state=LedgerState.undone, note=f"{plan.target.endpoint} serves {config}")
        if config == request.previous_config:
            return self._broken(plan, endpoint)
        if config != plan.config:
            note = f"{plan.target.endpoint} is {endpoint['EndpointStatus']} with {config}, which is not this promotion's"
            kept = LedgerState.kept if endpoint["EndpointStatus"] == "InService" else LedgerState.needs_person
            return Compensation(state=kept, note=note)
        if request.previous_config is None:
            await self._delete(account, plan)
            return Compensation(
                state=LedgerState.undone, note=f"the endpoint {plan.target.endpoint}, which this promotion created, is deleted"
            )
        return await self._put_back(account, request, request.previous_config, endpoint)

    async def _put_back(
        self, account: SageMakerAccount, request: RestoreEndpoint, previous: str, endpoint: DescribeEndpointOutputTypeDef
    ) -> Compensation:
        name = request.plan.target.endpoint
        if endpoint["EndpointStatus"] != "InService":
            return self._broken(request.plan, endpoint)
        await self._update(account, request.plan, previous, endpoint)
        restored = await self._until(request.plan, deployment.Settled(previous))
        if restored is not None and restored["EndpointStatus"] != "InService":
            return self._broken(request.plan, restored)
        if restored is not None and restored.get("EndpointConfigName") == previous:
            return Compensation(state=LedgerState.undone, note=f"{name} serves {previous} again")
        reason = restored.get("FailureReason", "no reason given") if restored else "it is gone"
        return Compensation(state=LedgerState.needs_person, note=f"{name} did not go back to {previous}: {reason}")

    @staticmethod
    def _broken(plan: EndpointPlan, endpoint: DescribeEndpointOutputTypeDef) -> Compensation:
        """An update of this promotion's, or the way back from it, ended in a state that SageMaker does not leave by itself."""
        reason = endpoint.get("FailureReason", "no reason given")
        note = f"{plan.target.endpoint} is {endpoint['EndpointStatus']}: {reason}; {_remedy(endpoint)}"
        return Compensation(state=LedgerState.needs_person, note=note)

    async def _delete(self, account: SageMakerAccount, plan: EndpointPlan) -> None:
        """Deletes the endpoint and waits until it is gone."""
        name = plan.target.endpoint
        try:
            await account.aws.call(f"deleting the endpoint {name}", account.sagemaker.delete_endpoint, EndpointName=name)
        except SlipwayError as error:
            if not is_missing(error):
                raise
        await self._until(plan, lambda endpoint: endpoint is None)

    async def _at_rest(self, plan: EndpointPlan, stop: UpdateStop) -> DescribeEndpointOutputTypeDef | None:
        """The endpoint once no deployment runs. The plan's own update is stopped at once, and again with each look."""
        endpoint = await self._account(plan).endpoint(plan.target.endpoint)
        while endpoint is not None and not _is_at_rest(endpoint):
            if stop.applies(endpoint):
                await stop.ring()
            endpoint = await self._until(plan, lambda found: found is None or _is_at_rest(found) or stop.applies(found))
        return endpoint

    async def _until(
        self, plan: EndpointPlan, done: Callable[[DescribeEndpointOutputTypeDef | None], bool], deadline: datetime | None = None
    ) -> DescribeEndpointOutputTypeDef | None:
        """Follow the target's endpoint; each look is a heartbeat."""
        poller = self._endpoints.at(plan.region, plan.target.role_arn)
        return await poller.until(plan.target.endpoint, done=done, deadline=deadline, tell=heartbeat_endpoint)

    def _endpoints_at(self, region: str | None, role_arn: str | None) -> Source[DescribeEndpointOutputTypeDef | None]:
        # The poller's task has a context of its own: the session is that of the promotion that was the first to follow.
        return followed_endpoints(SageMakerAccount(self._aws, region or "", role_arn))

    def _account(self, plan: EndpointPlan) -> SageMakerAccount:
        return SageMakerAccount(self._aws, plan.region, plan.target.role_arn)


async def _judged(verdict: EndpointVerdict, metrics: MetricWatch) -> EndpointVerdict:
    """The verdict on a model that is served, by a last look at its metrics."""
    await metrics.look_once_more()
    if metrics.breaches:
        return verdict.model_copy(update={"end": RolloutEnd.rolled_back, "reason": reason_of(metrics)})
    return verdict.model_copy(update={"unjudged": metrics.unjudged})


def heartbeat_endpoint(endpoint: DescribeEndpointOutputTypeDef | None) -> None:
    """Heartbeat what a watcher sees of the endpoint."""
    if endpoint is not None:
        activity.heartbeat(deployment.endpoint_progress(endpoint))


def _is_at_rest(endpoint: DescribeEndpointOutputTypeDef) -> bool:
    return not deployment.is_moving(endpoint)


def _tags(plan: EndpointPlan) -> list[dict[str, str]]:
    return [{"Key": PROMOTION_TAG, "Value": plan.promotion_id}]


def _failed_creation(endpoint: DescribeEndpointOutputTypeDef, request: UpdateEndpoint) -> bool:
    """Whether an earlier try of this plan created the endpoint and the creation failed: then it has to be deleted first."""
    ours = request.previous_config is None and endpoint.get("EndpointConfigName") == request.plan.config
    return ours and endpoint["EndpointStatus"] == "Failed"


def _rolled_back_since(endpoint: DescribeEndpointOutputTypeDef, request: UpdateEndpoint) -> bool:
    """Whether an earlier attempt of this activity made the update, and AWS has undone it before this attempt looks.

    What changed the endpoint right before preflight, as a rollback after which an operator tried again at once, is no such sign.
    """
    info = activity.info()
    if request.previous_modified and endpoint["LastModifiedTime"] <= request.previous_modified:
        return False
    return (
        info.attempt > 1
        and endpoint["EndpointStatus"] == "InService"
        and endpoint.get("EndpointConfigName") == request.previous_config
        and endpoint["LastModifiedTime"] > info.scheduled_time - CLOCK_SLACK
    )


def _require_unchanged(endpoint: DescribeEndpointOutputTypeDef, request: UpdateEndpoint) -> None:
    status, config = endpoint["EndpointStatus"], endpoint.get("EndpointConfigName")
    require_not_scaled_now(f"updating the endpoint {request.plan.target.endpoint}", endpoint)
    if status != "InService":
        raise changed(request.plan, f"it is {status} (being updated to {deployment.pending_config(endpoint) or config})")
    if config != request.previous_config:
        raise changed(request.plan, f"preflight found {request.previous_config}, and now it serves {config}")


def _remedy(endpoint: DescribeEndpointOutputTypeDef) -> str:
    match endpoint["EndpointStatus"]:
        case "UpdateRollbackFailed":
            return "the endpoint serves a mix of two configs: update it by hand to the right one, then retry or abort"
        case "Failed":
            return "fix the cause; retry deletes the failed endpoint and creates it again, abort deletes it"
        case _:
            return "see the endpoint in SageMaker, then retry or abort"
