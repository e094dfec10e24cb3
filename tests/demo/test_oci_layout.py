"""Layers and images as files: the same input gives the same digest, and nothing is built twice."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.oci_layout import BuiltImage, Layout, key_of


def stage_into(calls: list[str], content: bytes = b"content") -> Callable[[Path], None]:
    def stage(folder: Path) -> None:
        calls.append("staged")
        (folder / "bin").mkdir()
        (folder / "bin" / "tool").write_bytes(content)
        (folder / "bin" / "tool").chmod(0o700)
        (folder / "link").symlink_to("bin/tool")

    return stage


def image_of(folder: Path, content: bytes = b"content") -> BuiltImage:
    layout = Layout(folder)
    layer = layout.layer("app", key_of(content), stage_into([], content))
    return layout.image("sample", [layer], {"Entrypoint": ["/bin/tool"]}, "x86_64")


def test_given_the_same_tree_when_built_in_two_places_then_the_digest_is_the_same(tmp_path: Path) -> None:
    assert image_of(tmp_path / "a").digest == image_of(tmp_path / "b").digest


def test_given_another_content_when_built_then_the_digest_differs(tmp_path: Path) -> None:
    assert image_of(tmp_path, b"one").digest != image_of(tmp_path, b"two").digest


def test_given_a_layer_that_was_built_when_asked_again_then_it_is_not_staged(tmp_path: Path) -> None:
    calls: list[str] = []
    layers = [Layout(tmp_path).layer("app", "k" * 16, stage_into(calls)) for _ in range(2)]
    assert (layers[0], calls) == (layers[1], ["staged"])


def test_given_a_build_that_broke_off_when_asked_again_then_it_is_built(tmp_path: Path) -> None:
    def broken(_folder: Path) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        Layout(tmp_path).layer("app", "k" * 16, broken)
    calls: list[str] = []
    Layout(tmp_path).layer("app", "k" * 16, stage_into(calls))
    assert calls == ["staged"]
    assert not list(tmp_path.glob(".staging-*"))


def test_given_a_lost_blob_when_asked_again_then_it_is_built_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = layout.layer("app", "k" * 16, stage_into([]))
    shutil.rmtree(tmp_path / "blobs" / "sha256")
    (tmp_path / "blobs" / "sha256").mkdir()
    assert layout.layer("app", "k" * 16, stage_into([])) == first


def test_given_a_layer_when_read_then_nothing_tells_who_made_it_and_modes_are_plain(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        image = image_of(tmp_path)
    finally:
        os.umask(before)
    with tarfile.open(image.blob(image.layers[0].digest)) as members:
        found = {member.name: (member.uid, member.mtime, oct(member.mode), member.linkname) for member in members}
    assert found == {"bin": (0, 0, "0o755", ""), "bin/tool": (0, 0, "0o755", ""), "link": (0, 0, "0o777", "bin/tool")}


def test_given_two_images_when_the_index_is_read_then_each_name_is_there_once(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"two"):
        last = image_of(tmp_path, content)
    entries = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in entries] == [last.digest]
