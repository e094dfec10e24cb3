"""InvokeEndpointAsync: requests that wait in a queue, and are answered by objects in S3 and messages of SNS."""

from __future__ import annotations

import base64
import json
import logging
import threading
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.errors import AwsError, boto3_error
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.hosting.artifacts import split
from slipway_sandbox.sagemaker.hosting.endpoint import Endpoint
from slipway_sandbox.sagemaker.hosting.metrics import Metrics, Place
from slipway_sandbox.sagemaker.hosting.model_client import MODEL_TIMEOUT, Answer, ModelClient
from slipway_sandbox.sagemaker.hosting.requests import invalid
from slipway_sandbox.sagemaker.hosting.routing import BusyError, Route

log = logging.getLogger(__name__)

DEFAULT_CONCURRENCY = 4
"""Requests that an instance works on at a time, where the configuration does not say. AWS picks a number of its own."""
DEFAULT_TTL = 21_600
DEFAULT_TIMEOUT = 900
LOOK_AGAIN = 5.0
"""Simulated seconds until a queue is looked at again whose endpoint has no instance."""
LARGEST_NOTE = 128 * 1024
"""Bytes of an answer up to which a notification repeats it."""


class NotDoneError(Exception):
    """A request cannot be done. The text is the failure's reason."""


@dataclass(frozen=True)
class Job:
    """One request.

    Attributes:
        endpoint: Who is to answer it.
        id: Its InferenceId.
        request: Its members.
        body: What it carries itself, where it names no object in S3.
        received: When it came.
        since: The simulated second of that moment.
        output: Where the answer goes.
        failure: Where a failure goes, if anywhere.
    """

    endpoint: Endpoint
    id: str
    request: dict[str, Any]
    body: bytes
    received: datetime
    since: float
    output: str
    failure: str | None


@dataclass
class Queue:
    """The requests of one endpoint that wait, and how many are being worked on."""

    waiting: deque[Job] = field(default_factory=deque[Job])
    active: int = 0


class AsyncRequests:
    """Takes requests in, and works on them as fast as an endpoint's instances may.

    Args:
        world: What all rooms share.
        models: Speaks to the containers.
        metrics: What CloudWatch is to learn.
    """

    def __init__(self, world: World, models: ModelClient, metrics: Metrics) -> None:
        self._world = world
        self._models = models
        self._metrics = metrics
        self._queues: dict[str, Queue] = {}
        self._lock = threading.Lock()

    def accept(self, endpoint: Endpoint, request: dict[str, Any], body: bytes) -> Job:
        """Put a request into its endpoint's queue.

        Raises:
            AwsError: `ValidationError`: the endpoint is none that answers later, or there is nothing to answer.
        """
        config = endpoint.served.config.request.get("AsyncInferenceConfig")
        if config is None:
            raise invalid(f"Endpoint {endpoint.name} is not an asynchronous endpoint. Use InvokeEndpoint to invoke it.")
        if ("InputLocation" in request) == bool(body):
            raise invalid("Exactly one of InputLocation and Body must be provided.")
        number = str(uuid.uuid4())
        paths = config["OutputConfig"]
        folder = "/".join(
            part.strip("/") for part in (paths["S3OutputPath"], request.get("S3OutputPathExtension", "")) if part.strip("/")
        )
        failures = paths.get("S3FailurePath")
        job = Job(
            endpoint,
            request.get("InferenceId", number),
            request,
            body,
            self._world.clock.now(),
            self._world.clock.seconds(),
            f"{folder}/{request.get('Filename', f'{number}.out')}",
            f"{failures.rstrip('/')}/{number}-error.out" if failures else None,
        )
        with self._lock:
            self._queues.setdefault(endpoint.arn, Queue()).waiting.append(job)
        self._pump(endpoint)
        return job

    def _pump(self, endpoint: Endpoint) -> None:
        """Begin as many of an endpoint's requests as there is room for."""
        with self._lock:
            queue = self._queues.get(endpoint.arn)
            if queue is None:
                return
            begun: list[Job] = []
            while queue.waiting and queue.active < room_of(endpoint):
                begun.append(queue.waiting.popleft())
                queue.active += 1
            stuck = bool(queue.waiting) and queue.active == 0
            if not queue.waiting and not queue.active:
                del self._queues[endpoint.arn]
        for job in begun:
            threading.Thread(target=self._work, args=(job,), name=f"async-{endpoint.name}", daemon=True).start()
        if stuck and not endpoint.halted.is_set():
            self._world.clock.call_later(LOOK_AGAIN, lambda: self._pump(endpoint))

    def _work(self, job: Job) -> None:
        try:
            self._do(job)
        except Exception:
            log.exception("the asynchronous request %s was lost", job.id)
        finally:
            with self._lock:
                self._queues[job.endpoint.arn].active -= 1
            self._pump(job.endpoint)

    def _do(self, job: Job) -> None:
        variant = job.endpoint.served.config.variants[0]["VariantName"]
        place = Place(job.endpoint.name, variant, job.endpoint.served.config.name)
        begun = self._world.clock.now()
        try:
            answer = self._answer(job)
        except (NotDoneError, AwsError) as error:
            self._fail(job, place, str(error), None)
            return
        now = self._world.clock.now()
        self._metrics.add(
            job.endpoint.caller,
            place,
            {
                "InvocationsProcessed": 1.0,
                "InvocationFailures": float(answer.failed),
                "TimeInBacklog": (begun - job.received).total_seconds() * 1e6,
                "TotalProcessingTime": (now - job.received).total_seconds() * 1e6,
                "ModelLatency": answer.seconds * 1e6,
            },
        )
        if answer.failed:
            said = answer.body.decode("utf-8", "replace")
            self._fail(job, place, f'Received server error ({answer.status}) from model with message "{said}".', answer)
            return
        self._store(job, job.output, answer.body, answer.content_type)
        self._notify(job, "SuccessTopic", {"invocationStatus": "Completed"}, answer, {"outputLocation": job.output})

    def _answer(self, job: Job) -> Answer:
        waited = self._world.clock.seconds() - job.since
        if waited > job.request.get("RequestTTLSeconds", DEFAULT_TTL):
            raise NotDoneError("The request expired before it was processed.")
        body = job.body or self._input(job)
        route = self._route(job.endpoint)
        try:
            timeout = self._world.clock.real(job.request.get("InvocationTimeoutSeconds", DEFAULT_TIMEOUT), MODEL_TIMEOUT)
            return self._models.ask(route.server, job.request, body, timeout)
        finally:
            route.server.leave()

    def _input(self, job: Job) -> bytes:
        location = job.request["InputLocation"]
        bucket, key = split(location)
        try:
            return self._world.client("s3", job.endpoint.caller).get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError, boto3_error()) as error:
            raise NotDoneError(f"Failed to download the input from {location}: {error}") from error

    @staticmethod
    def _route(endpoint: Endpoint) -> Route:
        try:
            route = endpoint.router.take()
        except BusyError:
            route = None
        if route is None:
            raise NotDoneError("The endpoint has no instance to answer.")
        return route

    def _fail(self, job: Job, place: Place, reason: str, answer: Answer | None) -> None:
        if answer is None:
            self._metrics.add(job.endpoint.caller, place, {"InvocationFailures": 1.0})
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, reason.encode(), {"content-type": "text/plain"}, "", 0.0)
        if job.failure:
            self._store(job, job.failure, answer.body, answer.content_type)
        where = {"failureLocation": job.failure} if job.failure else {}
        self._notify(job, "ErrorTopic", {"invocationStatus": "Failed", "failureReason": reason}, answer, where)

    def _store(self, job: Job, uri: str, body: bytes, content_type: str) -> None:
        bucket, key = split(uri)
        client = self._world.client("s3", job.endpoint.caller)
        try:
            client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            log.warning("the answer to the asynchronous request %s could not be stored at %s: %s", job.id, uri, error)

    def _notify(self, job: Job, topic: str, status: dict[str, str], answer: Answer, where: dict[str, Any]) -> None:
        notifications = job.endpoint.served.config.request["AsyncInferenceConfig"]["OutputConfig"].get("NotificationConfig", {})
        if topic not in notifications:
            return
        included = "SUCCESS_NOTIFICATION_TOPIC" if topic == "SuccessTopic" else "ERROR_NOTIFICATION_TOPIC"
        if included in notifications.get("IncludeInferenceResponseIn", ()) and len(answer.body) <= LARGEST_NOTE:
            where = {**where, "responseBody": {"content": base64.b64encode(answer.body).decode(), "encoding": "base64"}}
        asked = {
            "accept": "Accept",
            "contentType": "ContentType",
            "customAttributes": "CustomAttributes",
            "inputLocation": "InputLocation",
        }
        message = {
            "awsRegion": job.endpoint.caller.region,
            "eventTime": stamped(self._world.clock.now()),
            "receivedTime": stamped(job.received),
            **status,
            "requestParameters": {
                "endpointName": job.endpoint.name,
                **{name: job.request[member] for name, member in asked.items() if member in job.request},
            },
            "responseParameters": {"contentType": answer.content_type, **where},
            "inferenceId": job.id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        try:
            self._world.client("sns", job.endpoint.caller).publish(TopicArn=notifications[topic], Message=json.dumps(message))
        except (ClientError, BotoCoreError) as error:
            log.warning("the end of the asynchronous request %s could not be published: %s", job.id, error)


def room_of(endpoint: Endpoint) -> int:
    """How many requests an endpoint may work on at a time: `MaxConcurrentInvocationsPerInstance` for each instance."""
    config = endpoint.served.config
    if config.request.get("AsyncInferenceConfig") is None:
        return 1
    client = config.request["AsyncInferenceConfig"].get("ClientConfig", {})
    instances = endpoint.served.instances(config.variants[0]["VariantName"])
    return instances * client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY)


def stamped(moment: datetime) -> str:
    """A moment as notifications spell it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
