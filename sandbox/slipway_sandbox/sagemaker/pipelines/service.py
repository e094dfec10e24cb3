"""Pipelines: create, update, describe, list and delete."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, World, operation
from slipway_sandbox.sagemaker.access import check_role
from slipway_sandbox.sagemaker.pipelines.definition import parse_definition
from slipway_sandbox.sagemaker.pipelines.requests import TOKEN, digest_of, new_aliases, not_found, refuse_other, version_of
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Execution, Pipeline, Version
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import page, within
from slipway_sandbox.sagemaker.tags import TagRoom

QUOTA = "Maximum number of pipelines allowed per account"
UNVERIFIED = "wording that is not known from public reports is not verified on AWS"


class PipelineRoom(Room):
    """Pipelines, their versions, and the executions that they were run in. What runs them is in `executions.py`.

    Args:
        world: What all rooms share.
        tags: The tags of all SageMaker resources.
        quotas: How many pipelines an account may have.
    """

    service = "sagemaker"

    def __init__(self, world: World, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(world)
        self._tags = tags
        self._quotas = quotas
        self._pipelines: dict[tuple[str, str, str], Pipeline] = {}
        """By account, region and name in lower case, as ARNs spell it."""
        self.executions: dict[str, Execution] = {}
        """By ARN."""

    def find(self, caller: Caller, name_or_arn: str) -> Pipeline:
        """The pipeline, by its name or ARN.

        Raises:
            AwsError: `ResourceNotFound`.
        """
        arn = name_or_arn if name_or_arn.startswith("arn:") else arn_of(caller, name_or_arn)
        found = self._pipelines.get(key_of(caller, arn.rpartition("/")[2]))
        if found is None or found.arn != arn.lower():
            raise not_found(f"Pipeline '{arn}'")
        return found

    def _of(self, caller: Caller) -> list[Pipeline]:
        """The pipelines of an account and region."""
        return [pipeline for key, pipeline in self._pipelines.items() if key[:2] == (caller.account, caller.region)]

    def find_execution(self, caller: Caller, arn: str) -> Execution:
        """The execution.

        Raises:
            AwsError: `ResourceNotFound`.
        """
        found = self.executions.get(arn)
        if found is None or (found.caller.account, found.caller.region) != (caller.account, caller.region):
            raise not_found(f"Pipeline execution '{arn}'")
        return found

    def executions_of(self, pipeline: Pipeline) -> list[Execution]:
        """A pipeline's executions, the oldest first."""
        return [self.executions[arn] for arn in pipeline.executions]

    def pipeline_of(self, execution: Execution) -> Pipeline:
        """The pipeline that an execution is of."""
        return self._pipelines[key_of(execution.caller, execution.pipeline_name)]

    @operation(
        "CreatePipeline",
        concurrent=True,
        differs="steps of other types than Processing, Training, Transform, Model, RegisterModel, Condition, Fail, Callback and "
        "Lambda answer `NotImplemented`; conditions within a branch are allowed; a role that IAM does not know "
        "will do, unless the account is strict; client tokens do not "
        f"expire, and the code for one that comes with other parameters is not verified; {UNVERIFIED}",
    )
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        check_role(self.world, caller, request["RoleArn"])
        text = self._definition(caller, request)
        name, token, asked = request["PipelineName"], request[TOKEN], digest_of(request)
        with self.lock:
            found = self._pipelines.get(key_of(caller, name))
            if found and found.token == token:
                refuse_other(token, found.asked, asked)
                return {"PipelineArn": found.arn}
            if found:
                raise validation_error(
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists."
                )
            self._quotas.check(caller, QUOTA, lambda: len(self._of(caller)), unit="pipelines")
            now = self.world.clock.now()
            aliases = new_aliases((), request.get("PipelineVersionAliases", ()))
            pipeline = Pipeline(
                name=name,
                arn=arn_of(caller, name),
                created=now,
                modified=now,
                role=request["RoleArn"],
                versions=[Version(1, text, now, aliases=aliases)],
                display_name=request.get("PipelineDisplayName", name),
                description=request.get("PipelineDescription"),
                parallelism=request.get("ParallelismConfiguration"),
                token=token,
                asked=asked,
            )
            self._pipelines[key_of(caller, name)] = pipeline
            self._tags.put(pipeline.arn, request.get("Tags", ()))
            return {"PipelineArn": pipeline.arn}

    @operation("UpdatePipeline", concurrent=True, differs=f"that only another definition makes another version, and {UNVERIFIED}")
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        check_role(self.world, caller, request.get("RoleArn"))
        told = "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request
        text = self._definition(caller, request) if told else None
        with self.lock:
            pipeline = self.find(caller, request["PipelineName"])
            now = self.world.clock.now()
            self._add_version(pipeline, text, request.get("PipelineVersionAliases"))
            pipeline.role = request.get("RoleArn", pipeline.role)
            pipeline.display_name = request.get("PipelineDisplayName", pipeline.display_name)
            pipeline.description = request.get("PipelineDescription", pipeline.description)
            pipeline.parallelism = request.get("ParallelismConfiguration", pipeline.parallelism)
            pipeline.modified = now
            return {"PipelineArn": pipeline.arn, "PipelineVersionId": pipeline.latest.number}

    @operation("DescribePipeline")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self.find(caller, request["PipelineName"])
        return pipeline.described(version_of(pipeline, request))

    @operation("DeletePipeline", differs="its executions are gone with it, which is not verified on AWS")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self.find(caller, request["PipelineName"])
        busy = [execution.arn for execution in self.executions_of(pipeline) if execution.status in RUNNING]
        if busy:
            raise AwsError("ConflictException", f"Pipeline '{pipeline.arn}' has executions that run: {', '.join(busy)}")
        self._forget(key_of(caller, pipeline.name))
        return {"PipelineArn": pipeline.arn}

    @operation("ListPipelines")
    def list_pipelines(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("PipelineNamePrefix", "")
        found = [
            pipeline
            for pipeline in self._of(caller)
            if request.get("ManagedBy", "CUSTOMER") == "CUSTOMER"
            and pipeline.name.startswith(prefix)
            and within(pipeline.created, request, "Created")
        ]
        found.sort(
            key=lambda pipeline: pipeline.name if request.get("SortBy") == "Name" else pipeline.created.isoformat(),
            reverse=request.get("SortOrder", "Descending") == "Descending",
        )
        pipelines, token = page(found, request)
        return {"PipelineSummaries": [pipeline.summary() for pipeline in pipelines], "NextToken": token}

    @operation("ListPipelineVersions")
    def list_versions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self.find(caller, request["PipelineName"])
        ordered = sorted(
            (version for version in pipeline.versions if within(version.created, request, "Created")),
            key=lambda version: version.number,
            reverse=request.get("SortOrder", "Descending") == "Descending",
        )
        versions, token = page(ordered, request)
        return {"PipelineVersionSummaries": [version.summary(pipeline.arn) for version in versions], "NextToken": token}

    @operation("UpdatePipelineVersion", differs=UNVERIFIED)
    def update_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self.find(caller, request["PipelineArn"])
        version = version_of(pipeline, request)
        operations = request.get("PipelineVersionAliasOperations", {})
        added, removed = operations.get("Add", []), operations.get("Remove", [])
        if common := sorted(set(added) & set(removed)):
            raise validation_error(f"The alias '{common[0]}' can't be both added and removed.")
        left = [alias for alias in version.aliases if alias not in removed]
        others = [other for other in pipeline.versions if other is not version]
        version.aliases = new_aliases(others, [*left, *added])
        version.display_name = request.get("PipelineVersionDisplayName", version.display_name)
        version.description = request.get("PipelineVersionDescription", version.description)
        return {"PipelineArn": pipeline.arn, "PipelineVersionId": version.number}

    def reset(self, account: str | None) -> None:
        """Forget the pipelines of one account, or all, and end what runs."""
        for key in [key for key in self._pipelines if account in (None, key[0])]:
            self._forget(key)

    def _forget(self, key: tuple[str, str, str]) -> None:
        pipeline = self._pipelines.pop(key)
        for arn in pipeline.executions:
            self.executions.pop(arn).abandoned.set()
        self._tags.forget(pipeline.arn)

    def _add_version(self, pipeline: Pipeline, text: str | None, aliases: list[str] | None) -> None:
        if text is None or text == pipeline.latest.text:
            if aliases:
                raise validation_error("PipelineVersionAliases can be specified only when the pipeline definition changes.")
            return
        checked = new_aliases(pipeline.versions, aliases or ())
        pipeline.versions.append(Version(len(pipeline.versions) + 1, text, self.world.clock.now(), aliases=checked))

    def _definition(self, caller: Caller, request: dict[str, Any]) -> str:
        """The text of a request's definition, which is checked."""
        given = "PipelineDefinition" in request, "PipelineDefinitionS3Location" in request
        if given == (True, True):
            raise validation_error("Only one of PipelineDefinition and PipelineDefinitionS3Location can be given.")
        if given == (False, False):
            raise validation_error("Either PipelineDefinition or PipelineDefinitionS3Location has to be given.")
        text = request.get("PipelineDefinition") or self._stored(caller, request["PipelineDefinitionS3Location"])
        return parse_definition(text).text

    def _stored(self, caller: Caller, place: dict[str, str]) -> str:
        names = {"Bucket": place["Bucket"], "Key": place["ObjectKey"]}
        names |= {"VersionId": place["VersionId"]} if "VersionId" in place else {}
        try:
            stored = self.world.client("s3", caller).get_object(**names)
            return str(stored["Body"].read(), "utf-8")
        except (ClientError, BotoCoreError, ValueError) as error:
            where = f"s3://{place['Bucket']}/{place['ObjectKey']}"
            raise validation_error(f"Unable to read the pipeline definition at {where}: {error}") from error


def key_of(caller: Caller, name: str) -> tuple[str, str, str]:
    """How a pipeline is kept."""
    return caller.account, caller.region, name.lower()


def arn_of(caller: Caller, name: str) -> str:
    """A pipeline's ARN; SageMaker spells names in ARNs in lower case."""
    return f"arn:aws:sagemaker:{caller.region}:{caller.account}:pipeline/{name.lower()}"
