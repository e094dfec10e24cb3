"""What a worker looks at when it starts: what is missing is better known then than when the first promotion parks on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import botocore.session
from botocore.exceptions import BotoCoreError

from slipway.errors import FailureReport, NeedsPersonError, SlipwayError
from slipway.git.process import failure, run_git, without_credentials
from slipway.git.rules import url_for_git


async def find_problems(repositories: Iterable[str]) -> AsyncIterator[FailureReport]:
    """What promotions will park on, as far as a look without any effect can tell.

    Args:
        repositories: The URLs of repositories that promotions will use.
    """
    checks = [check_credentials(), *(check_repository(url) for url in repositories)]
    for check in asyncio.as_completed(checks):
        try:
            await check
        except SlipwayError as error:
            yield error.report


async def check_credentials() -> None:
    """See whether there are credentials for AWS. Whether they are allowed enough is only known when they are used.

    Raises:
        NeedsPersonError: There are none.
    """
    tried = "looking for AWS credentials"
    remedy = "give the worker a role (ECS, EC2, EKS), AWS_* variables, or AWS_PROFILE"
    try:
        found = await asyncio.to_thread(botocore.session.get_session().get_credentials)
    except BotoCoreError as error:
        raise NeedsPersonError(tried, str(error), remedy) from error
    if found is None:
        raise NeedsPersonError(tried, "there are none in the environment, in a profile or in a role of this machine", remedy)


async def check_repository(url: str) -> None:
    """See whether git may read a repository.

    Raises:
        SlipwayError: It may not, or it does not answer.
    """
    tried = f"reading the branches of {without_credentials(url)}"
    answer = await run_git(["ls-remote", "--heads", url_for_git(url)], folder=Path(os.devnull), tried=tried)
    if answer.code:
        raise failure(tried, answer)
