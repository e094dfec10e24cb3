"""The deployment repositories that this worker may use."""

from __future__ import annotations

from pathlib import Path

from slipway.git.repository import Repository
from slipway.git.rules import RepositoryPolicy


class Repositories:
    """Opens repositories that are on the allow-list, and no others.

    Args:
        policy: The allow-list.
        cache: The worker's folder for mirrors.
    """

    def __init__(self, policy: RepositoryPolicy, cache: Path) -> None:
        self._policy = policy
        self._cache = cache

    def open(self, url: str) -> Repository:
        """The repository.

        Raises:
            RefusedError: It is not on the list.
        """
        return Repository(self._policy.check(url), self._cache)
