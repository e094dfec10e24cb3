"""Clients of AWS by account and region, and the threads that their calls run on.

The code is the same for AWS and for a local stand-in: `AWS_ENDPOINT_URL`, region and credentials come from the environment.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_ecr import ECRClient
    from types_boto3_ecs import ECSClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 30
INVOKE_TIMEOUT = 70
"""SageMaker gives a model 60 s to answer."""
THREADS = 32
"""Calls in flight at once. Each takes milliseconds; a wait holds no thread."""


class Aws:
    """Clients by service, region and role, and the threads that their blocking calls run on.

    A client tries three times by itself. One without retries is for calls whose repetition would be a second effect: the caller
    has to look for the first effect before it repeats such a call, which botocore does not do.
    """

    def __init__(self) -> None:
        self._own = botocore.session.get_session()
        self._sessions: dict[str | None, boto3.session.Session] = {}
        self._clients: dict[tuple[str, str, str | None, int], Any] = {}
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

    def _client(self, service: Any, region: str, role_arn: str | None = None, *, retries: bool = True) -> Any:
        attempts = ATTEMPTS if retries else 1
        key = (str(service), region, role_arn, attempts)
        with self._lock:
            if key not in self._clients:
                session: Any = self._session(role_arn, region)
                self._clients[key] = session.client(service, region_name=region, config=_config(service, attempts))
            return self._clients[key]

    def _session(self, role_arn: str | None, region: str) -> boto3.session.Session:
        if role_arn not in self._sessions:
            own = self._own if role_arn is None else self._assumed(role_arn, region)
            self._sessions[role_arn] = boto3.session.Session(botocore_session=own)
        return self._sessions[role_arn]

    def _assumed(self, role_arn: str, region: str) -> botocore.session.Session:
        """A session that acts as the role. botocore gets its credentials when they are needed and renews them in time."""
        session = botocore.session.get_session()
        # The descriptions of AWS's services are large, and the same for every role.
        session.register_component("data_loader", self._own.get_component("data_loader"))  # pyright: ignore[reportUnknownMemberType]
        provider = _AssumedRole(self._own, role_arn, region)
        session.register_component("credential_provider", CredentialResolver(providers=[provider]))  # pyright: ignore[reportUnknownMemberType]
        return session


class _AssumedRole(CredentialProvider):
    """Credentials of a role, by those of the worker."""

    METHOD = "assume-role"

    def __init__(self, own: botocore.session.Session, role_arn: str, region: str) -> None:
        super().__init__()
        self._own = own
        self._role_arn = role_arn
        self._region = region

    def load(self) -> Any:
        create: Any = self._own.create_client
        fetcher: Any = AssumeRoleCredentialFetcher(
            client_creator=functools.partial(create, region_name=self._region, config=_config("sts", ATTEMPTS)),
            source_credentials=self._own.get_credentials(),
            role_arn=self._role_arn,
            extra_args={"RoleSessionName": "slipway"},
        )
        return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=self.METHOD)


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
