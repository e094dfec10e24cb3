"""ECR's actions, those of its registry's calls among them."""

from __future__ import annotations

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions.asked import Asked

REGISTRY = {
    "GetManifest": "BatchGetImage",
    "HeadManifest": "BatchGetImage",
    "PutManifest": "PutImage",
    "DeleteManifest": "BatchDeleteImage",
    "ListTags": "ListImages",
    "GetBlob": "GetDownloadUrlForLayer",
    "HeadBlob": "BatchCheckLayerAvailability",
    "StartUpload": "InitiateLayerUpload",
    "DescribeUpload": "UploadLayerPart",
    "UploadChunk": "UploadLayerPart",
    "FinishUpload": "CompleteLayerUpload",
    "ListReferrers": "BatchGetImage",
}
"""What ECR asks of those who use it as an OCI registry. Other calls of it need no more than the token."""
WHOLE_UPLOADS = {"FinishUpload": ("UploadLayerPart",), "StartUpload": ("UploadLayerPart", "CompleteLayerUpload")}
"""What they need besides where the request brings the layer, too."""
WITHOUT_REPOSITORY = frozenset({"GetAuthorizationToken", "DescribeRegistry", "GetRegistryPolicy", "PutRegistryPolicy"})


def needs(asked: Asked) -> list[Need]:
    """What a call of ECR's API needs."""
    action = f"ecr:{asked.operation}"
    if asked.operation in WITHOUT_REPOSITORY:
        return [Need(action)]
    if asked.has("resourceArn"):
        return [Need(action, asked.arns("ecr", "{resourceArn}"))]
    names = asked.values("repositoryName") or asked.values("repositoryNames")
    if not names:
        every = asked.operation == "DescribeRepositories"
        return [Need(action, (_repository(asked, "*"),) if every else ("*",))]
    found = [Need(action, tuple(_repository(asked, name) for name in names))]
    if asked.operation == "CreateRepository" and asked.has("tags.Key"):
        found.append(Need("ecr:TagResource", tuple(_repository(asked, name) for name in names)))
    return found


def registry_needs(asked: Asked) -> list[Need]:
    """What a call below `/v2/` needs."""
    action = REGISTRY.get(asked.operation)
    if action is None:
        return []
    repository = (asked.arn("ecr", f"repository/{asked.value('name')}"),)
    whole = WHOLE_UPLOADS.get(asked.operation, ()) if _brings_a_layer(asked) else ()
    return [Need(f"ecr:{name}", repository) for name in (action, *whole)]


def _brings_a_layer(asked: Asked) -> bool:
    """Whether a request ends an upload, and has bytes for it."""
    environ = asked.environ
    is_last = asked.operation == "FinishUpload" or "digest=" in environ.get("QUERY_STRING", "")
    return is_last and ("HTTP_TRANSFER_ENCODING" in environ or (environ.get("CONTENT_LENGTH") or "0") != "0")


def _repository(asked: Asked, name: str) -> str:
    return asked.arn("ecr", f"repository/{name}", asked.value("registryId"))
