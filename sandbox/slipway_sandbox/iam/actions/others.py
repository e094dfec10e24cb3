"""The actions of services whose operations name their resources plainly."""

from __future__ import annotations

from collections.abc import Callable

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions.asked import Asked, passes, role_arn, tags_of

OPEN = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken", "sts:GetAccessKeyInfo", "sts:AssumeRoleWithWebIdentity"})
"""What no policy can forbid, or needs to allow. Whom a web identity's token opens a role to says the role's trust policy."""
STREAMS = frozenset({"CreateLogStream", "DeleteLogStream", "PutLogEvents", "GetLogEvents"})
ALARMS = {
    "PutMetricAlarm": "AlarmName",
    "PutCompositeAlarm": "AlarmName",
    "SetAlarmState": "AlarmName",
    "DescribeAlarmHistory": "AlarmName",
    "DescribeAlarms": "AlarmNames",
    "DeleteAlarms": "AlarmNames",
    "EnableAlarmActions": "AlarmNames",
    "DisableAlarmActions": "AlarmNames",
}
BATCHES = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
IAM_KINDS = {"RoleName": "role", "UserName": "user", "GroupName": "group", "InstanceProfileName": "instance-profile"}
ON_BUS = frozenset({"CreateEventBus", "DeleteEventBus", "DescribeEventBus", "UpdateEventBus"})
RULES = {"ListTargetsByRule": "Rule", "PutTargets": "Rule", "RemoveTargets": "Rule"} | {
    f"{verb}Rule": "Name" for verb in ("Put", "Delete", "Describe", "Enable", "Disable")
}


def sts(asked: Asked) -> list[Need]:
    """STS."""
    action = f"sts:{asked.operation}"
    if action in OPEN:
        return []
    if not asked.operation.startswith("AssumeRole"):
        return [Need(action)]
    role = (role_arn(asked, asked.value("RoleArn")),)
    context = {"sts:externalid": asked.values("ExternalId"), "sts:rolesessionname": asked.values("RoleSessionName")}
    context |= {"sts:sourceidentity": asked.values("SourceIdentity")}
    known = {key: values for key, values in context.items() if values}
    found = [Need(action, role, known)]
    if tags_of(asked.request.get("Tags")):
        found.append(Need("sts:TagSession", role, known))
    if asked.has("SourceIdentity"):
        found.append(Need("sts:SetSourceIdentity", role, known))
    return found


def logs(asked: Asked) -> list[Need]:
    """CloudWatch Logs. It checks actions on a group against the ARN of a stream without a name."""
    action, group = f"logs:{asked.operation}", asked.value("logGroupName") or asked.value("logGroupIdentifier")
    if asked.has("resourceArn"):
        return [Need(action, asked.arns("logs", "{resourceArn}"))]
    if not group:
        return [Need(action)]
    if group.startswith("arn:"):
        group = group.split(":")[6]
    stream = asked.value("logStreamName") if asked.operation in STREAMS else ""
    return [Need(action, (asked.arn("logs", f"log-group:{group}:log-stream:{stream}"),))]


def cloudwatch(asked: Asked) -> list[Need]:
    """CloudWatch."""
    action, member = f"cloudwatch:{asked.operation}", ALARMS.get(asked.operation)
    if member:
        every = (asked.arn("cloudwatch", "alarm:*"),)
        return [Need(action, asked.arns("cloudwatch", f"alarm:{{{member}}}") if asked.has(member) else every)]
    if asked.has("ResourceARN"):
        return [Need(action, asked.arns("cloudwatch", "{ResourceARN}"))]
    namespace = asked.values("Namespace") if asked.operation == "PutMetricData" else ()
    return [Need(action, context={"cloudwatch:namespace": namespace} if namespace else {})]


def sqs(asked: Asked) -> list[Need]:
    """SQS."""
    action = f"sqs:{BATCHES.get(asked.operation, asked.operation)}"
    if asked.has("QueueUrl"):
        account, _, name = asked.value("QueueUrl").rpartition("/")
        return [Need(action, (asked.arn("sqs", name, account.rpartition("/")[2]),))]
    if asked.has("QueueName"):
        return [Need(action, (asked.arn("sqs", asked.value("QueueName"), asked.value("QueueOwnerAWSAccountId")),))]
    return [Need(action)]


def iam(asked: Asked) -> list[Need]:
    """IAM itself."""
    action, account = f"iam:{asked.operation}", asked.caller.account
    named = next((member for member in IAM_KINDS if asked.has(member)), None)
    if named:
        resource = f"arn:aws:iam::{account}:{IAM_KINDS[named]}/{asked.value(named)}"
        context = {"iam:policyarn": asked.values("PolicyArn")} if asked.has("PolicyArn") else {}
        found = [Need(action, (resource,), context)]
    elif asked.has("PolicyArn"):
        found = [Need(action, (asked.value("PolicyArn"),))]
    elif asked.has("PolicyName"):
        found = [Need(action, (f"arn:aws:iam::{account}:policy/{asked.value('PolicyName')}",))]
    else:
        found = [Need(action)]
    if asked.operation == "AddRoleToInstanceProfile":
        found += passes(asked, "ec2.amazonaws.com", "RoleName")
    return found


def events(asked: Asked) -> list[Need]:
    """EventBridge."""
    name, action = asked.operation, f"events:{asked.operation}"
    if name == "PutEvents":
        return [_put_event(asked, entry) for entry in asked.request.get("Entries", [])]
    if name in RULES:
        bus = asked.value("EventBusName").rpartition("/")[2]
        place = f"{bus}/" if bus not in ("", "default") else ""
        found = [Need(action, (asked.arn("events", f"rule/{place}{asked.value(RULES[name])}"),))]
        roles = {"PutRule": "RoleArn", "PutTargets": "Targets.RoleArn"}
        return found + (passes(asked, "events.amazonaws.com", roles[name]) if name in roles else [])
    if name in ON_BUS:
        return [Need(action, asked.arns("events", "event-bus/{Name}"))]
    return [Need(action, asked.arns("events", "{ResourceARN}"))]


def _put_event(asked: Asked, entry: dict[str, str]) -> Need:
    bus = str(entry.get("EventBusName") or "default")
    arn = bus if bus.startswith("arn:") else asked.arn("events", f"event-bus/{bus}")
    known = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
    return Need("events:PutEvents", (arn,), {key: (value,) for key, value in known.items() if value})


def functions(asked: Asked) -> list[Need]:
    """Lambda."""
    action = "lambda:InvokeFunction" if asked.operation == "Invoke" else f"lambda:{asked.operation}"
    return [Need(action, asked.arns("lambda", "function:{FunctionName}"))]


def secretsmanager(asked: Asked) -> list[Need]:
    """Secrets Manager. Six random letters end a secret's ARN."""
    name = asked.value("SecretId")
    if name and not name.startswith("arn:"):
        found = asked.lookup(asked.caller, "secretsmanager", "DescribeSecret", {"SecretId": name})
        arn = found.get("ARN") or asked.arn("secretsmanager", f"secret:{name}-??????")
        return [Need(f"secretsmanager:{asked.operation}", (arn,))]
    return [Need(f"secretsmanager:{asked.operation}", asked.arns("secretsmanager", "{SecretId}", "secret:{Name}-??????"))]


def ssm(asked: Asked) -> list[Need]:
    """Parameter Store."""
    names = asked.values("Name") or asked.values("Names") or asked.values("Path")
    plain = tuple(name if name.startswith("arn:") else asked.arn("ssm", f"parameter/{name.lstrip('/')}") for name in names)
    return [Need(f"ssm:{asked.operation}", plain or ("*",))]


def autoscaling(asked: Asked) -> list[Need]:
    """Application Auto Scaling: a target's id is no one's to know before it is there."""
    action = f"application-autoscaling:{asked.operation}"
    if asked.operation.startswith("Describe"):
        return [Need(action)]
    target = (asked.arn("application-autoscaling", "scalable-target/*"),)
    namespace, dimension = asked.values("ServiceNamespace"), asked.values("ScalableDimension")
    context = {"application-autoscaling:service-namespace": namespace, "application-autoscaling:scalable-dimension": dimension}
    found = [Need(action, target, {key: values for key, values in context.items() if values})]
    if asked.operation == "RegisterScalableTarget" and asked.request.get("Tags"):
        found.append(Need("application-autoscaling:TagResource", target))
    return found + passes(asked, "application-autoscaling.amazonaws.com", "RoleARN")


TABLE: dict[str, Callable[[Asked], list[Need]]] = {
    "sts": sts,
    "logs": logs,
    "cloudwatch": cloudwatch,
    "sqs": sqs,
    "iam": iam,
    "events": events,
    "lambda": functions,
    "secretsmanager": secretsmanager,
    "ssm": ssm,
    "application-autoscaling": autoscaling,
}
