"""Lays out a small root file system around this machine's own Python, which stands in for the Dockerfiles' base image.

It has everything that a program needs under its own root: the interpreter, its standard library, the C library and the loader, a
shell, and a user list. Nothing of the host is needed to run it.
"""

from __future__ import annotations

import functools
import platform
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from demo.oci_layout import copy_tree, key_of

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
FORMAT = 3  # goes up when this file lays the tree out differently, so that old layers are not taken for new ones
PREFIX = "usr/local"
STANDARD_LIBRARY_SKIP = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo",
    "turtle.py", "ensurepip", "pydoc_data",
}  # fmt: skip
TOOLS = ("sh", "env")
# What no program of the base names: the C library's own helpers, its empty halves that older wheels ask for, and the runtimes of
# compiled code. Every Debian base has them.
BY_NAME = (
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libresolv.so.2",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libanl.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
LIBRARY_LINE = re.compile(r"(?:=>|^)\s+(/\S+) \(0x", re.MULTILINE)
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
USERS = "root:x:0:0:root:/root:/bin/sh\napp:x:10001:10001:app:/:/bin/sh\n"
GROUPS = "root:x:0:\napp:x:10001:\n"


class UnsupportedHostError(Exception):
    """This machine cannot lend its Python to an image; the message says what is missing."""


def interpreter() -> Path:
    """The real file of the interpreter behind any virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def base_key() -> str:
    """A key that changes with the interpreter."""
    stat = interpreter().stat()
    return key_of(
        FORMAT, sys.version, platform.machine(), platform.libc_ver(), str(interpreter()), stat.st_size, stat.st_mtime_ns
    )


def stage_base(root: Path) -> None:
    """Fills an empty folder with the root file system.

    Raises:
        UnsupportedHostError: The machine has no `ldd`, or its Python does not use glibc.
    """
    library = root / PREFIX / sys.platlibdir / f"python{VERSION}"
    copy_tree(standard_library(), library, skip=is_left_out)
    program = root / PREFIX / "bin" / f"python{VERSION}"
    program.parent.mkdir(parents=True)
    shutil.copy(interpreter(), program)
    for name in ("python3", "python"):
        program.with_name(name).symlink_to(program.name)
    for tool in tools():
        for folder in ("bin", "usr/bin"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(tool.resolve(), root / folder / tool.name)
    copy_libraries(root, base_libraries())
    stage_settings(root)
    compile_tree(library, root)


def is_left_out(path: Path) -> bool:
    """Whether a file of the standard library is for developers, or for a screen that a container has not."""
    name = path.name
    return name in STANDARD_LIBRARY_SKIP or name.startswith(("config-", "_test", "_tkinter", "xxlimited", "_ctypes_test"))


def stage_settings(root: Path) -> None:
    """Writes the few files that the C library and TLS look for, and the folders that a container is given."""
    for folder in ("etc", "root", "opt", "proc", "dev", "run", "var/tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text(USERS, encoding="utf-8")
    (root / "etc" / "group").write_text(GROUPS, encoding="utf-8")
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="utf-8")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="utf-8")
    (root / "etc" / "resolv.conf").touch()
    known = ssl.get_default_verify_paths().cafile
    bundle = next((Path(path) for path in (*CA_BUNDLES, known) if path and Path(path).is_file()), None)
    if bundle:
        (root / CA_BUNDLE).parent.mkdir(parents=True)
        shutil.copy(bundle, root / CA_BUNDLE)


def compile_tree(folder: Path, root: Path) -> None:
    """Compiles a folder's modules as they will be found below `root`."""
    command = [
        str(interpreter()), "-I", "-m", "compileall", "-q", "-f", "-j", "0", "--invalidation-mode", "unchecked-hash",
        "-s", str(root), "-p", "/", str(folder),
    ]  # fmt: skip
    # A standard library holds a few files that are not meant to compile, so the exit code says nothing.
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stage_libraries(root: Path, packages: Path) -> None:
    """Copies what the packages' native modules load and neither they nor the base bring along, such as the C++ runtime.

    Raises:
        UnsupportedHostError: The machine has no `ldd`.
    """
    given = {library.name for library in base_libraries()}
    copy_libraries(
        root, [one for one in closure(packages.rglob("*.so*")) if one.name not in given and not one.is_relative_to(packages)]
    )


def base_libraries() -> list[Path]:
    """The shared libraries of the base."""
    found = closure(base_programs())
    folders = sorted({library.parent for library in found})
    return [*found, *(folder / name for folder in folders for name in BY_NAME if (folder / name).is_file())]


def base_programs() -> list[Path]:
    """The programs and native modules of the base."""
    modules = sorted(standard_library().glob("lib-dynload/*.so"))
    return [interpreter(), *tools(), *(module for module in modules if not is_left_out(module))]


def standard_library() -> Path:
    """The interpreter's own, not a virtual environment's."""
    return Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))


def tools() -> list[Path]:
    """The few programs that scripts expect."""
    return [Path(found) for name in TOOLS if (found := shutil.which(name, path="/bin:/usr/bin"))]


def copy_libraries(root: Path, libraries: Iterable[Path]) -> None:
    """Puts libraries where the loader looks without being told; the loader itself where programs name it."""
    folder = library_folder()
    for library in libraries:
        place = library if library.name.startswith("ld-") else folder / library.name
        target = root / place.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def library_folder() -> Path:
    """Where this machine keeps the C library, and so where its loader looks first.

    Raises:
        UnsupportedHostError: The interpreter uses no glibc.
    """
    for library in closure([interpreter()]):
        if library.name.startswith("libc.so"):
            return library.parent
    raise UnsupportedHostError(
        f"building images needs a Python that uses glibc; {interpreter()} does not, as far as ldd can tell"
    )


def closure(programs: Iterable[Path]) -> list[Path]:
    """The shared libraries that programs load, and what those load in turn, as this machine's loader finds them.

    Raises:
        UnsupportedHostError: The machine has no `ldd`, as on anything but Linux with glibc.
    """
    return list(_closure(tuple(sorted(str(program) for program in programs))))


@functools.cache
def _closure(programs: tuple[str, ...]) -> tuple[Path, ...]:
    if not programs:
        return ()
    command = ["ldd", *programs]
    try:
        listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    except OSError as error:
        raise UnsupportedHostError(f"building images needs Linux with glibc: ldd could not be run ({error})") from error
    found = {Path(path) for path in LIBRARY_LINE.findall(listed)}
    if not any(one.name.startswith("libc.so") for one in found):
        raise UnsupportedHostError(
            f"building images needs a Python that uses glibc; {interpreter()} does not, as far as ldd can tell"
        )
    return tuple(sorted(found))
