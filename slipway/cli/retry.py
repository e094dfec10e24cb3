"""`slipway retry`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from slipway.cli.common import AsJson, By, PromotionId, Reason, person
from slipway.cli.operating import operate
from slipway.cli.out import Out
from slipway.cli.signing import Signing
from slipway.temporal.connect import connect

Execution = Annotated[
    str,
    Parameter(
        name="--execution",
        help="The ARN of the pipeline execution that the task started, where the pipeline stage is parked because it found none "
        "or several. It must be one of the spec's pipeline, and have begun after the task was started.",
    ),
]
Package = Annotated[
    str,
    Parameter(
        name="--package",
        help="The ARN of the model package that the execution made, where the pipeline stage is parked because it found "
        "several, or none that it could prove. It must be in the spec's group, and have been made since the execution began.",
    ),
]
Task = Annotated[
    str,
    Parameter(
        name="--task",
        help="The ARN of the ECS task to follow, where piped runs the task and the task stage is parked because it ran several. "
        "It must run the promotion's image, for the commit that brought it or a later one that has it still.",
    ),
]
_UNSIGNED = Signing()


async def retry(
    promotion_id: PromotionId,
    /,
    *,
    by: By = None,
    reason: Reason = "",
    execution: Execution = "",
    package: Package = "",
    task: Task = "",
    signing: Signing = _UNSIGNED,
    as_json: AsJson = False,
) -> int:
    """Try a parked stage again, once its cause is fixed."""
    client, out = await connect(), Out(as_json=as_json)
    named = {"execution": execution, "package": package, "task": task}
    return await operate(client, "retry", promotion_id, person(by), reason, out, signing, **named)
