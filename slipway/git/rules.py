"""Which repositories, branches, files and trailers Slipway accepts for git. Pure functions."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Self
from urllib.parse import urlsplit

from slipway.errors import RefusedError
from slipway.git.process import without_credentials

_SCP = re.compile(r"(?P<user>[A-Za-z0-9_.-]+@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>[^:\s][^\s]*)")
_SCHEMES = frozenset({"https", "http", "ssh", "file"})
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])")
_REFS = ("heads", "pull", "merge-requests", "tags")
"""What a plan may be read from."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PLACE = re.compile(r"(?P<url>.+)@(?P<branch>[^@:]+):(?P<path>[^@:]+)")
_TRAILER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


@dataclass(frozen=True)
class AllowedBranch:
    """One branch of a repository, or of every repository below an address, that a worker may read and write."""

    url: str
    """The repository's normal form, or the address with `/` at its end."""
    branch: str = "main"

    @classmethod
    def of(cls, url: str, branch: str) -> Self:
        """The branch of a repository, or of all below a URL that ends in `/*`.

        Raises:
            RefusedError: It is not a repository, or git does not allow the branch's name.
        """
        below = url.endswith("/*")
        return cls(normalise_url(url[:-2]) + "/" if below else normalise_url(url), check_branch(branch))

    def covers(self, url: str, branch: str) -> bool:
        """Whether a branch of a repository is this one, or below this address.

        Args:
            url: The repository's normal form.
            branch: The branch's name.
        """
        of_url = url.startswith(self.url) if self.url.endswith("/") else url == self.url
        return of_url and branch == self.branch


@dataclass(frozen=True)
class FileInRepository:
    """A file at the head of a branch."""

    url: str
    """As git takes it."""
    branch: str
    path: str

    @classmethod
    def of(cls, place: str) -> Self | None:
        """The file that `url@branch:path` names; none where the text is not of this form, as a local path.

        Raises:
            RefusedError: It is of this form, but not a repository, a branch and a path inside it.
        """
        found = _PLACE.fullmatch(place)
        return cls(url_for_git(found["url"]), check_branch(found["branch"]), app_file(found["path"])) if found else None


def split_branch(entry: str) -> tuple[str, str]:
    """The URL and the branch of `url@branch`; without a branch it is `main`."""
    start = _start_of_path(entry)
    path, _, branch = entry[start:].partition("@")
    return entry[:start] + path, branch or "main"


def _start_of_path(url: str) -> int:
    """Where the path begins: before it, `@` ends a user's name."""
    scheme, separator, rest = url.partition("://")
    if separator:
        slash = rest.find("/")
        return len(url) if slash < 0 else len(scheme) + len(separator) + slash
    return 0 if url.startswith("/") else url.find(":") + 1


def url_for_git(url: str) -> str:
    """The normal form of a URL as git takes it: with `.git` where it was written, and in the short form of ssh where that was.

    A short form names a path from the user's home; most servers take it for the same as from the root.

    Raises:
        RefusedError: It is not a repository.
    """
    normal = normalise_url(url) + (".git" if url.rstrip("/").endswith(".git") else "")
    scp = _SCP.fullmatch(url) if "://" not in url else None
    if scp is None:
        return normal
    path = posixpath.normpath(scp["path"])
    return f"{scp['user'] or ''}{scp['host'].lower()}:{path}"


@lru_cache(maxsize=256)
def normalise_url(url: str) -> str:
    """Canonical form of a repository URL: `git@host:a/b.git` and `ssh://git@HOST/a/b` are the same.

    Raises:
        RefusedError: The text is not a repository over https, ssh or a file.
    """
    tried = f"using the repository {without_credentials(url)}"
    remedy = "write https://host/path, ssh://user@host/path, user@host:path or file:///path"
    if not url or url.startswith("-") or "::" in url or re.search(r"[\x00-\x20\x7f]", url):
        raise RefusedError(tried, "it is not a repository URL", remedy)
    full = _with_scheme(url)
    try:
        parts = urlsplit(full)
        host, password, port = parts.hostname or "", parts.password, parts.port
    except ValueError as error:
        raise RefusedError(tried, f"it is not a URL: {error}", remedy) from error
    if parts.scheme not in _SCHEMES or (not host and parts.scheme != "file") or host.startswith("-"):
        raise RefusedError(tried, "it is not a repository URL", remedy)
    if password is not None or (parts.username and parts.scheme in ("http", "https")):
        raise RefusedError(
            tried, "the URL carries credentials, which would be kept in the history", "use git's credential helper on the worker"
        )
    if ".." in PurePosixPath(parts.path).parts or "%" in parts.path or parts.query or parts.fragment:
        # git and servers decode percent signs after this check: `%2e%2e` would be `..`.
        raise RefusedError(tried, "the path has `..`, `%`, `?` or `#` in it", remedy)
    user = f"{parts.username}@" if parts.username else ""
    path = posixpath.normpath("/" + parts.path.strip("/")).removesuffix(".git")
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{path}"


def _with_scheme(url: str) -> str:
    if "://" in url:
        return url
    if url.startswith("/"):
        return f"file://{url}"
    scp = _SCP.fullmatch(url)
    return f"ssh://{scp['user'] or ''}{scp['host']}/{scp['path']}" if scp else url


def check_branch(branch: str) -> str:
    """The branch, if git allows the name: the rules of `git check-ref-format --branch`, and no leading hyphen.

    Raises:
        RefusedError: The text is not a branch name.
    """
    if _BRANCH.fullmatch(branch) and len(branch) <= 200 and branch not in ("HEAD", "@"):  # noqa: PLR2004 -- a file's name holds 255
        return branch
    raise RefusedError(f"using the branch {branch!r}", "git does not allow this name", "write a branch's name such as main")


def check_ref(ref: str) -> str:
    """A reference by its whole name: a branch's, or that of a pull request such as `refs/pull/12/merge`.

    Raises:
        RefusedError: Git, or a command line of it, could take it for something else.
    """
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if not ref.startswith("refs/"):
        return f"refs/heads/{check_branch(ref)}"
    if kind in _REFS and name:
        check_branch(name)
        return ref
    known = ", ".join(f"refs/{each}/…" for each in _REFS)
    raise RefusedError(
        f"using the reference {ref!r}", f"it is none of {known}", "name a branch, or a reference of a pull request"
    )


def check_commit(commit: str) -> str:
    """The commit, if it is a full hash.

    Raises:
        RefusedError: The text is not a full hash, and might mean another commit tomorrow.
    """
    if _COMMIT.fullmatch(commit):
        return commit
    raise RefusedError(f"using the commit {commit!r}", "it is not a full hash", "write all 40 hexadecimal digits")


def app_file(folder: str, file: str = "") -> str:
    """The path of a file of an application in its repository.

    Args:
        folder: The application's folder; `.` or nothing is the repository's root.
        file: A path inside the folder. Nothing: the folder itself.

    Raises:
        RefusedError: The path is absolute, leaves the folder, or goes into `.git`.
    """
    for part in (folder, file):
        try:
            check_path(part or ".")
        except ValueError as error:
            raise RefusedError(f"using the path {part!r}", str(error), "write a relative path without `..`") from error
    joined = posixpath.normpath(posixpath.join(folder or ".", file))
    return "" if joined == "." else joined


def check_path(path: str) -> str:
    """The path, normalised, if it stays inside its folder and out of `.git`.

    Raises:
        ValueError: It does not.
    """
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or re.search(r"[\x00-\x1f\x7f\\]", path) or any(_forbidden(name) for name in pure.parts):
        raise ValueError("it leaves the repository's files")
    return posixpath.normpath(path)


def _forbidden(name: str) -> bool:
    return name == ".." or name.lower() == ".git" or name.startswith(":")


def check_trailer(key: str, value: str) -> str:
    """A commit trailer's line.

    Raises:
        RefusedError: The value has a line end, and would write other trailers.
    """
    if _TRAILER_KEY.fullmatch(key) and value.strip() and not re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value):
        return f"{key}: {value.strip()}"
    raise RefusedError(f"writing the commit trailer {key!r}", f"{value!r} is not one line of text", "write one line")
