"""ECR's control plane: repositories and the registry's token."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from slipway_sandbox.containers.image_uri import ImageUri
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.core.world import Room, World, dial, operation
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.quotas import EcrQuotas
from slipway_sandbox.ecr.repository_policies import check_policy
from slipway_sandbox.ecr.resource_tags import check_keys, check_tags
from slipway_sandbox.ecr.store import Repository, Store, StoredManifest
from slipway_sandbox.ecr.tokens import Registry, Tokens
from slipway_sandbox.ecr.uploads import Uploads
from slipway_sandbox.protocol.pages import page

REPOSITORY_ARN = re.compile(r"arn:aws:ecr:(?P<region>[^:]+):(?P<account>\d{12}):repository/(?P<name>.+)")

SETTINGS = {
    "BLOB_MOUNTING": ("DISABLED", "ENABLED"),
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE", "CLAIR"),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
}
"""What an account can set, and to what; the first is the default."""


def registry_of(caller: Caller, request: dict[str, Any]) -> str:
    """The account whose registry a request is about: the one it names, else the caller's own."""
    return request.get("registryId") or caller.account


class EcrRoom(Room):
    """Repositories. The door for other rooms is `find_manifest` and `blob_path`."""

    service = "ecr"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.quotas = EcrQuotas(world)
        self.store = Store(world, self.quotas)
        self.uploads = Uploads(self.store)
        self.tokens = Tokens(world.clock)
        self.settings: dict[tuple[str, str, str], str] = {}

    def find_manifest(self, uri: ImageUri) -> StoredManifest:
        """The manifest that an image's name stands for now.

        Raises:
            ImageNotFoundError: There is no such image; the text is what containerd says.
        """
        with self.lock:
            return self.store.find(uri)

    def blob_path(self, digest: str) -> Path:
        """The file with a blob's bytes, which no one may write to.

        Raises:
            ValueError: `digest` is no sha256 digest.
        """
        return self.store.blob_path(digest)

    def reset(self, account: str | None) -> None:
        """Forget repositories and images; blobs stay, as they are only content."""
        self.store.forget(account)
        self.settings = {key: value for key, value in self.settings.items() if account not in (None, key[0])}

    def repository(self, caller: Caller, request: dict[str, Any]) -> Repository:
        """The repository that a request names."""
        return self.store.get(registry_of(caller, request), caller.region, request["repositoryName"])

    @operation(
        "GetAuthorizationToken",
        differs="`proxyEndpoint` is this sandbox, for every account: the password says which registry is meant; "
        "twelve hours are real time",
    )
    def get_authorization_token(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A password for the registry of each account that is named, else of the caller's own."""
        return {
            "authorizationData": [
                self._authorization(Registry(account, caller.region, caller.access_key))
                for account in request.get("registryIds") or [caller.account]
            ]
        }

    def _authorization(self, registry: Registry) -> dict[str, Any]:
        token = self.tokens.issue(registry)
        return {
            "authorizationToken": base64.b64encode(f"AWS:{token.password}".encode()).decode(),
            "expiresAt": token.expires_at,
            "proxyEndpoint": self.world.endpoint,
        }

    @operation(
        "PutAccountSetting",
        differs="only `BLOB_MOUNTING` has an effect; the wording for a wrong name or value is not verified on AWS",
    )
    def put_account_setting(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Keep an account's setting. `BLOB_MOUNTING` decides whether the registry mounts blobs across repositories."""
        name, value = request["name"], request["value"]
        if value not in possible(name):
            raise errors.invalid_parameter("value", f"must be one of {', '.join(possible(name))}")
        self.settings[caller.account, caller.region, name] = value
        return {"name": name, "value": value}

    @operation("GetAccountSetting")
    def get_account_setting(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """An account's setting."""
        name = request["name"]
        return {"name": name, "value": self.settings.get((caller.account, caller.region, name), possible(name)[0])}

    def mounts_blobs(self, registry: Registry) -> bool:
        """Whether a registry mounts blobs from one repository into another."""
        return self.settings.get((registry.account, registry.region, "BLOB_MOUNTING")) == "ENABLED"

    @dial("expire-tokens")
    def expire_tokens(self, _body: dict[str, Any]) -> dict[str, Any]:
        """End every password issued so far, as twelve hours would."""
        self.tokens.expire_all()
        return {}

    @operation(
        "CreateRepository",
        differs="KMS keys are shown and not looked for; wording for wrong tags, and for too many repositories or tags, is not "
        "verified on AWS",
    )
    def create_repository(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Create a repository."""
        check_tags({}, request.get("tags", ()))
        repository = Repository(
            account=registry_of(caller, request),
            region=caller.region,
            name=request["repositoryName"],
            created_at=self.world.clock.now(),
            mutability=request.get("imageTagMutability", "MUTABLE"),
            exclusions=request.get("imageTagMutabilityExclusionFilters", []),
            scan_on_push=request.get("imageScanningConfiguration", {}).get("scanOnPush", False),
            encryption=request.get("encryptionConfiguration", {"encryptionType": "AES256"}),
            resource_tags={tag["Key"]: tag["Value"] for tag in request.get("tags", [])},
        )
        self.store.add(repository)
        return {"repository": described(repository)}

    @operation("DescribeRepositories")
    def describe_repositories(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """All repositories of a registry, or the named ones."""
        registry = registry_of(caller, request)
        names = request.get("repositoryNames")
        if names:
            return {"repositories": [described(self.store.get(registry, caller.region, name)) for name in names]}
        repositories, more = page(self.store.of_registry(registry, caller.region), request)
        return {"repositories": [described(repository) for repository in repositories], "nextToken": more}

    @operation("DeleteRepository")
    def delete_repository(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a repository; with images in it only by `force`."""
        repository = self.repository(caller, request)
        if repository.images and not request.get("force"):
            raise errors.repository_not_empty(repository.name, repository.account)
        self.store.remove(repository)
        return {"repository": described(repository)}

    @operation("PutImageTagMutability")
    def put_image_tag_mutability(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Choose whether tags may move."""
        repository = self.repository(caller, request)
        repository.mutability = request["imageTagMutability"]
        repository.exclusions = request.get("imageTagMutabilityExclusionFilters", [])
        return {
            "registryId": repository.account,
            "repositoryName": repository.name,
            "imageTagMutability": repository.mutability,
            "imageTagMutabilityExclusionFilters": repository.exclusions or None,
        }

    @operation(
        "SetRepositoryPolicy", differs="principals need not exist; `force` does nothing; keys of conditions are not checked"
    )
    def set_repository_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Keep a policy's text."""
        check_policy(request["policyText"])
        repository = self.repository(caller, request)
        repository.policy = request["policyText"]
        return policy_of(repository)

    @operation("GetRepositoryPolicy")
    def get_repository_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """The policy's text."""
        return policy_of(self.repository(caller, request))

    @operation("DeleteRepositoryPolicy")
    def delete_repository_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Drop the policy."""
        repository = self.repository(caller, request)
        gone = policy_of(repository)
        repository.policy = None
        return gone

    @operation("TagResource", differs="wording for wrong and for too many tags is not verified on AWS")
    def tag_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Add tags to a repository."""
        repository = self._by_arn(request["resourceArn"])
        check_tags(repository.resource_tags, request["tags"])
        repository.resource_tags |= {tag["Key"]: tag["Value"] for tag in request["tags"]}
        return {}

    @operation("UntagResource", differs="wording for wrong keys is not verified on AWS")
    def untag_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Take tags off a repository."""
        repository = self._by_arn(request["resourceArn"])
        check_keys(request["tagKeys"])
        for key in request["tagKeys"]:
            repository.resource_tags.pop(key, None)
        return {}

    @operation("ListTagsForResource")
    def list_tags_for_resource(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """A repository's tags."""
        tags = self._by_arn(request["resourceArn"]).resource_tags
        return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def policy_of(self, arn: str) -> str | None:
        """A repository's policy."""
        try:
            return self._by_arn(arn).policy
        except AwsError:
            return None

    def _by_arn(self, arn: str) -> Repository:
        found = REPOSITORY_ARN.fullmatch(arn)
        if not found:
            raise errors.invalid_parameter("resourceArn", "Invalid repository ARN")
        return self.store.get(found["account"], found["region"], found["name"])


def possible(setting: str) -> tuple[str, ...]:
    """The values of an account's setting, the default first.

    Raises:
        AwsError: There is no such setting.
    """
    if setting not in SETTINGS:
        raise errors.invalid_parameter("name", f"must be one of {', '.join(SETTINGS)}")
    return SETTINGS[setting]


def policy_of(repository: Repository) -> dict[str, Any]:
    """The policy as the API shows it.

    Raises:
        AwsError: `RepositoryPolicyNotFoundException`.
    """
    if repository.policy is None:
        raise errors.policy_not_found(repository.name, repository.account)
    return {"registryId": repository.account, "repositoryName": repository.name, "policyText": repository.policy}


def described(repository: Repository) -> dict[str, Any]:
    """A repository as the API shows it."""
    return {
        "repositoryArn": repository.arn,
        "registryId": repository.account,
        "repositoryName": repository.name,
        "repositoryUri": repository.uri,
        "createdAt": repository.created_at,
        "imageTagMutability": repository.mutability,
        "imageTagMutabilityExclusionFilters": repository.exclusions or None,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": repository.encryption,
    }
