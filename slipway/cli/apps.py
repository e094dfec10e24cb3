"""Finds the application that a command names by its short name, or by one of its endpoints."""

from __future__ import annotations

import posixpath
from typing import Annotated

from cyclopts import Parameter
from temporalio.client import Client

from slipway.api import AppRef, PromotionRequest
from slipway.cli.common import checked
from slipway.cli.list import find
from slipway.cli.reading import read
from slipway.errors import RefusedError
from slipway.git.rules import check_branch, normalise_url
from slipway.temporal import search_attributes as attributes

Name = Annotated[str, Parameter(help="The application, as the ids of its promotions begin; or one of its endpoints.")]
Repository = Annotated[
    str,
    Parameter(
        help="The URL of the deployment repository. Needed only where Temporal knows no promotion of the application any more; "
        "NAME is then an endpoint, or the application as a whole."
    ),
]
Branch = Annotated[str, Parameter(help="With --repository: the deployment branch.")]
Folder = Annotated[str, Parameter(help="With --repository: the application's folder.")]


async def find_app(client: Client, name: str, repository: str, branch: str, folder: str, command: str) -> tuple[AppRef, str]:
    """The application, and the endpoint where the name is one's.

    Args:
        client: Temporal.
        name: What was typed.
        repository: The repository's URL; empty to look for the newest promotion.
        branch: With a repository: its branch.
        folder: With a repository: the folder in it.
        command: The command, for errors.

    Raises:
        RefusedError: Temporal knows no promotion of it.
    """
    if repository:
        normalise_url(repository)
        check_branch(branch)
        app = checked(AppRef, command, repository=repository, branch=branch, folder=posixpath.normpath(folder))
        return app, "" if name == PromotionRequest(app=app, image="").slug else name
    for attribute, endpoint in ((attributes.APP, ""), (attributes.TARGETS, name)):
        if found := await find(client, {attribute.name: name}, 1):
            return (await read(client, found[0]["id"])).status.app, endpoint
    raise RefusedError(
        f"looking for the application of {name}",
        "Temporal knows no promotion of an application or to an endpoint of this name",
        f"`slipway list` shows what there is; or say where it is: slipway {command} {name} --repository … --folder …",
    )
