"""Clients of AWS by account and region, and the threads that their calls run on.

The code is the same for AWS and for a local stand-in: `AWS_ENDPOINT_URL`, region and credentials come from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import re
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError

from slipway.aws.errors import classify
from slipway.errors import NeedsPersonError
from slipway.kept import Kept

if TYPE_CHECKING:
    from types_boto3_application_autoscaling import ApplicationAutoScalingClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_ecr import ECRClient
    from types_boto3_ecs import ECSClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from types_boto3_sts import STSClient

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 30
INVOKE_TIMEOUT = 70
"""SageMaker gives a model 60 s to answer."""
THREADS = 32
"""Calls in flight at once. Each takes milliseconds; a wait holds no thread."""


KEPT_CLIENTS = 128
"""Clients that are kept; each takes about half a megabyte. A client that is in use lives on without being kept."""
KEPT_SESSIONS = 64
APP_TAG = "slipway:app"
"""The session tag that names the application, for trust policies of target roles."""


@dataclass(frozen=True)
class Actor:
    """Whom sessions of target roles name: for the target's trust policy, and in CloudTrail."""

    promotion: str
    """The promotion's id."""
    app: str
    """`<repository>#<branch>#<folder>`."""

    @property
    def session(self) -> str:
        """The session's name and source identity: 2 to 64 of the characters that STS allows."""
        return re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", self.promotion)[:64].ljust(2, "-")

    @property
    def tag(self) -> str:
        """The value of the session tag: up to 256 of the characters that STS allows."""
        return re.sub(r"[^\w \t.:/=+@-]", "_", self.app.replace("#", "@"))[:256]


_actor: contextvars.ContextVar[Actor | None] = contextvars.ContextVar("actor", default=None)


@contextlib.contextmanager
def acting_for(actor: Actor | None) -> Generator[None]:
    """In the body, sessions of target roles name this promotion."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


class Aws:
    """Clients by service, region and role, and the threads that their blocking calls run on.

    A client tries three times by itself. One without retries is for calls whose repetition would be a second effect: the caller
    has to look for the first effect before it repeats such a call, which botocore does not do.
    """

    def __init__(self) -> None:
        self._own = botocore.session.get_session()
        self._sessions: Kept[tuple[str | None, Actor | None], boto3.session.Session] = Kept(KEPT_SESSIONS)
        self._clients: Kept[tuple[str, str, str | None, Actor | None, int], Any] = Kept(KEPT_CLIENTS)
        self._lock = threading.RLock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aws")

    def close(self) -> None:
        """Shut down the executor; calls in flight end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(self, tried: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """One blocking call, on a thread.

        Args:
            tried: What the call is for, as "looking for the endpoint x"; errors begin with it.
            function: A client's method.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Raises:
            SlipwayError: By the class of what AWS answered.
        """
        bound = functools.partial(contextvars.copy_context().run, functools.partial(function, *args, **kwargs))
        future = asyncio.get_running_loop().run_in_executor(self._threads, bound)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # A call in flight cannot be taken back. What undoes its effect must come after it.
            await asyncio.wait({future})
            raise
        except (BotoCoreError, ClientError) as error:
            raise classify(error, tried) from error

    def ecr(self, region: str) -> ECRClient:
        return self._client("ecr", region)

    def ecs(self, region: str, *, retries: bool = True) -> ECSClient:
        return self._client("ecs", region, retries=retries)

    def logs(self, region: str) -> CloudWatchLogsClient:
        return self._client("logs", region)

    def s3(self, region: str) -> S3Client:
        return self._client("s3", region)

    def sagemaker(self, region: str, role_arn: str | None = None, *, retries: bool = True) -> SageMakerClient:
        return self._client("sagemaker", region, role_arn, retries=retries)

    def runtime(self, region: str, role_arn: str | None = None) -> SageMakerRuntimeClient:
        return self._client("sagemaker-runtime", region, role_arn, retries=False)

    def cloudwatch(self, region: str, role_arn: str | None = None) -> CloudWatchClient:
        return self._client("cloudwatch", region, role_arn)

    def scaling(self, region: str, role_arn: str | None = None) -> ApplicationAutoScalingClient:
        return self._client("application-autoscaling", region, role_arn)

    def sts(self, region: str, role_arn: str | None = None) -> STSClient:
        return self._client("sts", region, role_arn)

    def _client(self, service: Any, region: str, role_arn: str | None = None, *, retries: bool = True) -> Any:
        attempts = ATTEMPTS if retries else 1
        actor = _actor.get() if role_arn else None

        def make() -> Any:
            session: Any = self._session(role_arn, region, actor)
            return session.client(service, region_name=region, config=_config(service, attempts))

        with self._lock:
            return self._clients.get_or_make((str(service), region, role_arn, actor, attempts), make)

    def _session(self, role_arn: str | None, region: str, actor: Actor | None) -> boto3.session.Session:
        def make() -> boto3.session.Session:
            own = self._own if role_arn is None else self._assumed(role_arn, region, actor)
            return boto3.session.Session(botocore_session=own)

        return self._sessions.get_or_make((role_arn, actor), make)

    def _assumed(self, role_arn: str, region: str, actor: Actor | None) -> botocore.session.Session:
        """A session that acts as the role. botocore gets its credentials when they are needed and renews them in time."""
        session = botocore.session.get_session()
        # The descriptions of AWS's services are large, and the same for every role.
        session.register_component("data_loader", self._own.get_component("data_loader"))  # pyright: ignore[reportUnknownMemberType]
        provider = _AssumedRole(self._own, role_arn, region, actor)
        session.register_component("credential_provider", CredentialResolver(providers=[provider]))  # pyright: ignore[reportUnknownMemberType]
        return session


class _AssumedRole(CredentialProvider):
    """Credentials of a role, by those of the worker.

    The session names the promotion and the application. A trust policy that does not let the worker say so, as one without
    `sts:TagSession`, denies that; then the session has its name alone. One that demands them denies that as well.
    """

    METHOD = "assume-role"

    def __init__(self, own: botocore.session.Session, role_arn: str, region: str, actor: Actor | None) -> None:
        super().__init__()
        self._own = own
        self._role_arn = role_arn
        self._region = region
        self._actor = actor

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._fetch, method=self.METHOD)

    def _fetch(self) -> Any:
        if self._actor is None:
            return self._fetch_with({"RoleSessionName": "slipway"})
        name = {"RoleSessionName": self._actor.session}
        tags = [{"Key": APP_TAG, "Value": self._actor.tag}]
        try:
            return self._fetch_with({**name, "SourceIdentity": self._actor.session, "Tags": tags})
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "AccessDenied":
                raise
            return self._fetch_with(name)

    def _fetch_with(self, arguments: dict[str, Any]) -> Any:
        create: Any = self._own.create_client
        fetcher: Any = AssumeRoleCredentialFetcher(
            client_creator=functools.partial(create, region_name=self._region, config=_config("sts", ATTEMPTS)),
            source_credentials=self._own.get_credentials(),
            role_arn=self._role_arn,
            extra_args=arguments,
        )
        return fetcher.fetch_credentials()


def _config(service: str, attempts: int) -> Config:
    read_timeout = INVOKE_TIMEOUT if service == "sagemaker-runtime" else READ_TIMEOUT
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=THREADS,
    )


def region_of(arn: str) -> str:
    """The region that an ARN names."""
    return arn.split(":")[3]


_S3_URI = re.compile(r"s3://(?P<bucket>[A-Za-z0-9._-]+)(?:/(?P<key>.*))?", re.DOTALL)
# Each part begins at a dot: a hyphen that could begin one too would be tried in all ways, for as long as the worker lives.
_S3_HOST = r"s3(?:-[a-z0-9-]+)?(?:\.[a-z0-9-]+)*\.amazonaws\.(?:com(?:\.cn)?|eu)"
_S3_URLS = (
    re.compile(rf"https://(?P<bucket>[A-Za-z0-9._-]+)\.{_S3_HOST}/(?P<key>.*)", re.DOTALL),
    re.compile(rf"https://{_S3_HOST}/(?P<bucket>[A-Za-z0-9._-]+)/(?P<key>.*)", re.DOTALL),
)
"""How SageMaker takes places in S3, too: with the bucket in the host's name, or behind it."""


def place_in_s3(uri: str) -> tuple[str, str]:
    """The bucket and key of an S3 URI. A key is as it is written: `#`, `?`, `%` and doubled slashes are its own.

    Raises:
        NeedsPersonError: It names no bucket. SageMaker takes any text.
    """
    found = next((match for form in (_S3_URI, *_S3_URLS) if (match := form.fullmatch(uri))), None)
    if found is None:
        remedy = "register the package with places such as s3://bucket/key; then retry, or abort"
        raise NeedsPersonError(f"reading the place {uri}", "it is no place in S3", remedy)
    return found["bucket"], found["key"] or ""


def object_in_s3(uri: str) -> tuple[str, str]:
    """The bucket and key of an S3 URI that names one object.

    Raises:
        NeedsPersonError: It names none.
    """
    bucket, key = place_in_s3(uri)
    if not key:
        remedy = "register the package with the file; then retry, or abort"
        raise NeedsPersonError(f"reading the place {uri}", "it names a bucket, and no file", remedy)
    return bucket, key
