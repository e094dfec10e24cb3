"""The smoke request to a model that is served: the app's files, and who is to answer."""

from __future__ import annotations

import asyncio

from activities.endpoints import invocation
from activities.endpoints.messages import Smoke, SmokeAnswer
from activities.endpoints.served import SageMakerAccount, container_to_ask
from activities.repositories import Repositories
from slipway.app.answer_schema import AnswerSchema
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError
from slipway.gathering import both
from slipway.git.repository import Repository
from slipway.git.rules import app_file


async def smoke(aws: Aws, repositories: Repositories, request: Smoke) -> SmokeAnswer:
    """Sends the request, and judges the answer.

    Raises:
        NeedsPersonError: The answer's schema is none.
        SlipwayError: The endpoint could not be asked.
    """
    repository = await repositories.open(request.app)
    body = await repository.read(request.commit, app_file(request.app.folder, request.payload))
    schema = await _schema_of(request, repository)
    plan = request.plan
    account = SageMakerAccount(aws, plan.region, plan.target.role_arn)
    endpoint, model = await both(account.endpoint(plan.target.endpoint), account.model(plan.model))
    to: dict[str, str] = {}
    # Of several variants, and of containers that are asked one by one, the one that got the package answers.
    if endpoint and len(endpoint.get("ProductionVariants", [])) > 1 and plan.variant.name:
        to["TargetVariant"] = plan.variant.name
    if model and (container := container_to_ask(model, plan.package.arn)):
        to["TargetContainerHostname"] = container
    runtime = aws.runtime(plan.region, plan.target.role_arn)
    answer = await invocation.invoke(aws, runtime, plan.target.endpoint, body, request.content_type, to)
    # In a thread: a stranger's answer and schema may take seconds.
    return await asyncio.to_thread(invocation.judge, answer, request.status, request.values, schema)


async def _schema_of(request: Smoke, repository: Repository) -> AnswerSchema | None:
    if request.answer_schema is None:
        return None
    content = await repository.read(request.commit, app_file(request.app.folder, request.answer_schema))
    try:
        return await asyncio.to_thread(AnswerSchema.parse, content)
    except ValueError as error:
        tried = f"reading the schema {request.answer_schema} at {request.commit[:12]}"
        raise NeedsPersonError(tried, f"it {error}", "correct it on the branch, then retry") from error
