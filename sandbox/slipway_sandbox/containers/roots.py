"""Paths inside an unpacked image, resolved as the container would resolve them.

An image's symbolic links are written for *its* root. Followed from outside, an absolute one would lead into the host's files.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path of an image that sets none, as container engines have it."""
MOST_LINKS = 40
"""Links in one path, as in the Linux kernel."""
LONGEST_USER_FILE = 1 << 20
"""Bytes read of an image's /etc/passwd and /etc/group."""


def resolve(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """The host path that a container's path stands for. It is below the root, whatever links there are; it need not exist.

    Args:
        root: The image's root folder; a path without links itself.
        path: A path in the container; a relative one starts at its root.
        follow_last: Whether a link in the last place is followed too.

    Raises:
        OSError: The links make a loop.
    """
    pending = parts_of(path)[::-1]
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del done[-1:]
            continue
        here = os.path.join(root, *done, part)  # noqa: PTH118  (called for every member of a layer: pathlib is slow here)
        if (not pending and not follow_last) or not os.path.islink(here):  # noqa: PTH114
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(here)  # noqa: PTH115
        if target.startswith("/"):
            done.clear()
        pending.extend(parts_of(target)[::-1])
    return root.joinpath(*done)


def parts_of(path: str) -> list[str]:
    """A path's components, without the empty ones and `.`."""
    return [part for part in path.split("/") if part not in ("", ".")]


def make_mount_point(root: Path, path: str, *, is_file: bool) -> str:
    """Make sure that something can be mounted at a path, and say where it really is.

    bubblewrap can make no mount points on a root that is read-only, and would follow an absolute link to the wrong place.

    Returns:
        The path in the container with its links resolved.
    """
    place = resolve(root, path)
    if is_file:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.touch()
    else:
        place.mkdir(parents=True, exist_ok=True)
    return "/" + str(place.relative_to(root))


def make_plain_folder(root: Path, name: str) -> None:
    """Make sure that a name in the root is a folder; a link or file of that name gives way."""
    place = root / name
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        place.unlink()
    place.mkdir(exist_ok=True)


def find_executable(root: Path, name: str, search_path: str, working_directory: str) -> bool:
    """Whether the image has a program to run by that name, by the rules of execvp."""
    if "/" in name:
        return is_executable(root, str(PurePosixPath(working_directory, name)))
    folders = search_path.split(":")
    return any(is_executable(root, str(PurePosixPath(working_directory, folder, name))) for folder in folders)


def is_executable(root: Path, path: str) -> bool:
    """Whether a path is a file with a bit to run it."""
    try:
        mode = resolve(root, path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def lookup_user(root: Path, user: str) -> tuple[int, int, str]:
    """User id, group id and home folder of an image's `User`: `name`, `id`, `name:group`; empty is root.

    Raises:
        LookupError: The image's /etc/passwd or /etc/group does not have the name.
    """
    name, _, group = (user or "0").partition(":")
    entry = _find_entry(root, "/etc/passwd", name, fields=7)
    if entry is None and not name.isdecimal():
        raise LookupError(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(entry[2]) if entry else int(name)
    gid = int(entry[3]) if entry else 0
    home = (entry[5] if entry else "") or "/"
    if group:
        gid = _lookup_group(root, group)
    return uid, gid, home


def _lookup_group(root: Path, group: str) -> int:
    entry = _find_entry(root, "/etc/group", group, fields=4)
    if entry:
        return int(entry[2])
    if group.isdecimal():
        return int(group)
    raise LookupError(f"unable to find group {group}: no matching entries in group file")


def _find_entry(root: Path, path: str, wanted: str, fields: int) -> list[str] | None:
    """The line of a name or, failing that, of an id."""
    entries = [line.split(":") for line in _read_small(resolve(root, path)).splitlines()]
    entries = [entry for entry in entries if len(entry) >= fields - 1 and entry[2].isdecimal()]
    by_name = [entry for entry in entries if entry[0] == wanted]
    by_id = [entry for entry in entries if entry[2] == wanted]
    return next(iter(by_name + by_id), None)


def _read_small(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(LONGEST_USER_FILE).decode(errors="replace")
