"""Stops an update that SageMaker is making, so that the new fleet gets no more traffic.

SageMaker has one way: an alarm of the deployment in ALARM, on which it gives the old fleet all traffic back by itself.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from activities.endpoints import deployment
from activities.endpoints.messages import EndpointPlan
from activities.endpoints.preflight import described_alarms
from activities.endpoints.served import SageMakerAccount
from slipway.errors import SlipwayError
from slipway.text import one_line

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

log = logging.getLogger(__name__)

_BEFORE = "stateBefore"
"""The member of an alarm's `StateReasonData` that says which state it had."""
_KNOWN_STATES = frozenset({"OK", "INSUFFICIENT_DATA"})


class UpdateStop:
    """The stop of one plan's update. What goes wrong here is told, and never keeps the endpoint from being restored.

    Args:
        account: The target's.
        plan: The rollout whose update is to be stopped.
    """

    def __init__(self, account: SageMakerAccount, plan: EndpointPlan) -> None:
        self._account = account
        self._plan = plan
        self._reason = f"Slipway stops the update of {plan.target.endpoint} to {plan.config} for {plan.promotion_id}"
        self.problem = ""
        """Why an alarm could not be set; empty where all is well."""

    def applies(self, endpoint: DescribeEndpointOutputTypeDef) -> bool:
        """Whether SageMaker is making this plan's update, and has alarms to stop it by."""
        ours = endpoint["EndpointStatus"] == "Updating" and deployment.pending_config(endpoint) == self._plan.config
        return ours and bool(self._plan.strategy.alarms) and not deployment.is_serverless(endpoint)

    async def ring(self) -> None:
        """Puts one of the deployment's alarms into ALARM, if none is.

        CloudWatch evaluates a metric alarm again within seconds, so the caller does this with each look. A composite alarm is
        taken only where there is no other.
        """
        try:
            alarms = await described_alarms(self._account, self._plan.strategy.alarms)
            if not alarms or any(alarm.get("StateValue") == "ALARM" for alarm in alarms):
                return
            chosen = min(alarms, key=lambda alarm: "AlarmRule" in alarm)
            before = {_BEFORE: chosen.get("StateValue")}
            await self._set(str(chosen.get("AlarmName")), "ALARM", before)
        except SlipwayError as error:
            log.warning("an update could not be stopped: %s", error)
            self.problem = f"no alarm could be set to stop the update: {one_line(error.report.answered)}"
        else:
            self.problem = ""

    async def release(self) -> None:
        """Gives the alarms that this stop has put into ALARM, also in an earlier attempt, their former state back."""
        try:
            for alarm in await described_alarms(self._account, self._plan.strategy.alarms):
                if alarm.get("StateValue") == "ALARM" and alarm.get("StateReason") == self._reason:
                    await self._set(str(alarm.get("AlarmName")), _state_before(alarm.get("StateReasonData")), {})
        except SlipwayError as error:
            log.warning("an alarm could not be reset: %s", error)
            self.problem = f"an alarm that stopped the update may still be in ALARM: {one_line(error.report.answered)}"

    async def _set(self, alarm: str, state: Any, data: dict[str, Any]) -> None:
        await self._account.aws.call(
            f"setting the alarm {alarm} to {state}",
            self._account.aws.cloudwatch(self._account.region, self._account.role_arn).set_alarm_state,
            AlarmName=alarm,
            StateValue=state,
            StateReason=self._reason,
            StateReasonData=json.dumps(data),
        )


def _state_before(data: str | None) -> str:
    """The state that an alarm had; `INSUFFICIENT_DATA` where that cannot be read, on which CloudWatch looks anew."""
    try:
        state = json.loads(data or "{}").get(_BEFORE)
    except (ValueError, AttributeError):
        state = None
    return state if state in _KNOWN_STATES else "INSUFFICIENT_DATA"
