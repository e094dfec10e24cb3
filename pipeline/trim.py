"""Cuts a folder of installed packages down to what an image needs, and compiles what is left.

Both Dockerfiles and the builder that works without Docker run it, so that all of them make the same files.
"""

import argparse
import compileall
import py_compile
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

# botocore reads these beside the services' own folders: how to retry, and which host names serve a region.
BOTOCORE_SHARED = {"_retry.json", "partitions.json", "endpoints.json", "sdk-default-configuration.json"}
FOLDERS = {"tests", "__pycache__", "examples", "bin"}
INSTALLER_FILES = {".lock", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
SUFFIXES = {".pyi", ".pyx", ".pxd", ".c", ".h", ".a"}


def cut_services(packages: Path, services: Collection[str]) -> None:
    """Removes botocore's descriptions of all services but those named, and boto3's of the same.

    Raises:
        ValueError: botocore knows no service of such a name.
    """
    for data in (packages / "botocore" / "data", packages / "boto3" / "data"):
        if not data.is_dir():
            continue
        found = {entry.name for entry in data.iterdir() if entry.is_dir()}
        unknown = set(services) - found if data.parent.name == "botocore" else set[str]()
        if unknown:
            raise ValueError(f"botocore has no service {', '.join(sorted(unknown))}")
        for entry in data.iterdir():
            if entry.is_dir() and entry.name not in services:
                shutil.rmtree(entry)
            elif entry.is_file() and entry.name.removesuffix(".gz") not in BOTOCORE_SHARED:
                entry.unlink()


def cut_leftovers(packages: Path) -> None:
    """Removes tests, sources for compilers, and what only an installer reads."""
    for path in sorted(packages.rglob("*"), reverse=True):
        if path.is_dir() and path.name in FOLDERS:
            shutil.rmtree(path)
        elif path.is_file() and (path.suffix in SUFFIXES or path.name in INSTALLER_FILES):
            path.unlink()


def compile_all(packages: Path) -> None:
    """Compiles every module. Neither time nor place is in the result, so the same sources give the same bytes.

    A module that does not compile (a template, or one for another Python) is left as it is, and its import says why.
    """
    compileall.compile_dir(
        packages,
        maxlevels=50,
        quiet=2,
        force=True,
        stripdir=str(packages.parent),
        prependdir="/opt",
        workers=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def main() -> int:
    """Trims the folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--services", nargs="*", default=[], help="the AWS services that are called")
    options = parser.parse_args()
    cut_services(options.packages, options.services)
    cut_leftovers(options.packages)
    compile_all(options.packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
