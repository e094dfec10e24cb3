"""The activities that take off a variant's automatic scaling for an update, and put it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.compensation import Compensation
from activities.endpoints import deployment
from activities.endpoints.messages import ChangeScaling, EndpointPlan, Scaling
from activities.endpoints.preparation import changed
from activities.endpoints.scaling import VariantScaling, digest_of, is_over, is_part_of
from activities.endpoints.served import SageMakerAccount
from activities.tags import SCALING_TAG
from slipway.api import LedgerState
from slipway.aws.clients import Aws
from slipway.aws.errors import answer_of
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import TagTypeDef


class ScalingActivities:
    """Stage 6, where the instance type of a variant changes that is scaled automatically.

    What is taken off is in the promotion's history. Its hash is on the endpoint config that the rollout makes, from right before
    it is taken off. Nothing is put back that was not there, whoever asks for it.

    Args:
        aws: Where to find AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @activity.defn
    async def take_off_scaling(self, request: ChangeScaling) -> None:
        """Deregisters the variant, with its policies and scheduled actions.

        If it is killed after that, the retry finds the hash on the config and nothing registered.

        Raises:
            NeedsPersonError: The scaling is not as preflight found it.
        """
        account, scaled = self._places(request)
        found = await scaled.read()
        if not await _was_taken_off(account, request):
            if found != request.scaling:
                raise _changed(request.plan)
            await _mark(account, request)
        if found:
            await self._deregister(scaled, request, found)

    @activity.defn
    async def take_off_scaling_again(self, request: ChangeScaling) -> None:
        """Deregisters the variant for the way back, where the rollout has put its scaling back and its model is served.

        Raises:
            NeedsPersonError: Somebody has changed the scaling since.
        """
        account, scaled = self._places(request)
        if not await _was_taken_off(account, request):
            return
        endpoint, found = await account.endpoint(request.plan.target.endpoint), await scaled.read()
        if found and endpoint and deployment.is_going_to(endpoint, request.plan.config):
            await self._deregister(scaled, request, found)

    @activity.defn
    async def put_back_scaling(self, request: ChangeScaling) -> Compensation:
        """Registers the variant again as it was, with its policies and scheduled actions.

        If it is killed in between, the retry finds what is there and puts back the rest. What somebody has changed since stays.
        """
        account, scaled = self._places(request)
        if not await _was_taken_off(account, request):
            return Compensation(state=LedgerState.kept, note="its automatic scaling was not taken off")
        if await account.endpoint(request.plan.target.endpoint) is None:
            return Compensation(state=LedgerState.kept, note="there is nothing to scale automatically any more")
        found = await scaled.read()
        if found and found.target != request.scaling.target:
            return Compensation(state=LedgerState.kept, note="somebody has set up its automatic scaling otherwise since")
        over = await self._put_missing(scaled, request.scaling, found or Scaling(target={}))
        note = "it is scaled automatically as before"
        if over:
            note += f", but for the scheduled actions {', '.join(over)}, whose time is over"
        return Compensation(state=LedgerState.undone, note=note)

    async def _deregister(self, scaled: VariantScaling, request: ChangeScaling, found: Scaling) -> None:
        if not is_part_of(found, request.scaling):
            raise _changed(request.plan)
        tried = f"taking off the automatic scaling of {scaled.resource}"
        target = request.scaling.target
        of = {name: target[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
        try:
            await self._aws.call(tried, scaled.client.deregister_scalable_target, **of)
        except SlipwayError as error:
            if answer_of(error)[0] != "ObjectNotFoundException":
                raise

    async def _put_missing(self, scaled: VariantScaling, wanted: Scaling, found: Scaling) -> list[str]:
        """Puts back what is not there; returns the scheduled actions whose time is over."""
        tried = f"putting back the automatic scaling of {scaled.resource}"
        client, call = scaled.client, self._aws.call
        if not found.target:
            await call(tried, client.register_scalable_target, **wanted.target)
        there = [policy["PolicyName"] for policy in found.policies]
        for policy in wanted.policies:
            if policy["PolicyName"] not in there:
                await call(tried, client.put_scaling_policy, **policy)
        there = [action["ScheduledActionName"] for action in found.actions]
        missing = [action for action in wanted.actions if action["ScheduledActionName"] not in there]
        now = datetime.now(UTC)
        for action in missing:
            if not is_over(action, now):
                await call(tried, client.put_scheduled_action, **action)
        return [str(action["ScheduledActionName"]) for action in missing if is_over(action, now)]

    def _places(self, request: ChangeScaling) -> tuple[SageMakerAccount, VariantScaling]:
        plan = request.plan
        account = SageMakerAccount(self._aws, plan.region, plan.target.role_arn)
        return account, VariantScaling(account, str(request.scaling.target["ResourceId"]))


async def _was_taken_off(account: SageMakerAccount, request: ChangeScaling) -> bool:
    tags = await account.tags_of_config(request.plan.config)
    return tags.get(SCALING_TAG) == digest_of(request.scaling)


async def _mark(account: SageMakerAccount, request: ChangeScaling) -> None:
    """Says on the config what is about to be taken off."""
    tried = f"noting on the endpoint config {request.plan.config} which automatic scaling is taken off"
    config = await account.config(request.plan.config)
    if config is None:
        raise changed(request.plan, f"its new endpoint config {request.plan.config} is gone")
    tag: TagTypeDef = {"Key": SCALING_TAG, "Value": digest_of(request.scaling)}
    await account.aws.call(tried, account.sagemaker.add_tags, ResourceArn=config["EndpointConfigArn"], Tags=[tag])


def _changed(plan: EndpointPlan) -> SlipwayError:
    return changed(plan, "its automatic scaling is not as preflight found it")
