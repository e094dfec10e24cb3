"""The deployment repositories that this worker may use."""

from __future__ import annotations

from pathlib import Path

from slipway.api import AppRef
from slipway.git.repository import Repository
from slipway.git.rules import url_for_git
from slipway.policy.check import require_branch
from slipway.policy.source import Policies


class Repositories:
    """Opens repositories for the applications that the policy names, and for no others.

    Args:
        policies: What the worker's owner allows.
        cache: The worker's folder for mirrors.
    """

    def __init__(self, policies: Policies, cache: Path) -> None:
        self.policies = policies
        self._cache = cache

    async def open(self, app: AppRef) -> Repository:
        """The repository of an application.

        Raises:
            RefusedError: The policy names neither the repository nor the branch.
        """
        require_branch(await self.policies(), app)
        return Repository(url_for_git(app.repository), self._cache)
