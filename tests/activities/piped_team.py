"""An app whose tasks piped runs, for the tests of how they are found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from slipway_sandbox.testing import SandboxProcess, build_image, push_image, shell_layer

from activities.origin import Origin
from activities.tasks.messages import FindTask
from slipway.api import PromotionRequest
from tests.support.piped import run_as_piped

DIGEST = f"sha256:{'a' * 64}"
SOON = timedelta(seconds=1)


class Team:
    """An app whose tasks piped runs, and a promotion of one digest."""

    def __init__(self, sandbox: SandboxProcess, account: str, deployment: Any) -> None:
        self.sandbox, self.account, self.deployment = sandbox, account, deployment
        self.ecs = sandbox.client("ecs", account)
        self.ecs.create_cluster(clusterName="pipelines")
        spec, app = deployment.file("promotion.yaml"), deployment.file("app.pipecd.yaml")
        pinned = deployment.push(
            {
                "promotion.yaml": spec.replace("  git:", "  task: {launcher: pipecd}\n  git:"),
                "app.pipecd.yaml": app.replace("runStandaloneTask: false", "runStandaloneTask: true"),
            }
        )
        self.registry = f"{account}.dkr.ecr.us-east-1.amazonaws.com"
        self.origin = self.promotion_of(DIGEST, pinned)
        self.template = deployment.file("taskdef.yaml").replace(f"{self.registry}/screening:old", "{image}")

    def promotion_of(self, digest: str, pinned: str) -> Origin:
        request = PromotionRequest(app=self.deployment.app, image=f"{self.registry}/screening-ci@{digest}")
        return Origin(request=request, commit=pinned)

    def pushed(self, command: str) -> str:
        """A real image that runs a command; the promotion is of it. Returns its digest."""
        image = build_image([shell_layer()], command=["sh", "-c", command])
        push_image(self.sandbox, self.account, "screening", "v1", image)
        self.origin = self.promotion_of(image.digest, self.origin.commit)
        return image.digest

    def bring(self, digest: str, note: str = "") -> str:
        """A commit whose task definition has the image."""
        text = self.template.replace("{image}", f"{self.registry}/screening@{digest}")
        return self.deployment.push({"taskdef.yaml": f"{text}\n# {note}\n"})

    def leave_writing_to_piped(self) -> None:
        """The event watcher of piped writes the image, too: what CI pushes is what the task runs."""
        spec = self.deployment.file("promotion.yaml").replace("git: {event", "git: {writer: pipecd, event")
        pinned = self.deployment.push({"promotion.yaml": spec.replace("/screening-ci\n", "/screening\n")})
        self.origin = self.promotion_of(DIGEST, pinned)

    def bring_tag(self, tag: str) -> str:
        """The same, with the image by a tag."""
        text = self.template.replace("{image}", f"{self.registry}/screening:{tag}")
        return self.deployment.push({"taskdef.yaml": text})

    def runs(self, commit: str, digest: str = DIGEST, **tags: str) -> str:
        """A task as piped runs it for a commit."""
        return run_as_piped(self.ecs, self.account, commit, f"{self.registry}/screening@{digest}", **tags)

    def find(self, commit: str, **more: Any) -> FindTask:
        asked: dict[str, Any] = {"origin": self.origin, "commit": commit, "region": "us-east-1", "within": SOON, **more}
        return FindTask(**asked)
