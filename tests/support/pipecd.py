"""PipeCD's public API as a real gRPC server on the loopback address, with what a test says of applications and deployments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from slipway.pipecd import api_pb2

KEY = "k3y-of-the-project"


class PipecdServer:
    """Answers as PipeCD 0.57 does: it wants the key, and filters by name, state and application.

    Args:
        certificates: The folder of `server.pem` and `server-key.pem`; none for a server without TLS.
    """

    def __init__(self, certificates: Path | None = None) -> None:
        self.applications: list[api_pb2.Application] = []
        self.deployments: list[api_pb2.Deployment] = []
        """The one that changed last comes first."""
        self.errors: dict[str, str] = {}
        """The last error in a deployment's log, by the deployment's id."""
        self.asked: list[str] = []
        """The methods that were called with the right key."""
        self.on_deployments: Callable[[], None] = lambda: None
        """Runs before deployments are listed, as for what happens between two looks."""
        self.raw: bytes | None = None
        """What is answered in place of anything else."""
        self.released = threading.Event()
        """Answers wait for it."""
        self.released.set()
        self._server = grpc.server(ThreadPoolExecutor(4))
        methods = {
            "ListApplications": self._list_applications,
            "ListDeployments": self._list_deployments,
            "ListStageLogs": self._list_stage_logs,
        }
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(self._behind_the_key(method)) for name, method in methods.items()
        }
        service = grpc.method_handlers_generic_handler("grpc.service.apiservice.APIService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        if certificates:
            pair = ((certificates / "server-key.pem").read_bytes(), (certificates / "server.pem").read_bytes())
            port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        else:
            port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.released.set()
        self._server.stop(None).wait()

    def register(self, remote: str, folder: str = "apps/screening", **changes: Any) -> api_pb2.Application:
        """An application of the branch main with the id `a`, unless changed."""
        repository = api_pb2.GitRepository(remote=remote, branch="main")
        path = api_pb2.GitPath(repo=repository, path=folder, config_filename="app.pipecd.yaml")
        told: dict[str, Any] = {"id": "a", "name": "screening", "git_path": path} | changes
        application = api_pb2.Application(**told)
        self.applications.append(application)
        return application

    def deploy(
        self, commit: str, status: api_pb2.DeploymentStatus = api_pb2.DEPLOYMENT_SUCCESS, reason: str = ""
    ) -> api_pb2.Deployment:
        """A deployment of the application `a`, which is newer than those before and has the id `d<number>`."""
        number = len(self.deployments) + 1
        trigger = api_pb2.Trigger(commit=api_pb2.Commit(hash=commit))
        deployment = api_pb2.Deployment(
            id=f"d{number}",
            application_id="a",
            trigger=trigger,
            status=status,
            status_reason=reason,
            created_at=1_700_000_000 + number,
        )
        self.deployments.insert(0, deployment)
        return deployment

    def _behind_the_key(self, method: Callable[[bytes], bytes]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            given = dict(context.invocation_metadata()).get("authorization", "")
            if given != f"API-KEY {KEY}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"Unauthenticated: {given}")
            self.released.wait()
            return method(request) if self.raw is None else self.raw

        return answer

    def _list_applications(self, data: bytes) -> bytes:
        self.asked.append("ListApplications")
        request = api_pb2.ListApplicationsRequest.FromString(data)
        found = [each for each in self.applications if request.name in ("", each.name) and each.disabled == request.disabled]
        return api_pb2.ListApplicationsResponse(applications=found[: request.limit]).SerializeToString()

    def _list_deployments(self, data: bytes) -> bytes:
        self.asked.append("ListDeployments")
        self.on_deployments()
        request = api_pb2.ListDeploymentsRequest.FromString(data)
        found = [each for each in self.deployments if each.application_id == request.application_ids[0]]
        return api_pb2.ListDeploymentsResponse(deployments=found[: request.limit]).SerializeToString()

    def _list_stage_logs(self, data: bytes) -> bytes:
        self.asked.append("ListStageLogs")
        error = self.errors.get(api_pb2.ListStageLogsRequest.FromString(data).deployment_id)
        lines = [("Start applying the ECS task definition", 0), ("A try failed", 2), (error, 2), ("End", 0)] if error else []
        blocks = [api_pb2.LogBlock(log=log, severity=severity, created_at=at) for at, (log, severity) in enumerate(lines, 1)]
        stages = {"s1": api_pb2.StageLog(blocks=blocks[2:]), "s2": api_pb2.StageLog(blocks=blocks[:2])}
        return api_pb2.ListStageLogsResponse(stage_logs=stages).SerializeToString()
