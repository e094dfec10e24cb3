"""Pulling images and running containers, on real namespaces."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from slipway_sandbox.containers.container import Container, ContainerSpec, Mount
from slipway_sandbox.containers.errors import ContainerStartError, ImagePullError
from slipway_sandbox.containers.images import Image
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.testing import TestImage, build_image, build_index, layer_of, member, shell_layer
from slipway_sandbox.testing.images import STATIC_EXIT_CODE, STATIC_OUTPUT, ImageFolder, architecture, digest_of, static_program

from sandbox.testkit.contract import behaviour

PATIENCE = 45.0
Until = Callable[[Callable[[], bool], str], None]


Run = Callable[..., tuple[int | None, list[str]]]


@pytest.fixture
def run(runtime: ContainerRuntime, shell: Image) -> Run:
    """Runs a script to its end; answers exit code and output."""

    def run_script(script: str, image: Image = shell, **more: object) -> tuple[int | None, list[str]]:
        lines: list[str] = []
        spec = ContainerSpec(name="test", command=["sh", "-c", script], on_output=lines.append, **more)  # pyright: ignore[reportArgumentType]
        return runtime.start(image, spec).wait(PATIENCE), lines

    return run_script


def test_given_a_command_when_it_ends_then_its_code_and_both_outputs_arrive(run: Run) -> None:
    assert run("echo out; echo err >&2; exit 5") == (5, ["out", "err"])


def test_given_a_static_binary_from_scratch_when_it_runs_then_it_needs_nothing_else(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    image = runtime.pull(
        registry.add("static", "v1", build_image([layer_of(member("app", static_program()))], entry_point=["/app"]))
    )
    lines: list[str] = []
    assert runtime.start(image, ContainerSpec(name="static", on_output=lines.append)).wait(PATIENCE) == STATIC_EXIT_CODE
    assert lines == [STATIC_OUTPUT]


def test_given_variables_when_it_runs_then_the_images_come_first_and_the_hosts_are_absent(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    code, lines = run("env", environment={"BOTH": "request", "NEW": "a=b\nc"})
    variables = set(lines)
    assert code == 0
    assert {"FROM=image", "BOTH=request", "NEW=a=b", "c", "PWD=/work"} <= variables
    assert not any(line.startswith("OF_THE_HOST") for line in lines)


def test_given_the_images_user_when_it_runs_then_it_is_that_user_and_may_write_to_mounts(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    script = "id -u; id -g; echo mine > /opt/ml/out; cat /opt/ml/out"
    assert run(script, mounts=[Mount(folder, "/opt/ml")]) == (0, ["1000", "1000", "mine"])
    assert (folder / "out").read_text() == "mine\n"


def test_given_a_named_user_when_it_runs_then_passwd_and_group_say_who_it_is(
    runtime: ContainerRuntime, registry: ImageFolder, run: Run
) -> None:
    users = layer_of(member("etc/passwd", b"app:x:77:88::/home/app:/bin/sh\n"), member("etc/group", b"staff:x:99:\n"))
    image = runtime.pull(registry.add("users", "v1", build_image([shell_layer(), users], user="app:staff")))
    assert run("id -u; id -g; echo $HOME", image) == (0, ["77", "99", "/home/app"])


def test_given_an_unknown_user_when_it_starts_then_it_is_refused(runtime: ContainerRuntime, shell: Image) -> None:
    with pytest.raises(ContainerStartError, match="unable to find user nobody-here"):
        runtime.start(shell, ContainerSpec(name="x", user="nobody-here", command=["sh"]))


@behaviour(
    "Containers",
    "file system",
    like="`/tmp` and mounts can be written to",
    differs="the rest is read-only, as with `readonlyRootFilesystem`; `/tmp` is in memory",
)
def test_given_a_container_when_it_writes_then_only_tmp_and_mounts_take_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("input")
    script = "echo x > /tmp/x && echo tmp; echo x > /x || echo root; echo x > /in/file || echo mount; cat /in/file"
    code, lines = run(script, mounts=[Mount(tmp_path / "in", "/in/file", read_only=True)])
    assert code == 0
    assert [line for line in lines if ":" not in line] == ["tmp", "root", "mount", "input"]


def test_given_mounts_in_mounts_when_it_runs_then_both_are_seen(run: Run, tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    mounts = [Mount(tmp_path / "inner", "/opt/ml/inner"), Mount(tmp_path / "outer", "/opt/ml")]
    code, lines = run("ls /opt/ml /opt/ml/inner", mounts=mounts)
    assert code == 0
    assert {"outer", "inner"} <= set(lines)


def test_given_the_hosts_files_when_it_runs_then_it_does_not_see_them(run: Run, tmp_path: Path) -> None:
    assert run(f"cat {tmp_path}/data/images/*/rootfs/bin/sh")[0] == 1
    assert "root" not in run("ls /")[1]


def test_given_its_own_name_when_it_runs_then_the_hosts_file_has_it(run: Run) -> None:
    _, lines = run("cat /etc/hosts")
    assert lines[-1].split() == ["127.0.0.1", "test"]


def test_given_an_image_with_links_out_when_mounting_then_the_mount_stays_inside(
    runtime: ContainerRuntime, registry: ImageFolder, run: Run, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = layer_of(member("opt", type=b"2", linkname=str(outside)))
    image = runtime.pull(registry.add("links", "v1", build_image([shell_layer(), link])))
    folder = tmp_path / "mount"
    folder.mkdir()
    assert run("echo x > /opt/ml/x; cat /opt/ml/x", image, mounts=[Mount(folder, "/opt/ml")]) == (0, ["x"])
    assert list(outside.iterdir()) == []


@behaviour(
    "Containers",
    "processes",
    like="entry point, command, user, variables and working directory as engines take them; the command is process 1, so "
    "SIGTERM ends only a program that handles it; real exit codes, 137 where it was killed",
    differs="bubblewrap on Linux, with user namespaces; processors are not limited, and memory only in tasks",
)
def test_given_a_program_that_handles_sigterm_when_stopped_then_it_ends_in_good_order(
    runtime: ContainerRuntime, shell: Image, until: Until
) -> None:
    lines: list[str] = []
    script = "trap 'echo bye; exit 3' TERM; echo ready; sleep 60 & wait"
    container = runtime.start(shell, ContainerSpec(name="x", command=["sh", "-c", script], on_output=lines.append))
    until(lambda: "ready" in lines, "the trap")
    container.stop(PATIENCE)
    assert (container.exit_code, lines) == (3, ["ready", "bye"])


def test_given_a_program_that_ignores_sigterm_when_stopped_then_it_is_killed_after_the_grace(
    runtime: ContainerRuntime, shell: Image
) -> None:
    container = runtime.start(shell, ContainerSpec(name="x", command=["sleep", "60"]))
    container.stop(0.1)
    assert container.exit_code == 137


def test_given_children_in_the_background_when_the_command_ends_then_they_end_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    begun = time.monotonic()
    assert run("sleep 60 & exit 4", mounts=[Mount(tmp_path / "m", "/m")])[0] == 4
    assert time.monotonic() - begun < PATIENCE / 2


def test_given_a_missing_program_when_it_starts_then_the_error_names_it(runtime: ContainerRuntime, shell: Image) -> None:
    with pytest.raises(ContainerStartError, match=r'^CannotStartContainerError: .*exec: "nosuch": executable file not found'):
        runtime.start(shell, ContainerSpec(name="x", command=["nosuch"]))


def test_given_a_program_for_another_machine_when_it_starts_then_the_failure_says_so(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    image = runtime.pull(registry.add("odd", "v1", build_image([layer_of(member("app", b"\x7fELFodd"))], command=["/app"])))
    container = runtime.start(image, ContainerSpec(name="x"))
    container.wait(PATIENCE)
    assert "execvp /app" in (container.failure or "")


def test_given_an_entry_point_of_its_own_when_it_runs_then_the_images_command_is_not_used(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    image = runtime.pull(
        registry.add("both", "v1", build_image([shell_layer()], entry_point=["sh", "-c"], command=["echo image"]))
    )
    lines: list[str] = []
    for spec in (
        ContainerSpec(name="x", on_output=lines.append),
        ContainerSpec(name="x", command=["echo request"], on_output=lines.append),
        ContainerSpec(name="x", entry_point=["sh", "-c", "echo $#"], on_output=lines.append),
    ):
        assert runtime.start(image, spec).wait(PATIENCE) == 0
    assert lines == ["image", "request", "0"]


def test_given_no_command_at_all_when_it_starts_then_it_is_refused(runtime: ContainerRuntime, shell: Image) -> None:
    with pytest.raises(ContainerStartError, match="no command specified"):
        runtime.start(shell, ContainerSpec(name="x"))


def test_given_a_value_with_a_nul_when_it_starts_then_it_is_refused(runtime: ContainerRuntime, shell: Image) -> None:
    with pytest.raises(ContainerStartError, match="NUL"):
        runtime.start(shell, ContainerSpec(name="x", command=["sh"], environment={"A": "\0"}))


def test_given_no_such_image_when_pulled_then_the_text_is_what_ecs_shows(runtime: ContainerRuntime) -> None:
    uri = "111111111111.dkr.ecr.us-east-1.amazonaws.com/none:v1"
    with pytest.raises(ImagePullError, match=f"^CannotPullContainerError: .*failed to resolve ref {uri}: {uri}: not found$"):
        runtime.pull(uri)


def test_given_a_name_outside_of_ecr_when_pulled_then_the_error_says_what_is_expected(runtime: ContainerRuntime) -> None:
    with pytest.raises(ImagePullError, match="is no image in ECR"):
        runtime.pull("python:3.11")


@behaviour(
    "Containers",
    "images",
    like="by tag or digest; of an index, the image for this machine; `CannotPullContainerError` in AWS's words where there "
    "is none",
    differs="from this sandbox's registry alone; 16 GiB unpacked, and a million files, at most",
)
def test_given_an_index_when_pulled_then_this_machines_image_runs_and_the_indexs_digest_is_told(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    own, other = build_image([layer_of(member("own"))]), build_image([layer_of(member("other"))])
    for child in (own, other):
        registry.add("multi", child.digest, child)
    index = build_index({"s390x": other, architecture(): own})
    image = runtime.pull(registry.add("multi", "v1", index))
    assert (image.digest, image.manifest_digest) == (index.digest, own.digest)
    assert (image.root / "own").exists()


def test_given_an_index_for_other_machines_when_pulled_then_it_is_refused(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    other = build_image([layer_of(member("other"))])
    with pytest.raises(ImagePullError, match="does not contain descriptor matching platform"):
        runtime.pull(registry.add("multi", "v1", build_index({"s390x": other})))


def test_given_a_bomb_when_pulled_then_it_is_refused_and_leaves_nothing(
    runtime: ContainerRuntime, registry: ImageFolder, tmp_path: Path
) -> None:
    uri = registry.add("bomb", "v1", build_image([layer_of(member("zeros", bytes(65 << 20)))]))
    with pytest.raises(ImagePullError, match="unpacks to more than"):
        runtime.pull(uri)
    assert list((tmp_path / "data/images").iterdir()) == []


def test_given_many_pulls_at_once_when_they_end_then_all_have_the_same_root(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    uri = registry.add("many", "v1", build_image([shell_layer()], compress=False))
    with ThreadPoolExecutor(8) as pool:
        roots = {image.root for image in pool.map(runtime.pull, [uri] * 8)}
    assert len(roots) == 1


def test_given_images_of_the_same_layers_when_pulled_then_they_share_a_root_and_each_runs_by_its_own_config(
    runtime: ContainerRuntime, registry: ImageFolder, run: Run
) -> None:
    layers = [shell_layer()]
    uris = [registry.add("twins", name, build_image(layers, env=[f"NAME={name}"])) for name in ("first", "second")]
    first, second = map(runtime.pull, uris)
    assert first.root == second.root
    assert [run("echo $NAME", image)[1] for image in (first, second)] == [["first"], ["second"]]


def test_given_an_image_of_the_same_layers_whose_config_says_other_diff_ids_when_pulled_then_it_is_refused_all_the_same(
    runtime: ContainerRuntime, registry: ImageFolder
) -> None:
    good = build_image([layer_of(member("a"))])
    runtime.pull(registry.add("honest", "v1", good))
    described = json.loads(good.blobs[json.loads(good.manifest)["config"]["digest"]])
    described["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    config = json.dumps(described).encode()
    manifest = json.loads(good.manifest)
    manifest["config"] |= {"digest": digest_of(config), "size": len(config)}
    liar = TestImage(json.dumps(manifest).encode(), {**good.blobs, digest_of(config): config})
    with pytest.raises(ImagePullError, match="wrong diff id"):
        runtime.pull(registry.add("liar", "v1", liar))


def test_given_a_closed_runtime_when_closing_then_containers_end_and_no_more_start(
    runtime: ContainerRuntime, shell: Image
) -> None:
    container = runtime.start(shell, ContainerSpec(name="x", command=["sleep", "60"]))
    runtime.close()
    assert container.exit_code == 137
    with pytest.raises(ContainerStartError, match="shutting down"):
        runtime.start(shell, ContainerSpec(name="x", command=["sleep", "60"]))


def test_given_a_starting_thread_that_ends_when_time_passes_then_the_container_still_runs(
    runtime: ContainerRuntime, shell: Image
) -> None:
    started: list[Container] = []
    lines: list[str] = []
    spec = ContainerSpec(name="x", command=["sh", "-c", "sleep 0.3; echo alive"], on_output=lines.append)
    thread = threading.Thread(target=lambda: started.append(runtime.start(shell, spec)))
    thread.start()
    thread.join()
    assert started[0].wait(PATIENCE) == 0
    assert lines == ["alive"]
