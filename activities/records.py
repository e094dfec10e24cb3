"""What promotions leave on record: which package served where, by whose approval; and what is read from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.endpoints.drift import drift_of
from activities.endpoints.served import SageMakerAccount, group_of
from activities.guard import known_origin
from activities.origin import Origin
from activities.packages import FoundPackage, describe_package
from activities.repositories import Repositories, app_at
from slipway.api import AppRef, Message, ModelPackage, SignedCommand
from slipway.app.regions import region_of_app
from slipway.app.spec import SPEC_FILE, Target, group_name
from slipway.app.spec_reader import parse_spec
from slipway.aws.clients import Aws, region_of
from slipway.decisions.command import Delivery
from slipway.errors import NeedsPersonError, RefusedError, SlipwayError
from slipway.gathering import gather_bounded
from slipway.git.rules import app_file
from slipway.served import (
    LEFT,
    SERVED,
    History,
    HistoryRequest,
    Served,
    ServedTarget,
    left_at,
    left_entry,
    of_endpoint,
    records_in,
    too_many,
)
from slipway.temporal.answers import explained
from slipway.temporal.runs import running_rollouts

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef, ModelPackageSummaryTypeDef

LOOKED_AT = 100
"""The newest packages of a group that are looked at, which is one page."""
AT_ONCE = 8
"""Packages and endpoints that are looked at at one time."""


class FindFormerPackage(Message):
    """Input of `find_former_package`."""

    group: str
    """Its name or ARN."""
    region: str
    """The group's, and that of targets that name none."""
    targets: tuple[Target, ...]
    variant: str | None = None
    version: int | None = None
    """None: the last good one."""
    origin: Origin | None = None


class RecordServed(Message):
    """Input of `record_served`."""

    package: ModelPackage
    promotion_id: str
    evidence: str
    by: tuple[str, ...] = ()
    """Who approved, each with how that is known, as `ana:signed`."""
    left: tuple[ModelPackage, ...] = ()
    """The packages that a rollback took off their targets."""
    decisions: tuple[SignedCommand, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    origin: Origin | None = None


class RecordActivities:
    """The record of what served.

    Args:
        aws: Where to find AWS.
        repositories: Where the specs are.
    """

    def __init__(self, aws: Aws, repositories: Repositories) -> None:
        self._aws = aws
        self._repositories = repositories

    @activity.defn
    async def find_former_package(self, request: FindFormerPackage) -> FoundPackage:
        """The package that a rollback goes back to. Reads only.

        Without a version that is the newest one before what is served that is approved, that served before, and that no rollback
        has left since. Where no such record is there, the newest approved one before.

        Raises:
            RefusedError: There is none, it is not approved, or every target serves it.
        """
        tried = f"looking for the package to go back to in the group {group_name(request.group)}"
        listed = await self._newest(request.group, request.region)
        if not listed:
            raise RefusedError(tried, "the group has no packages", "there is nothing to go back to")
        like = listed[0].get("ModelPackageArn", "")
        served = await gather_bounded(partial(self._served, request, like), request.targets, AT_ONCE)
        arn, witness = (
            (f"{like.rpartition('/')[0]}/{request.version}", "named by who asked")
            if request.version
            else await self._last_good(tried, listed, served)
        )
        package = await describe_package(self._aws, arn)
        status, approval = package.get("ModelPackageStatus"), package.get("ModelApprovalStatus")
        if (status, approval) != ("Completed", "Approved"):
            raise RefusedError(tried, f"{arn} is {status} and {approval}", "name another version with --to, or approve it first")
        if set(served) == {arn}:
            raise RefusedError(tried, f"every target serves {arn} already", "name another version with --to")
        return FoundPackage(arn=arn, version=package.get("ModelPackageVersion", 0), region=region_of(arn), witness=witness)

    async def _last_good(
        self, tried: str, listed: Sequence[ModelPackageSummaryTypeDef], served: Sequence[str | None]
    ) -> tuple[str, str]:
        """The ARN of the last good package, and what is known of it."""
        now = [version_of(arn) for arn in served if arn and group_of(arn) == group_of(listed[0].get("ModelPackageArn", ""))]
        before = [
            each.get("ModelPackageArn", "")
            for each in listed
            if each.get("ModelApprovalStatus") == "Approved" and (not now or each.get("ModelPackageVersion", 0) < max(now))
        ]
        before.sort(key=version_of, reverse=True)
        for arn in before:
            metadata = (await describe_package(self._aws, arn)).get("CustomerMetadataProperties", {})
            records, left = records_in(arn, version_of(arn), metadata), left_at(metadata)
            if records and (left is None or left < records[0].at):
                return arn, f"served by {records[0].promotion} since {records[0].at:%Y-%m-%d %H:%M:%S} UTC"
        if not before:
            raise RefusedError(tried, "no approved version is older than what is served", "name a version with --to")
        return before[0], "no record says that it served; it is the newest approved version before"

    @activity.defn
    async def require_no_rollout(self, origin: Origin) -> None:
        """Checks that no promotion of the application is at its rollout: it would bring its model where this one goes back.

        Raises:
            NeedsPersonError: One is, or the worker may not look.
            TransientError: Temporal did not answer.
        """
        tried = f"looking for rollouts beside {origin.promotion_id}"
        with explained(tried):
            async for found in activity.client().list_workflows(running_rollouts(origin.request.slug)):
                if found.id != origin.promotion_id:
                    remedy = f"wait for its end, or `slipway abort {found.id}`, which takes its model back; then retry"
                    raise NeedsPersonError(tried, f"{found.id} of this app is at its rollout", remedy)

    @activity.defn
    async def record_served(self, request: RecordServed) -> None:
        """Records on the package that its targets serve it, and on those that a rollback took off that it did.

        The key carries the promotion's id: a retry after a crash finds the entry, and changes nothing.
        """
        origin, now = known_origin("record_served", request.origin), datetime.now(UTC)
        going_back = origin.request.rollback
        record = Served(
            promotion=request.promotion_id,
            at=now,
            evidence=request.evidence,
            spec_commit=origin.commit,
            by=request.by,
            endpoint=going_back.endpoint if going_back else "",
        )
        await self._keep(request.package, SERVED, record.key, record.value)
        for package in request.left:
            await self._keep(package, LEFT, *left_entry(request.promotion_id, now, going_back.reason if going_back else ""))

    async def _keep(self, package: ModelPackage, prefix: str, key: str, value: str) -> None:
        metadata = (await describe_package(self._aws, package.arn)).get("CustomerMetadataProperties", {})
        if key in metadata:
            return
        removed: dict[str, Any] = {"CustomerMetadataPropertiesToRemove": old} if (old := too_many(metadata, prefix)) else {}
        await self._aws.call(
            f"recording on {package.arn} what served",
            self._aws.sagemaker(package.region).update_model_package,
            ModelPackageArn=package.arn,
            CustomerMetadataProperties={key: value},
            **removed,
        )

    @activity.defn
    async def read_history(self, request: HistoryRequest) -> History:
        """What each target served when, by the records on the packages, and what it serves now. Reads only.

        Raises:
            RefusedError: The policy does not name the application, or its spec has no such target.
        """
        repository = await self._repositories.open(request.app)
        app = await app_at(repository, request.app, await repository.head(request.app.branch))
        spec, region = app.spec.spec, region_of_app(app.spec, app.pipecd.ecs)
        targets = [target for target in spec.rollout.targets if request.endpoint in {"", target.endpoint}]
        if not targets:
            known = ", ".join(target.endpoint for target in spec.rollout.targets)
            tried = f"looking for the target {request.endpoint} of {app.spec.metadata.name}"
            raise RefusedError(tried, f"the spec's targets are {known}", "name one of them")
        packages = await self._described(await self._newest(spec.model.package_group, region))
        records = [record for package in packages for record in _records_of(package)]
        scopes = await self._scopes(request.app, records)
        like = packages[0]["ModelPackageArn"] if packages else ""
        looked = await gather_bounded(partial(self._target, region, spec.rollout.variant.name, like), targets, AT_ONCE)
        shown = [
            each.model_copy(
                update={
                    "served": tuple(
                        record
                        for record in of_endpoint(records, each.endpoint)
                        if each.endpoint in scopes.get(record.spec_commit, {each.endpoint})
                    )
                }
            )
            for each, _ in looked
        ]
        notices = tuple(notice for _, notice in looked if notice)
        return History(app=app.spec.metadata.name, targets=tuple(shown), notices=notices)

    async def _scopes(self, app: AppRef, records: Sequence[Served]) -> Mapping[str, set[str]]:
        """The endpoints of the spec at each recorded commit, where it can be read."""
        repository, path = await self._repositories.open(app), app_file(app.folder, SPEC_FILE)
        scopes: dict[str, set[str]] = {}
        for commit in dict.fromkeys(record.spec_commit for record in records if record.spec_commit):
            try:
                spec = parse_spec((await repository.read(commit, path)).decode(errors="replace"), path)
            except SlipwayError:
                continue  # the commit is gone, or its file is of another format: the record counts for every target
            scopes[commit] = {target.endpoint for target in spec.spec.rollout.targets}
        return scopes

    async def _target(self, region: str, variant: str | None, like: str, target: Target) -> tuple[ServedTarget, str]:
        """What a target serves now, and why it could not be looked at, which keeps nobody from seeing the others."""
        found = ServedTarget(endpoint=target.endpoint, region=target.region or region)
        account = SageMakerAccount(self._aws, found.region, target.role_arn)
        try:
            endpoint = await account.endpoint(target.endpoint)
            config = endpoint.get("EndpointConfigName") if endpoint else None
            if endpoint is None or config is None:
                return found, ""
            package, drift = await account.package_of(config, variant, like), await drift_of(account, endpoint)
        except NeedsPersonError as error:
            return found, f"{target.endpoint}: {error.report.answered}"
        return found.model_copy(update={"package": package, "config": config, "drift": drift}), ""

    async def _newest(self, group: str, region: str) -> list[ModelPackageSummaryTypeDef]:
        answer = await self._aws.call(
            f"listing the model packages of the group {group}",
            self._aws.sagemaker(region).list_model_packages,
            ModelPackageGroupName=group,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=LOOKED_AT,
        )
        return list(answer["ModelPackageSummaryList"])

    async def _described(self, listed: Sequence[ModelPackageSummaryTypeDef]) -> list[DescribeModelPackageOutputTypeDef]:
        arns = (each.get("ModelPackageArn", "") for each in listed)
        return await gather_bounded(partial(describe_package, self._aws), arns, AT_ONCE)

    async def _served(self, request: FindFormerPackage, like: str, target: Target) -> str | None:
        account = SageMakerAccount(self._aws, target.region or request.region, target.role_arn)
        endpoint = await account.endpoint(target.endpoint)
        config = endpoint.get("EndpointConfigName") if endpoint else None
        return await account.package_of(config, request.variant, like) if config else None


def version_of(arn: str) -> int:
    """The version that a package's ARN ends in; 0 where it has none."""
    number = arn.rpartition("/")[2]
    return int(number) if number.isdecimal() else 0


def _records_of(package: DescribeModelPackageOutputTypeDef) -> list[Served]:
    metadata = package.get("CustomerMetadataProperties", {})
    return records_in(package["ModelPackageArn"], package.get("ModelPackageVersion", 0), metadata)
