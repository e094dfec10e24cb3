"""A training job's checkpoints: downloaded before it starts, uploaded when it ends or is interrupted."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from slipway_sandbox.containers.container import Mount
from slipway_sandbox.core.errors import validation_error
from slipway_sandbox.sagemaker.jobs.storage import Storage
from slipway_sandbox.sagemaker.jobs.work import ML

DEFAULT_PATH = f"{ML}/checkpoints"


class Checkpoints:
    """Where a job keeps its checkpoints.

    Args:
        config: The request's CheckpointConfig; None for a job that keeps none.

    Raises:
        AwsError: Its LocalPath can be no folder of a container.
    """

    def __init__(self, config: dict[str, Any] | None) -> None:
        self._uri: str | None = config["S3Uri"] if config else None
        self._path = (config or {}).get("LocalPath", DEFAULT_PATH)
        parts = PurePosixPath(self._path)
        if not parts.is_absolute() or ".." in parts.parts or len(parts.parts) < 2:  # noqa: PLR2004  (the root alone)
            raise validation_error(
                f"The LocalPath '{self._path}' of CheckpointConfig is not valid; it has to be an absolute path."
            )

    def bring(self, ml: Path, storage: Storage) -> list[Mount]:
        """What the container sees of the checkpoints so far."""
        if self._uri is None:
            return []
        folder = self._folder(ml)
        folder.mkdir(exist_ok=True)
        storage.download_what_is_there(self._uri, folder)
        return [Mount(folder, self._path)]

    def store(self, ml: Path, storage: Storage) -> None:
        """Keep them for the next run."""
        if self._uri is not None and self._folder(ml).is_dir():
            storage.upload_folder(self._folder(ml), self._uri)

    @staticmethod
    def _folder(ml: Path) -> Path:
        return ml.parent / "checkpoints"
