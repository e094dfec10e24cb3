"""CreatePipeline and its kin."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.pipelines.definition import Definition, parse_definition
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Pipeline, Version
from slipway_sandbox.sagemaker.resources import Table, page, within
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World, operation


def not_found(what: str) -> AwsError:
    """AWS's answer for what is not there."""
    return AwsError("ResourceNotFound", f"{what} does not exist.")


def refuse_aliases(request: dict[str, Any]) -> None:
    """Say that versions have no aliases here.

    Raises:
        AwsError: The request names one.
    """
    if request.get("PipelineVersionAliases") or "PipelineVersionAlias" in request:
        raise AwsError("NotImplemented", "The sandbox keeps no aliases of pipeline versions.", 501)


class PipelineRoom(Room):
    """Pipelines and their versions. What they run is in `executions.py`.

    Args:
        world: What all rooms share.
        tags: The tags of all SageMaker resources.
    """

    service = "sagemaker"

    def __init__(self, world: World, tags: TagRoom) -> None:
        super().__init__(world)
        self._pipelines: Table[Pipeline] = Table("pipeline", "pipeline")
        self._tags = tags

    def find(self, caller: Caller, name_or_arn: str) -> Pipeline:
        """The pipeline, by its name or ARN.

        Raises:
            AwsError: `ResourceNotFound`.
        """
        found = self._pipelines.find(caller, name_or_arn)
        arn = name_or_arn if name_or_arn.startswith("arn:") else self._pipelines.arn(caller, name_or_arn)
        if found is None:
            found = next((pipeline for pipeline in self.all_of(caller) if pipeline.arn == arn), None)
        if found is None:
            raise not_found(f"Pipeline '{arn}'")
        return found

    def all_of(self, caller: Caller) -> list[Pipeline]:
        """The pipelines of an account and region."""
        return self._pipelines.all_of(caller)

    @operation("CreatePipeline", concurrent=True)
    def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_aliases(request)
        definition = self._definition(caller, request)
        name = request["PipelineName"]
        with self.lock:
            found = self._pipelines.find(caller, name)
            if found and found.token == request["ClientRequestToken"]:
                return {"PipelineArn": found.arn}
            if found:
                raise validation_error(
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists."
                )
            now = self.world.clock.now()
            pipeline = Pipeline(
                name,
                self._pipelines.arn(caller, name),
                now,
                now,
                request["RoleArn"],
                [Version(1, definition, now)],
                request.get("PipelineDisplayName", name),
                request.get("PipelineDescription"),
                request.get("ParallelismConfiguration"),
                request["ClientRequestToken"],
            )
            self._pipelines.add(caller, pipeline)
            self._tags.put(pipeline.arn, request.get("Tags", ()))
            return {"PipelineArn": pipeline.arn}

    @operation("UpdatePipeline", concurrent=True)
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_aliases(request)
        told = "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request
        definition = self._definition(caller, request) if told else None
        with self.lock:
            pipeline = self.find(caller, request["PipelineName"])
            now = self.world.clock.now()
            number = len(pipeline.versions) + 1
            pipeline.versions.append(Version(number, definition or pipeline.versions[-1].definition, now))
            pipeline.role = request.get("RoleArn", pipeline.role)
            pipeline.display_name = request.get("PipelineDisplayName", pipeline.display_name)
            pipeline.description = request.get("PipelineDescription", pipeline.description)
            pipeline.parallelism = request.get("ParallelismConfiguration", pipeline.parallelism)
            pipeline.modified = now
            return {"PipelineArn": pipeline.arn, "PipelineVersionId": number}

    @operation("DescribePipeline")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_aliases(request)
        pipeline = self.find(caller, request["PipelineName"])
        return pipeline.described(version_of(pipeline, request))

    @operation("DeletePipeline")
    def delete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self.find(caller, request["PipelineName"])
        busy = [execution.arn for execution in pipeline.executions.values() if execution.status in RUNNING]
        if busy:
            raise AwsError("ConflictException", f"Pipeline '{pipeline.arn}' has executions that run: {', '.join(busy)}")
        self._pipelines.remove(caller, pipeline.name)
        self._tags.forget(pipeline.arn)
        return {"PipelineArn": pipeline.arn}

    @operation("ListPipelines")
    def list_pipelines(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("PipelineNamePrefix", "")
        found = [
            pipeline
            for pipeline in self.all_of(caller)
            if pipeline.name.startswith(prefix) and within(pipeline.created, request, "Created")
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
        rows = [
            {"PipelineArn": pipeline.arn, "PipelineVersionId": version.number, "CreationTime": version.created}
            for version in versions
        ]
        return {"PipelineVersionSummaries": rows, "NextToken": token}

    def reset(self, account: str | None) -> None:
        """Forget the pipelines of one account, or all, and end what runs."""
        for pipeline in self._pipelines.clear(account):
            pipeline.abandon()

    def _definition(self, caller: Caller, request: dict[str, Any]) -> Definition:
        given = "PipelineDefinition" in request, "PipelineDefinitionS3Location" in request
        if given == (True, True):
            raise validation_error("Only one of PipelineDefinition and PipelineDefinitionS3Location can be given.")
        if given == (False, False):
            raise validation_error("Either PipelineDefinition or PipelineDefinitionS3Location has to be given.")
        return parse_definition(
            request.get("PipelineDefinition") or self._stored(caller, request["PipelineDefinitionS3Location"])
        )

    def _stored(self, caller: Caller, place: dict[str, str]) -> str:
        names = {"Bucket": place["Bucket"], "Key": place["ObjectKey"]}
        names |= {"VersionId": place["VersionId"]} if "VersionId" in place else {}
        try:
            stored = self.world.client("s3", caller).get_object(**names)
            return str(stored["Body"].read(), "utf-8")
        except (ClientError, BotoCoreError, ValueError) as error:
            where = f"s3://{place['Bucket']}/{place['ObjectKey']}"
            raise validation_error(f"Unable to read the pipeline definition at {where}: {error}") from error


def version_of(pipeline: Pipeline, request: dict[str, Any]) -> Version:
    """The version that a request names, or the latest.

    Raises:
        AwsError: `ResourceNotFound`.
    """
    number: int = request.get("PipelineVersionId", len(pipeline.versions))
    if not 1 <= number <= len(pipeline.versions):
        raise not_found(f"Version {number} of the pipeline '{pipeline.arn}'")
    return pipeline.versions[number - 1]
