"""The team's git remote: a bare repository with the application's files on its deployment branch."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from demo.stack import base_environment

BRANCH = "main"


class Remote:
    """One bare repository.

    Args:
        path: The repository; made by `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def url(self) -> str:
        """Where to clone it from."""
        return self.path.as_uri()

    def create(self, folders: dict[str, Path]) -> str:
        """Make it with one commit that holds these folders by their names; returns the commit."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(self.path))
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            for name, source in folders.items():
                shutil.copytree(source, tree / name)
            return self._commit(tree, "Add the application")

    def commit_files(self, files: dict[str, str], message: str) -> str:
        """Commit these files' new contents to the deployment branch, as a colleague would; returns the commit."""
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            self._git(f"--work-tree={tree}", "checkout", "--force", BRANCH, "--", ".")
            for name, text in files.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(text)
            return self._commit(tree, message)

    def force(self, commit: str) -> None:
        """Put the deployment branch at a commit, as a push by force does."""
        self._git("update-ref", f"refs/heads/{BRANCH}", commit)

    def head(self) -> str:
        """The deployment branch's newest commit."""
        return self._git("rev-parse", BRANCH).strip()

    def read(self, path: str, commit: str = BRANCH) -> str:
        """A file on the deployment branch, or at one commit."""
        return self._git("show", f"{commit}:{path}")

    def changed_files(self, before: str, after: str) -> list[str]:
        """The files that differ between two commits."""
        return self._git("diff", "--name-only", before, after).splitlines()

    def log(self) -> list[str]:
        """The messages on the deployment branch, newest first."""
        return self._git("log", "--format=%B%x00", BRANCH).strip("\x00\n").split("\x00\n")

    def _commit(self, tree: Path, message: str) -> str:
        self._git(f"--work-tree={tree}", "add", "--all", ".")
        self._git(f"--work-tree={tree}", "commit", "--quiet", "--message", message)
        return self.head()

    def _git(self, *arguments: str) -> str:
        identity = {
            "GIT_DIR": str(self.path),
            "GIT_AUTHOR_NAME": "Ana",
            "GIT_AUTHOR_EMAIL": "ana@example.com",
            "GIT_COMMITTER_NAME": "Ana",
            "GIT_COMMITTER_EMAIL": "ana@example.com",
        }
        done = subprocess.run(
            ["git", *arguments],
            env=base_environment(self.path.parent) | (identity if arguments[0] != "init" else {}),
            capture_output=True,
            text=True,
            check=False,
            cwd=os.fspath(self.path.parent),
        )
        if done.returncode:
            raise RuntimeError(f"git {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout
