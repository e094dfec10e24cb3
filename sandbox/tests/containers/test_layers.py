"""Unpacking layers: what images need, and what attacks try."""

import gzip
import stat
import tarfile
from pathlib import Path

import pytest
from slipway_sandbox.containers.errors import LayerError
from slipway_sandbox.containers.layers import Budget, Unpacker
from slipway_sandbox.testing import layer_of, member
from slipway_sandbox.testing.images import digest_of

from sandbox.testkit.contract import behaviour


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "rootfs"
    folder.mkdir()
    return folder


def unpack(root: Path, *layers: bytes, budget: Budget | None = None, diff_id: str | None = None) -> None:
    """Apply layers, lowest first."""
    unpacker = Unpacker(root, budget or Budget())
    for number, layer in enumerate(layers):
        blob = root.parent / f"layer-{number}"
        blob.write_bytes(layer)
        unpacker.apply(blob, diff_id)


def names(root: Path) -> set[str]:
    """Everything below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_given_a_layer_when_it_is_unpacked_then_content_mode_and_time_are_kept(root: Path, compress: type[bytes]) -> None:
    layer = layer_of(member("app/run", b"hello", mode=0o640, mtime=1234567))
    unpack(root, compress(layer), diff_id=digest_of(layer))
    status = (root / "app/run").stat()
    assert (root / "app/run").read_bytes() == b"hello"
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1234567)


def test_given_another_diff_id_when_it_is_unpacked_then_it_is_refused(root: Path) -> None:
    with pytest.raises(LayerError, match="wrong diff id"):
        unpack(root, layer_of(member("a")), diff_id="sha256:" + "0" * 64)


@behaviour(
    "Containers",
    "layers",
    like="gzipped or plain, with whiteouts, links, modes and times; checked against their digests",
    differs="zstd only where Python can read it; owners are not kept: all files belong to the image's user; set-user-id bits, "
    "and devices in `/dev`, are left out",
)
def test_given_a_whiteout_when_unpacked_then_the_lower_file_is_gone(root: Path) -> None:
    unpack(root, layer_of(member("etc/a"), member("etc/b")), layer_of(member("etc/.wh.a")))
    assert names(root) == {"etc", "etc/b"}


def test_given_an_opaque_folder_when_unpacked_then_only_its_own_layers_files_stay(root: Path) -> None:
    unpack(root, layer_of(member("d/old"), member("d/sub/old")), layer_of(member("d/new"), member("d/.wh..wh..opq")))
    assert names(root) == {"d", "d/new"}


def test_given_a_folder_that_a_lower_layer_made_a_link_when_unpacked_then_files_go_through_it(root: Path) -> None:
    link = member("bin", type=tarfile.SYMTYPE, linkname="usr/bin")
    unpack(root, layer_of(member("usr/bin/a"), link), layer_of(member("bin/b")))
    assert (root / "usr/bin/b").is_file()
    assert (root / "bin").is_symlink()


def test_given_a_file_in_place_of_a_folder_when_unpacked_then_it_replaces_it(root: Path) -> None:
    unpack(root, layer_of(member("a/b/c")), layer_of(member("a", b"file")))
    assert (root / "a").read_bytes() == b"file"


def test_given_a_hard_link_when_unpacked_then_both_names_are_one_file(root: Path) -> None:
    unpack(root, layer_of(member("a", b"1"), member("b", type=tarfile.LNKTYPE, linkname="a")))
    assert (root / "a").samefile(root / "b")


def test_given_devices_in_dev_when_unpacked_then_they_are_left_out(root: Path) -> None:
    unpack(root, layer_of(member("dev/null", type=tarfile.CHRTYPE), member("a")))
    assert names(root) == {"a"}


def test_given_a_set_user_id_program_when_unpacked_then_the_bit_is_not_on_the_host(root: Path) -> None:
    unpack(root, layer_of(member("bin/su", mode=0o4755)))
    assert stat.S_IMODE((root / "bin/su").stat().st_mode) == 0o755


@pytest.mark.parametrize("target", ["/outside", "../../outside", "a/../../../outside"])
def test_given_a_link_out_of_the_root_when_a_file_goes_through_it_then_it_stays_inside(root: Path, target: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    link = member("a/link", type=tarfile.SYMTYPE, linkname=target)
    unpack(root, layer_of(link), layer_of(member("a/link/evil", b"x")))
    assert list(outside.iterdir()) == []
    assert [path.name for path in root.rglob("evil")] == ["evil"]


def test_given_a_link_to_a_host_file_when_a_file_of_its_name_follows_then_the_host_file_is_untouched(root: Path) -> None:
    secret = root.parent / "secret"
    secret.write_text("mine")
    unpack(root, layer_of(member("a", type=tarfile.SYMTYPE, linkname=str(secret)), member("a", b"evil")))
    assert secret.read_text() == "mine"
    assert (root / "a").read_bytes() == b"evil"


ATTACKS = {
    "a name with dots": member("../evil"),
    "a name with dots inside": member("a/../../evil"),
    "an absolute hard link": member("a", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a hard link with dots": member("a", type=tarfile.LNKTYPE, linkname="../secret"),
    "a hard link to nothing": member("a", type=tarfile.LNKTYPE, linkname="nothing"),
    "a device": member("a", type=tarfile.BLKTYPE),
    "a device of characters": member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=1),
    "a device in a folder that is not the root's dev": member("d/dev/mem", type=tarfile.CHRTYPE),
    "a pipe": member("a", type=tarfile.FIFOTYPE),
    "a whiteout of the parent": member("d/.wh..."),
    "a whiteout of the folder": member("d/.wh.."),
    "a file below a file": member("d/x/evil"),
    "a name longer than a file may have": member("n" * 300, b"x"),
    "a time that no file can have": member("a", pax_headers={"mtime": "1e400"}),
    "a size below nothing": member("a", pax_headers={"size": "-5000"}),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_given_an_attack_when_unpacked_then_it_is_refused_and_nothing_outside_changes(
    root: Path, attack: tuple[tarfile.TarInfo, bytes]
) -> None:
    (root.parent / "secret").write_text("mine")
    with pytest.raises(LayerError):
        unpack(root, layer_of(member("d/x"), attack))
    assert {path.name for path in root.parent.iterdir()} == {"rootfs", "secret", "layer-0"}


@pytest.mark.parametrize("name", ["/evil", "//evil", "/./evil"])
def test_given_an_absolute_name_when_unpacked_then_it_counts_from_the_images_root(root: Path, name: str) -> None:
    unpack(root, layer_of(member(name, b"x")))
    assert names(root) == {"evil"}


def test_given_links_in_a_circle_when_a_file_goes_through_them_then_it_is_refused(root: Path) -> None:
    links = [member(name, type=tarfile.SYMTYPE, linkname=to) for name, to in (("a", "b"), ("b", "a"))]
    with pytest.raises(LayerError, match="cannot be made"):
        unpack(root, layer_of(*links, member("a/evil", b"x")))


def test_given_a_hard_link_through_a_link_to_the_host_when_unpacked_then_it_is_refused(root: Path) -> None:
    link = member("out", type=tarfile.SYMTYPE, linkname="/etc")
    with pytest.raises(LayerError, match="not there"):
        unpack(root, layer_of(link, member("a", type=tarfile.LNKTYPE, linkname="out/passwd")))


def test_given_a_layer_that_grows_without_end_when_unpacked_then_it_stops_at_the_limit(root: Path) -> None:
    bomb = gzip.compress(layer_of(member("zeros", bytes(8 << 20))))
    with pytest.raises(LayerError, match="more than 1048576 bytes"):
        unpack(root, bomb, budget=Budget(size=1 << 20))


def test_given_layers_that_are_small_each_when_they_grow_together_then_it_stops_at_the_limit(root: Path) -> None:
    layers = [gzip.compress(layer_of(member(name, bytes(700 << 10)))) for name in ("a", "b")]
    with pytest.raises(LayerError, match="more than 1048576 bytes"):
        unpack(root, *layers, budget=Budget(size=1 << 20))


def test_given_a_file_of_holes_that_is_larger_than_the_disk_when_unpacked_then_it_is_refused_unwritten(root: Path) -> None:
    holes = {"GNU.sparse.size": str(1 << 50), "GNU.sparse.map": "0,0"}
    with pytest.raises(LayerError, match="unpacks to more than"):
        unpack(root, layer_of(member("holes", pax_headers=holes)))
    assert names(root) == set()


def test_given_too_many_files_when_unpacked_then_it_stops(root: Path) -> None:
    with pytest.raises(LayerError, match="more than 3 files"):
        unpack(root, layer_of(*[member(str(number)) for number in range(4)]), budget=Budget(members=3))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_given_a_header_made_to_fill_memory_when_unpacked_then_it_is_refused(root: Path, kind: bytes) -> None:
    info, content = member("long", bytes(8 << 20), type=kind)
    with pytest.raises(LayerError, match="header of"):
        unpack(root, layer_of((info, content)))


DAMAGED = {
    "no tar": b"garbage" * 100,
    "no tar in gzip": gzip.compress(b"garbage" * 100),
    "headers for headers without end": layer_of(*[member("h", type=tarfile.XHDTYPE)] * 5000),
    "a gzip cut short": gzip.compress(bytes(2000))[:-9],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_given_a_damaged_layer_when_unpacked_then_it_says_so(root: Path, damage: bytes) -> None:
    with pytest.raises(LayerError, match="damaged"):
        unpack(root, damage)


def test_given_a_damaged_header_in_the_middle_when_unpacked_then_it_says_so(root: Path) -> None:
    layer = bytearray(layer_of(member("a"), member("b")))
    layer[512 : 512 + 8] = b"\xff" * 8
    with pytest.raises(LayerError, match="damaged"):
        unpack(root, bytes(layer))
