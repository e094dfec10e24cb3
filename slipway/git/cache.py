"""What was read from mirrors, kept in memory: a file at a commit never changes."""

from __future__ import annotations

from collections.abc import Collection

from slipway.git.mirror import Change, Entry
from slipway.kept import Kept

BYTES = 16_000_000
"""The most bytes of files that are kept."""
ENTRIES = 10_000


class FileCache:
    """Entries of trees and contents of files. Keys begin with the mirror: one repository's content is never another's."""

    def __init__(self) -> None:
        self.entries: Kept[tuple[str, str, str], Entry | None] = Kept(ENTRIES)
        """By mirror, commit and path."""
        self.contents: Kept[tuple[str, str], bytes] = Kept(BYTES, len)
        """By mirror and blob."""
        self.changes: Kept[tuple[str, str, str], Change | None] = Kept(ENTRIES)
        """Who last changed a file up to a commit, by mirror, commit and path."""

    def known(self, mirror: str, commit: str, paths: Collection[str]) -> dict[str, bytes | None] | None:
        """Files' contents at a commit, if all of them are kept."""
        contents: dict[str, bytes | None] = {}
        for path in paths:
            if (mirror, commit, path) not in self.entries:
                return None
            entry = self.entries[mirror, commit, path]
            if entry and (mirror, entry.blob) not in self.contents:
                return None
            contents[path] = self.contents[mirror, entry.blob] if entry else None
        return contents
