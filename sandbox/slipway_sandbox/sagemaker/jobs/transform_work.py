"""What a transform job does: serve the model, send it each record, and keep its answers."""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from slipway_sandbox.containers.awslogs import Log
from slipway_sandbox.containers.container import Container
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.artifacts import ArtifactError, unpack
from slipway_sandbox.sagemaker.jobs.invocations import DEFAULT_RETRIES, DEFAULT_TIMEOUT, ModelFaultError, ModelServer, Terms
from slipway_sandbox.sagemaker.jobs.job import COMPLETED, STOPPED, Ending, Job, JobFailedError, failed
from slipway_sandbox.sagemaker.jobs.records import MEGABYTE, RecordError, assembled, batches_of, records_of
from slipway_sandbox.sagemaker.jobs.serving import SHORTEST_STARTUP, STARTUP_SECONDS, Served, serving_network, url_of
from slipway_sandbox.sagemaker.jobs.storage import Source, Storage, split_uri
from slipway_sandbox.sagemaker.jobs.work import HOST, Command, Work

DEFAULT_PAYLOAD = 6
LOOK_EVERY = 0.1
STRATEGIES = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}
"""A BatchStrategy as containers spell it, and as the API does."""
SEE_LOGS = "See job logs for more information"


class HaltedError(Exception):
    """The job is to end."""


@dataclass(frozen=True)
class Pace:
    """How records are sent."""

    parallel: int
    payload: int
    """Megabytes."""
    strategy: str

    @classmethod
    def of(cls, request: dict[str, Any], suggested: dict[str, Any]) -> Pace:
        """The request's values; for those that it leaves out, the container's."""
        parallel = request.get("MaxConcurrentTransforms") or number(suggested, "MaxConcurrentTransforms") or 1
        payload = request.get("MaxPayloadInMB")
        if payload is None:
            payload = number(suggested, "MaxPayloadInMB")
        strategy = STRATEGIES.get(str(suggested.get("BatchStrategy")), "MultiRecord")
        return cls(parallel, DEFAULT_PAYLOAD if payload is None else payload, request.get("BatchStrategy", strategy))

    def __str__(self) -> str:
        spelled = {api: container for container, api in STRATEGIES.items()}[self.strategy]
        return f"MaxConcurrentTransforms={self.parallel}, MaxPayloadInMB={self.payload}, BatchStrategy={spelled}"


class TransformWork(Work):
    """One transform job's container, requests and outputs.

    Args:
        world: The sandbox.
        job: The job.
        model: What it serves.
    """

    log_group = "/aws/sagemaker/TransformJobs"

    def __init__(self, world: World, job: Job, model: Served) -> None:
        super().__init__(world, job)
        self._model = model
        self._storage: Storage
        self._sources: list[Source] = []
        self._folder = Path()

    @property
    def role(self) -> str | None:
        """The model's role: a transform job has none of its own."""
        return self._model.role

    @property
    def isolated(self) -> bool:
        """Whether the container is to have no way to AWS, and so no credentials either."""
        return self._model.isolated

    @property
    def image(self) -> str:
        """The URI of the model's image."""
        return self._model.image

    def command(self) -> Command:
        """`serve`, with what SageMaker tells a container of batch transform."""
        return Command(
            entry_point=None,
            command=["serve"],
            environment={
                "SAGEMAKER_REGION": self.job.caller.region,
                **batch_environment(self.job.request),
                **self._model.environment,
                **self.job.request.get("Environment", {}),
            },
            network=serving_network(self._world.endpoint, isolated=self.isolated),
        )

    def prepare(self, ml: Path, storage: Storage) -> None:
        """Bring the model, and look which objects there are."""
        self._storage = storage
        self._folder = ml.parent
        (ml / "model").mkdir()
        url = self._model.artifact
        if url:
            archive = self._folder / "model.tar.gz"
            storage.fetch(Source(*split_uri(url), name=archive.name), archive)
            try:
                unpack(archive, ml / "model")
            except ArtifactError as error:
                raise JobFailedError(f"ClientError: Failed to extract model data archive from URL {url}: {error}") from error
        place = self.job.request["TransformInput"]["DataSource"]["S3DataSource"]
        found = storage.sources(place["S3DataType"], place["S3Uri"])
        self._sources = [source for source in found if not source.key.endswith("/")]

    def attend(self, container: Container, stopping: threading.Event) -> Ending | None:
        """Send every object's records to the model."""
        seconds = self._world.clock.real(STARTUP_SECONDS, SHORTEST_STARTUP)
        with closing(self._server(container)) as server, closing(self._open_log()) as said:
            if not server.wait_until_healthy(container, stopping, seconds):
                return STOPPED if stopping.is_set() else failed(f"AlgorithmError: {SEE_LOGS}")
            pace = Pace.of(self.job.request, server.parameters())
            note(said, str(pace))
            pool = ThreadPoolExecutor(pace.parallel, thread_name_prefix=f"transform-{self.job.name}")
            sender = BatchSender(server, pace, pool, container, stopping)
            try:
                return self._transform_all(sender, said)
            except HaltedError:
                return STOPPED
            finally:
                # Requests under way end with the container.
                pool.shutdown(wait=False, cancel_futures=True)

    def collect(self, ml: Path, storage: Storage, ending: Ending) -> None:
        """Store the answers to the objects that went through; those of a job that was stopped are not stored."""
        outputs = ml.parent / "out"
        if ending is not STOPPED and outputs.is_dir():
            storage.upload_folder(outputs, self.job.request["TransformOutput"]["S3OutputPath"])

    def _server(self, container: Container) -> ModelServer:
        source, target = self.job.request["TransformInput"], self.job.request["TransformOutput"]
        asked = {"Content-Type": source.get("ContentType"), "Accept": target.get("Accept")}
        client = self.job.request.get("ModelClientConfig", {})
        terms = Terms(
            headers={name: value for name, value in asked.items() if value},
            timeout=client.get("InvocationsTimeoutInSeconds", DEFAULT_TIMEOUT),
            retries=client.get("InvocationsMaxRetries", DEFAULT_RETRIES),
        )
        return ModelServer(url_of(container), terms)

    def _open_log(self) -> Log:
        return self.access.open_log(self.log_group, f"{self.job.name}/{HOST}-{int(time.time())}/data-log")

    def _transform_all(self, sender: BatchSender, said: Log) -> Ending:
        """One object after the other; one that cannot be transformed does not keep the others from it."""
        worst: str | None = None
        for source in self._sources:
            try:
                self._transform(sender, source)
            except RecordError as error:
                note(said, f"{source.bucket}/{source.key}: {error}")
                worst = worst or f"ClientError: {SEE_LOGS}"
            except ModelFaultError as error:
                for line in complaint(error):
                    note(said, f"{source.bucket}/{source.key}: {line}")
                worst = worst or f"{'ClientError' if error.is_clients else 'AlgorithmError'}: {SEE_LOGS}"
        return failed(worst) if worst else COMPLETED

    def _transform(self, sender: BatchSender, source: Source) -> None:
        request = self.job.request
        taken, target = self._folder / "in", self._folder / "out" / f"{source.name}.out"
        self._storage.fetch(source, taken)
        target.parent.mkdir(parents=True, exist_ok=True)
        limit = sender.pace.payload * MEGABYTE
        try:
            with opened(taken, request["TransformInput"]["CompressionType"]) as file, target.open("wb") as output:
                records = records_of(file, request["TransformInput"]["SplitType"], limit)
                answers = sender.answers(batches_of(records, sender.pace.strategy, limit))
                for part in assembled(answers, request["TransformOutput"]["AssembleWith"]):
                    output.write(part)
        except (RecordError, ModelFaultError):
            target.unlink()
            raise
        except (OSError, EOFError) as error:
            target.unlink()
            raise RecordError(f"the object cannot be read: {error}") from error


@dataclass(frozen=True)
class BatchSender:
    """Sends mini-batches, several at once, and gives their answers in order."""

    server: ModelServer
    pace: Pace
    pool: ThreadPoolExecutor
    container: Container
    stopping: threading.Event

    def answers(self, batches: Iterator[list[bytes]]) -> Iterator[bytes]:
        """The answer to each mini-batch.

        Raises:
            RecordError: A record is too long.
            ModelFaultError: The model does not answer as it should.
            HaltedError: The job is to end.
        """
        under_way: deque[Future[bytes]] = deque()
        for batch in batches:
            if len(under_way) >= self.pace.parallel:
                yield self._next(under_way)
            under_way.append(self.pool.submit(self.server.invoke, b"\n".join(batch)))
        while under_way:
            yield self._next(under_way)

    def _next(self, under_way: deque[Future[bytes]]) -> bytes:
        future = under_way.popleft()
        while not wait([future], LOOK_EVERY).done:
            if self.stopping.is_set():
                raise HaltedError
            if not self.container.running:
                raise ModelFaultError(None, "")
        try:
            return future.result()
        except ModelFaultError as error:
            if self.stopping.is_set():
                raise HaltedError from error
            raise


def batch_environment(request: dict[str, Any]) -> dict[str, str]:
    """The variables that tell a container of batch transform; those that the request does not set are left out."""
    spelled = {api: container for container, api in STRATEGIES.items()}
    asked = {
        "SAGEMAKER_BATCH_STRATEGY": spelled.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
    }
    return {"SAGEMAKER_BATCH": "true"} | {name: str(value) for name, value in asked.items() if value is not None}


def number(suggested: dict[str, Any], name: str) -> int | None:
    """A number from the container's execution parameters; None where it is not one."""
    value = suggested.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def opened(path: Path, compression: str) -> IO[bytes]:
    """A file's content, unpacked where it is gzipped."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if compression == "Gzip" else path.open("rb")


def complaint(error: ModelFaultError) -> list[str]:
    """What the job's log says of an answer, in SageMaker's words."""
    if error.status is None:
        return ["Unable to get response from algorithm", "", "Message:", *error.text.splitlines()]
    head = f"ClientError: {error.status}" if error.is_clients else f"Bad HTTP status received from algorithm: {error.status}"
    return [head, "", "Message:", *error.text.splitlines()]


def note(log: Log, line: str) -> None:
    """Write a line of the sandbox's own into a job's log."""
    log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.{datetime.now(UTC).microsecond // 1000:03d}:[sagemaker logs]: {line}")
