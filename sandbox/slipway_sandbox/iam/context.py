"""A call's values for IAM's condition keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from slipway_sandbox.core.calls import Incoming, Need
from slipway_sandbox.iam.actions.asked import Asked, tags_of
from slipway_sandbox.iam.principals import Kind, Principal

TAG_MEMBERS = ("Tags", "tags")


def of(
    call: Incoming, asked: Asked, principal: Principal, need: Need, tags: Mapping[str, str], now: datetime
) -> dict[str, Sequence[str]]:
    """The context of one action of a call, keys in lower case.

    Args:
        call: The call.
        asked: What it asks for.
        principal: Who calls.
        need: The action.
        tags: Those of the resource.
        now: The real time.
    """
    environ = call.environ
    found: dict[str, Sequence[str]] = {
        "aws:principalarn": (principal.iam_arn,),
        "aws:principalaccount": (principal.account,),
        "aws:principaltype": (str(principal.kind),),
        "aws:userid": (principal.user_id,),
        "aws:requestedregion": (call.caller.region,),
        "aws:sourceip": (environ.get("REMOTE_ADDR", "127.0.0.1"),),
        "aws:useragent": (environ.get("HTTP_USER_AGENT", ""),),
        # Plain HTTP stands for the HTTPS that a client has on AWS.
        "aws:securetransport": ("true",),
        "aws:viaawsservice": ("false",),
        "aws:currenttime": (f"{now:%Y-%m-%dT%H:%M:%SZ}",),
        "aws:epochtime": (str(int(now.timestamp())),),
        "aws:principalisawsservice": ("false",),
    }
    if principal.kind is Kind.user:
        found["aws:username"] = (principal.arn.rpartition("/")[2],)
    if principal.session:
        found["aws:tokenissuetime"] = (f"{principal.session.issued:%Y-%m-%dT%H:%M:%SZ}",)
        found["aws:multifactorauthpresent"] = ("false",)
        if principal.session.source_identity:
            found["aws:sourceidentity"] = (principal.session.source_identity,)
    found |= {f"aws:principaltag/{key}".lower(): (value,) for key, value in principal.tags.items()}
    found |= {f"aws:resourcetag/{key}".lower(): (value,) for key, value in tags.items()}
    asked_tags = {key: value for member in TAG_MEMBERS for key, value in tags_of(asked.request.get(member)).items()}
    found |= {f"aws:requesttag/{key}".lower(): (value,) for key, value in asked_tags.items()}
    keys = [*asked_tags, *(key for member in ("tagKeys", "TagKeys") for key in asked.values(member))]
    if keys:
        found["aws:tagkeys"] = keys
    return found | {key.lower(): values for key, values in need.context.items()}
