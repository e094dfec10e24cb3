"""`slipway start`."""

from __future__ import annotations

import asyncio
import os
import posixpath
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from slipway.api import TASK_QUEUE, AppRef, PromotionRequest
from slipway.cli.common import AsJson, By, Length, person
from slipway.cli.exits import Exit, exit_code
from slipway.cli.following import follow
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.git.rules import check_branch, normalise_url
from slipway.oci.reference import ImageReference
from slipway.temporal.connect import connect
from slipway.temporal.start import start_promotion

ASKER = "Who asks. Absent: SLIPWAY_USER, or USER. Shown as claimed: nothing proves it."


async def start(
    *,
    repository: str,
    image: str,
    branch: str = "main",
    folder: str = ".",
    commit: str = "",
    requested_by: Annotated[By, Parameter(name="--requested-by", help=ASKER)] = None,
    attempt: int = 1,
    wait: Annotated[bool, Parameter(negative="")] = False,
    timeout: Length = None,  # noqa: ASYNC109 -- it ends with the last status, not with an error
    as_json: AsJson = False,
) -> int:
    """Start the promotion of one image. The same app and digest make one promotion: a CI job that runs twice follows the first.

    Args:
        repository: The URL of the deployment repository. The worker must have it on its list (SLIPWAY_REPOSITORIES).
        image: The pipeline image that CI pushed, by digest; by tag, its digest is looked up in ECR with your AWS credentials.
        branch: The deployment branch; what is on it says who may approve.
        folder: The application's folder in the repository, with app.pipecd.yaml and promotion.yaml.
        commit: The source commit that the image was built from.
        requested_by: Who asks. Absent: SLIPWAY_USER, or USER.
        attempt: Higher than 1 promotes a digest anew whose promotion is over.
        wait: Follow it to its end; the exit code says how it ended.
        timeout: With --wait: how long to follow at the most, as 30s, 10m, 72h or 2d. Absent: as long as it takes.
        as_json: One object a line: what was started, then with --wait each change.
    """
    out = Out(as_json=as_json)
    normalise_url(repository)
    check_branch(branch)
    digest = await asyncio.to_thread(by_digest, image)
    request = read_request(repository, branch, folder, digest, commit, person(requested_by), attempt)
    client = await connect()
    handle, is_new = await start_promotion(client, request, os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE))
    out.data({"id": handle.id, "started": is_new, "image": digest, "namespace": client.namespace})
    if is_new:
        out.say(f"promotion {handle.id} started")
    else:
        out.say(f"promotion {handle.id} is there already, of the same app and digest; --attempt {attempt + 1} starts another one")
    if not wait:
        out.say(f"follow it with: slipway watch {handle.id}")
        return Exit.ok
    return exit_code(await follow(client, handle.id, out, timeout))


def read_request(
    repository: str, branch: str, folder: str, image: str, commit: str, requested_by: str, attempt: int
) -> PromotionRequest:
    """The request.

    Raises:
        RefusedError: A value is not allowed.
    """
    app = AppRef(repository=repository, branch=branch, folder=posixpath.normpath(folder))
    try:
        return PromotionRequest(app=app, image=image, commit=commit, requested_by=requested_by, attempt=attempt)
    except ValidationError as error:
        wrong = "; ".join(f"--{each['loc'][0]}: {each['msg']}" for each in error.errors())
        raise RefusedError("reading the command line", wrong, "see `slipway start --help`") from error


def by_digest(image: str) -> str:
    """The image by digest, which for a tag is asked of ECR.

    Raises:
        RefusedError: It is no image in ECR, or is not there.
        SlipwayError: AWS did not answer.
    """
    try:
        reference = ImageReference.parse(image)
    except ValueError as error:
        raise RefusedError("reading --image", str(error), "give the image by digest, or by tag") from error
    if reference.digest:
        return str(reference.at(reference.digest))
    # Only a tag needs AWS. Its SDK takes long to import, and is an extra of the distribution.
    try:
        from slipway.cli.tags import digest_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        remedy = "give the image by digest, or install `slipway-promotions[aws]`"
        raise RefusedError(f"looking up the tag of {image} in ECR", f"{error.name} is not installed", remedy) from error
    return str(reference.at(digest_of(reference)))
