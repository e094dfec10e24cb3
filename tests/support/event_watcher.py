"""The part of piped's event watcher, played as the real one was seen to do it: an event becomes a commit on the branch.

It shares no code with Slipway: what it writes is what Slipway is to understand.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from demo.stack import base_environment

NAME, EMAIL = "piped", "pipecd.dev@gmail.com"
"""Whom piped commits as unless its configuration says otherwise."""


@dataclass(frozen=True)
class Event:
    """What `pipe-cd/actions-event-register` registers, by the members of PipeCD's RegisterEventRequest."""

    name: str
    data: str
    labels: dict[str, str] = field(default_factory=dict[str, str])
    contexts: dict[str, str] = field(default_factory=dict[str, str])
    commit_hash: str = ""


class EventWatcher:
    """Watches for the events of one application.

    Args:
        repository: The bare deployment repository.
        folder: The application's folder.
        branch: The deployment branch.
        config: PipeCD's file in that folder.
    """

    def __init__(self, repository: Path, folder: str, branch: str = "main", config: str = "app.pipecd.yaml") -> None:
        self._repository = repository
        self._folder = folder
        self._branch = branch
        self._config = config

    def handle(self, event: Event) -> str | None:
        """Commit an event's value; returns the commit, or none where the files have the value already."""
        with tempfile.TemporaryDirectory() as scratch:
            clone = Path(scratch) / "clone"
            self._git("clone", "--quiet", "--branch", self._branch, str(self._repository), str(clone), at=Path(scratch))
            app = clone / self._folder
            watchers = yaml.safe_load((app / self._config).read_text())["spec"]["eventWatcher"]
            for watcher in (each for each in watchers if _matches(each["matcher"], event)):
                config = watcher["handler"]["config"]
                for replacement in config["replacements"]:
                    _replace(app / replacement["file"], replacement["yamlField"], event.data)
                template = config.get("commitMessage") or 'Replace values with "{{ .Value }}" set by Event "{{ .EventName }}"'
                self._commit(clone, _message(template, event))
            before, after = (self._git("rev-parse", name, at=clone) for name in (f"origin/{self._branch}", "HEAD"))
            if before == after:
                return None
            self._git("push", "--quiet", "origin", f"HEAD:{self._branch}", at=clone)
            return after

    def _commit(self, clone: Path, message: str) -> None:
        if self._git("status", "--porcelain", at=clone):
            self._git("commit", "--quiet", "--all", "--message", message, at=clone)

    @staticmethod
    def _git(*arguments: str, at: Path) -> str:
        identity = {
            f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", NAME), ("EMAIL", EMAIL))
        }
        done = subprocess.run(
            ["git", *arguments], cwd=at, env=base_environment(at) | identity, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def _matches(matcher: dict[str, Any], event: Event) -> bool:
    return matcher["name"] == event.name and matcher.get("labels", {}) == event.labels


def _replace(file: Path, path: str, value: str) -> None:
    """Replace one value in its line; every other byte stays."""
    content = file.read_text()
    found: Any = yaml.safe_load(content)
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        found = found[key] if key else found[int(index)]
    file.write_text(content.replace(f": {found}", f": {value}", 1))


def _message(template: str, event: Event) -> str:
    title = re.sub(r"\{\{\s*\.Value\s*\}\}", event.data, re.sub(r"\{\{\s*\.EventName\s*\}\}", event.name, template))
    trailers = dict(event.contexts)
    if event.commit_hash:
        trailers["Pipecd-Dev-Trace-Trigger-Commit-Hash"] = event.commit_hash
    return "\n".join([title, "", *(f"{key}: {value}" for key, value in trailers.items())]).strip()
