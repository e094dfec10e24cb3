"""Model artifacts, as serving containers find them in `/opt/ml/model`."""

from __future__ import annotations

import tarfile
from pathlib import Path


class ArtifactError(Exception):
    """An archive that cannot be unpacked. The text says why."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `tar.gz` into a folder, and remove it. Members that lead out of the folder are refused.

    Raises:
        ArtifactError: It is damaged, or no such archive.
    """
    try:
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArtifactError(str(error)) from error
    finally:
        archive.unlink(missing_ok=True)
