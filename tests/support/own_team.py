"""A team with files, images and a pipeline of its own. Nothing in them is the sample's, and nothing knows of Slipway."""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from slipway_sandbox.testing import fresh_account, push_image, python_image

from demo.images import SERVICES, SYSTEM_PATH, app_layer, base_layer, image_layout, package_layer, push
from demo.oci_layout import BuiltImage
from demo.stack import Stack
from demo.team import FOLDER, ROOT, Team
from tests.support.own.job_programs import MODULES, PROGRAMS


class OwnTeam(Team):
    """A team in accounts of its own, which has given every file of its repository itself.

    Its CI pushes to a registry that is not ECR by its name: the local AWS's, as `127.0.0.1:<port>`.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack, ci_account=fresh_account(), ml_account=fresh_account())
        token = self.client("ecr", self.ci_account).get_authorization_token()["authorizationData"][0]
        self._registry, self._token = str(token["proxyEndpoint"]), str(token["authorizationToken"])
        self.host: str = urlsplit(self._registry).netloc

    def write_login(self, folder: Path) -> None:
        """Write Docker's config with the registry's login."""
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": self._token}}}))

    def commit(self, files: Mapping[str, str]) -> None:
        """Make the deployment branch. In the files `<HOST>` stands for CI's registry, and `<ML>` for the team's account."""
        folder = self.stack.folder / f"app-{self.ml_account}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text.replace("<HOST>", self.host).replace("<ML>", self.ml_account))
        self.remote.create({FOLDER: folder})

    def own(self, target: str, cluster: str, bucket: str, group: str) -> None:
        """Make what people have made in AWS before, and push the image of the pipeline's jobs and of the model."""
        self._create_repository(self.ml_account, target)
        self.client("ecs").create_cluster(clusterName=cluster)
        self.client("s3").create_bucket(Bucket=bucket)
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName=group)
        push_image(self.stack.sandbox, self.ml_account, "jobs", "v1", python_image(PROGRAMS, imports=MODULES))

    def push_from_ci(self, repository: str, image: BuiltImage) -> str:
        """Push an image to CI's registry; returns its name by digest."""
        self._create_repository(self.ci_account, repository)
        user, _, password = base64.b64decode(self._token).decode().partition(":")
        return f"{self.host}/{repository}@{push(image, self._registry, user, password, repository, 'v1')}"


def task_image(name: str, files: Mapping[str, Path]) -> BuiltImage:
    """An image with boto3 and a team's own files in `/app`, which is where its commands run."""
    layout = image_layout()
    packages = package_layer(layout, ROOT, ROOT / "pipeline" / "requirements.txt", SERVICES)
    own = app_layer(layout, name, {f"app/{file}": path for file, path in files.items()})
    config = {"Env": [f"PATH={SYSTEM_PATH}", "PYTHONPATH=/opt/packages"], "WorkingDir": "/app"}
    return layout.image(name, [base_layer(layout), packages, own], config, platform.machine())
