"""Parts of `/opt/ml` and of requests that both kinds of jobs have."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.jobs.work import HOST, ML

GROUP = "homogeneousCluster"
"""What SageMaker calls the one group of instances of a job that has no groups."""


def resource_config(instance_type: str | None) -> dict[str, Any]:
    """The content of `resourceconfig.json`: one host."""
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


def local_folder(ml: Path, path: str) -> Path:
    """The host's folder for a container's path below `/opt/ml`."""
    return ml / PurePosixPath(path).relative_to(ML)


def refuse_path(path: str, where: str) -> None:
    """Refuse a local path that is not below `/opt/ml`.

    Raises:
        AwsError: It is not.
    """
    parts = PurePosixPath(path)
    if not parts.is_relative_to(ML) or parts == PurePosixPath(ML) or ".." in parts.parts:
        raise validation_error(f"The LocalPath '{path}' of {where} is not valid; it has to be a folder below {ML}/processing.")


def refuse_experiment(request: dict[str, Any]) -> None:
    """Refuse an experiment or trial, as none exists here.

    Raises:
        AwsError: `ResourceNotFound`.
    """
    config = request.get("ExperimentConfig", {})
    for kind, member in (("Experiment", "ExperimentName"), ("Trial", "TrialName")):
        if member in config:
            raise AwsError("ResourceNotFound", f"{kind} '{config[member]}' does not exist.")


def not_implemented(what: str) -> AwsError:
    """The answer to what AWS can do and the sandbox cannot."""
    return AwsError("NotImplemented", f"The sandbox does not run jobs with {what} yet.", HTTPStatus.NOT_IMPLEMENTED)
