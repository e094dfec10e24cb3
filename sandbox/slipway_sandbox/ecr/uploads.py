"""Uploads of blobs: received in pieces into files, and hashed on the way."""

from __future__ import annotations

import hashlib
import threading
import uuid
from pathlib import Path
from typing import BinaryIO

from slipway_sandbox.ecr.store import Repository, Store

PIECE = 1024 * 1024


class Upload:
    """One blob being received."""

    def __init__(self, repository: Repository, path: Path) -> None:
        self.id = str(uuid.uuid4())
        self.repository = repository
        self.path = path
        self.size = 0
        self.lock = threading.Lock()
        self._hash = hashlib.sha256()
        path.touch()

    @property
    def digest(self) -> str:
        """The digest of what came so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def receive(self, source: BinaryIO) -> None:
        """Append all that a request's body has."""
        with self.path.open("ab") as file:
            while piece := source.read(PIECE):
                file.write(piece)
                self._hash.update(piece)
                self.size += len(piece)


class Uploads:
    """The uploads that are open. Guarded by the service's lock, like the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, Upload] = {}

    def start(self, repository: Repository) -> Upload:
        """Begin to receive a blob."""
        upload = Upload(repository, self._store.upload_path())
        self._open[upload.id] = upload
        return upload

    def find(self, repository: Repository, upload_id: str) -> Upload | None:
        """An open upload of that repository."""
        upload = self._open.get(upload_id)
        return upload if upload and upload.repository is repository else None

    def keep(self, upload: Upload) -> None:
        """The blob is whole: make it one of the repository's."""
        del self._open[upload.id]
        self._store.keep_blob(upload.repository, upload.path, upload.digest)

    def drop(self, upload: Upload) -> None:
        """Forget a blob that will not come, or came wrong."""
        self._open.pop(upload.id, None)
        upload.path.unlink(missing_ok=True)
