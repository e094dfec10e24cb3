"""The entry point: pull an image, start a container."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from slipway_sandbox.containers import bubblewrap, roots
from slipway_sandbox.containers.children import FIRST_FILE, Children, memory_file
from slipway_sandbox.containers.container import Container, ContainerSpec, Launch, Mount
from slipway_sandbox.containers.errors import ContainerStartError
from slipway_sandbox.containers.images import CA_BUNDLES, Image, ImageSource, ImageStore
from slipway_sandbox.containers.layers import SIZE_LIMIT

WRITABLE = ("/tmp", "/dev")  # noqa: S108  (the container's)
"""Mounted empty in each container; bubblewrap makes the mount points below."""


class ContainerRuntime:
    """Runs images from the sandbox's registry, all services' containers side by side.

    A container sees its image's file system read-only, a fresh `/tmp`, the mounts it was given and the host's network, unless it
    is to have one of its own (`OwnNetwork`); nothing else of the host. It runs as the image's user, whose files in mounts are
    the sandbox's own user's outside. Memory and processors are not limited.

    Args:
        data: The sandbox's folder.
        images: The registry.
        size_limit: Bytes that one image may unpack to.
    """

    def __init__(self, data: Path, images: ImageSource, size_limit: int = SIZE_LIMIT) -> None:
        self._store = ImageStore(data.resolve() / "images", images, size_limit)
        self._children = Children(label=str(data))
        self._running: set[Container] = set()
        self._lock = threading.Lock()
        self._closed = False

    def pull(self, uri: str) -> Image:
        """Find and unpack an image, once per digest. Safe to call from many threads; takes as long as unpacking does.

        Raises:
            ImagePullError: There is no image of that name for this machine, or it is damaged.
        """
        return self._store.pull(uri)

    def start(self, image: Image, spec: ContainerSpec) -> Container:
        """Start a container.

        Raises:
            ContainerStartError: The image has no such command or user, or this machine forbids namespaces.
        """
        binary = bubblewrap.find_binary()
        arguments, command = container_arguments(image, spec)
        with self._lock:
            if self._closed:
                raise ContainerStartError("the sandbox is shutting down")
            container = Container(spec, launch(binary, image, spec, arguments, command), self._children)
            self._running = {other for other in self._running if other.running} | {container}
        container.start()
        return container

    def close(self, grace_seconds: float = 0.0) -> None:
        """Stop all containers and start no more."""
        with self._lock:
            self._closed = True
            running = [container for container in self._running if container.running]
        stops = [threading.Thread(target=container.stop, args=(grace_seconds,)) for container in running]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join()
        self._children.close()


def launch(binary: Path, image: Image, spec: ContainerSpec, arguments: list[str], command: list[str]) -> Launch:
    """How to start bubblewrap, with what it reads and writes beside the container's output."""
    hosts_path = roots.make_mount_point(image.root, "/etc/hosts", is_file=True)
    status, status_write = os.pipe()
    # The arguments are in the first file; they name the others by the numbers that these will have.
    files = [memory_file("hosts", hosts_file(spec.name)), status_write]
    own = ["--ro-bind-data", str(FIRST_FILE + 1), hosts_path, "--json-status-fd", str(FIRST_FILE + 2)]
    gate = None
    listeners: dict[int, socket.socket] = {}
    if spec.network:
        gate_read, gate = os.pipe()
        files.append(gate_read)
        own += ["--unshare-net", "--block-fd", str(FIRST_FILE + 3)]
        listeners = {port: socket.create_server(("127.0.0.1", 0), backlog=128) for port in spec.network.published}
    options = memory_file("arguments", bubblewrap.encoded([*arguments, *own]))
    line = [str(binary), "--args", str(FIRST_FILE), "--", *command]
    return Launch(line, [options, *files], status, gate, listeners)


def container_arguments(image: Image, spec: ContainerSpec) -> tuple[list[str], list[str]]:
    """The arguments of bubblewrap, and the command.

    Raises:
        ContainerStartError: The image has no such command or user, or a value cannot be passed on.
    """
    root = image.root
    try:
        uid, gid, home = roots.lookup_user(root, spec.user or image.config.user or "")
    except LookupError as error:
        raise ContainerStartError(str(error.args[0])) from error
    environment = {"PATH": roots.DEFAULT_PATH, "HOME": home, **image.config.variables, **spec.environment}
    folder = spec.working_directory or image.config.working_directory or "/"
    command = command_of(image, spec)
    refuse_missing_command(image, spec, command[0], environment["PATH"], folder)
    arguments = [*bubblewrap.NAMESPACES, "--uid", str(uid), "--gid", str(gid), "--hostname", spec.name]
    arguments += ["--ro-bind", str(root), "/", *bubblewrap.OWN_FILE_SYSTEMS, *network_files(root)]
    for mount in sorted(spec.mounts, key=lambda mount: len(PurePosixPath(mount.target).parts)):
        arguments += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount_point(root, mount, spec.mounts)]
    if not is_below(folder, [mount.target for mount in spec.mounts]) and not is_below(folder, WRITABLE):
        # Engines create a working directory that does not exist.
        roots.make_mount_point(root, folder, is_file=False)
    arguments += ["--chdir", folder, "--clearenv"]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    try:
        bubblewrap.encoded([*arguments, *command])
    except ValueError as error:
        raise ContainerStartError(str(error)) from error
    return arguments, command


def command_of(image: Image, spec: ContainerSpec) -> list[str]:
    """Entry point and command, by the rules of container engines.

    Raises:
        ContainerStartError: Neither is given.
    """
    if spec.entry_point:
        command = [*spec.entry_point, *(spec.command or ())]
    else:
        own = image.config.command if spec.command is None else spec.command
        command = [*(image.config.entry_point or ()), *(own or ())]
    if not command:
        raise ContainerStartError("no command specified: neither the image nor the request has an entry point or command")
    return command


def refuse_missing_command(image: Image, spec: ContainerSpec, program: str, search_path: str, folder: str) -> None:
    """Say which program is missing, in runc's words.

    Raises:
        ContainerStartError: The image has no such program.
    """
    places = [program] if "/" in program else search_path.split(":")
    if any(is_below(str(PurePosixPath(folder, place)), [mount.target for mount in spec.mounts]) for place in places):
        return
    if roots.find_executable(image.root, program, search_path, folder):
        return
    reason = "no such file or directory" if "/" in program else "executable file not found in $PATH"
    raise ContainerStartError(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
        f'unable to start container process: exec: "{program}": {reason}'
    )


def network_files(root: Path) -> list[str]:
    """Arguments that bring in how the host finds names and, where the image has none, the certificates that it trusts."""
    arguments: list[str] = []
    if Path("/etc/resolv.conf").exists():
        arguments += ["--ro-bind", "/etc/resolv.conf", roots.make_mount_point(root, "/etc/resolv.conf", is_file=True)]
    own = [bundle for bundle in CA_BUNDLES if has_content(roots.resolve(root, bundle))]
    hosts = [bundle for bundle in CA_BUNDLES if has_content(Path(bundle))]
    if hosts and not own:
        arguments += ["--ro-bind", hosts[0], roots.make_mount_point(root, CA_BUNDLES[0], is_file=True)]
    return arguments


def has_content(path: Path) -> bool:
    """Whether it is a file that is not empty: an empty one is a mount point."""
    return path.is_file() and path.stat().st_size > 0


def hosts_file(name: str) -> bytes:
    """The host's names, and the container's own."""
    path = Path("/etc/hosts")
    known = path.read_bytes() if path.exists() else b"127.0.0.1\tlocalhost\n"
    return known.rstrip() + f"\n127.0.0.1\t{name}\n".encode()


def mount_point(root: Path, mount: Mount, mounts: Sequence[Mount]) -> str:
    """Where bubblewrap is to mount it. Below another mount or a fresh file system, bubblewrap makes the place itself."""
    others = [other.target for other in mounts if other is not mount]
    if is_below(mount.target, others) or is_below(mount.target, WRITABLE):
        return mount.target
    return roots.make_mount_point(root, mount.target, is_file=mount.source.is_file())


def is_below(path: str, folders: Sequence[str]) -> bool:
    """Whether a path is one of the folders or inside of one."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)
