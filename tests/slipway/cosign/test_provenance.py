from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.api import BuildProvenance
from slipway.cosign.provenance import contradiction, read_provenance
from slipway.cosign.statements import Statement
from tests.support.signed_images import SLSA_0_2, SLSA_1

COMMIT, OTHER = "c" * 40, "d" * 40
SOURCE = "https://github.com/acme/pipeline"
KEYS = (
    *("builder", "id", "metadata", "vcs", "source", "revision", "invocation", "configSource", "materials", "uri", "digest"),
    *("sha1", "gitCommit", "buildDefinition", "externalParameters", "workflow", "repository", "resolvedDependencies"),
    *("runDetails", "buildkit_metadata", "https://mobyproject.org/buildkit@v1#metadata"),
)
BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"


def git(commit: str, uri: str = f"git+{SOURCE}@refs/heads/main", name: str = "sha1") -> dict[str, Any]:
    return {"uri": uri, "digest": {name: commit}}


BASE = {"uri": "pkg:docker/python@3.11", "digest": {"sha256": "e" * 64}}
GITHUBS = {
    "buildDefinition": {
        "externalParameters": {"workflow": {"repository": SOURCE, "path": ".github/workflows/build.yml"}},
        "resolvedDependencies": [git(OTHER, "git+https://github.com/acme/actions@refs/tags/v1"), git(COMMIT, name="gitCommit")],
    },
    "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
}


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        (SLSA_0_2, {"invocation": {"configSource": git(COMMIT)}, "materials": [git(COMMIT)]}),
        (SLSA_0_2, {"materials": [BASE, git(COMMIT)]}),
        (SLSA_0_2, {"metadata": {BUILDKIT: {"vcs": {"source": SOURCE, "revision": COMMIT}}}, "materials": [git(OTHER)]}),
        (SLSA_0_2, {"invocation": {"configSource": git(COMMIT, f"{SOURCE}#refs/heads/main")}}),
        (SLSA_1, GITHUBS),
        (SLSA_1, {"runDetails": {"metadata": {"buildkit_metadata": {"vcs": {"source": SOURCE, "revision": COMMIT}}}}}),
        (SLSA_1, {"buildDefinition": {"externalParameters": {"configSource": git(COMMIT)}}}),
        (SLSA_1, {"buildDefinition": {"resolvedDependencies": [BASE, git(COMMIT, name="gitCommit")]}}),
    ],
)
def test_given_provenance_of_a_builder_when_it_is_read_then_repository_and_commit_are_known(
    kind: str, predicate: dict[str, Any]
) -> None:
    found = read_provenance(Statement(kind, predicate, ()))
    assert (found.repository, found.commit) == (SOURCE, COMMIT)


NAMELESS: list[tuple[str, dict[str, Any]]] = [
    (SLSA_0_2, {}),
    (SLSA_0_2, {"materials": {"uri": SOURCE}, "builder": "x", "invocation": [], "metadata": {BUILDKIT: 1}}),
    (SLSA_0_2, {"materials": [BASE, 1, None, {"uri": 1, "digest": []}]}),
    (SLSA_0_2, {"materials": [git(COMMIT), git(OTHER, "git+https://github.com/acme/library")]}),
    (SLSA_1, {"buildDefinition": {"externalParameters": {"workflow": "x"}, "resolvedDependencies": "x"}}),
    (SLSA_1, {"runDetails": {"metadata": {"buildkit_metadata": {"vcs": {"source": "", "revision": COMMIT}}}}}),
]


@pytest.mark.parametrize(("kind", "predicate"), NAMELESS)
def test_given_provenance_that_names_no_source_or_several_when_it_is_read_then_nothing_is_guessed(
    kind: str, predicate: dict[str, Any]
) -> None:
    found = read_provenance(Statement(kind, predicate, ()))
    assert (found.repository, found.commit) == ("", "")


def test_given_a_build_with_changes_when_its_provenance_is_read_then_it_has_no_commit() -> None:
    vcs = {"source": SOURCE, "revision": f"{COMMIT}-dirty"}
    found = read_provenance(Statement(SLSA_0_2, {"metadata": {BUILDKIT: {"vcs": vcs}}, "materials": [git(OTHER)]}, ()))
    assert (found.repository, found.commit) == (SOURCE, "")


def test_given_a_login_and_control_characters_in_provenance_when_it_is_read_then_they_are_gone() -> None:
    vcs = {"source": "https://user:secret@github.com/acme/pipeline", "revision": COMMIT}
    predicate = {"builder": {"id": f"a\x1b[31m{'b' * 1_000}"}, "metadata": {BUILDKIT: {"vcs": vcs}}}
    found = read_provenance(Statement(SLSA_0_2, predicate, ()))
    assert found.repository == SOURCE
    assert "\x1b" not in found.builder
    assert len(found.builder) == 150


@pytest.mark.parametrize(
    ("claimed", "contradicts"),
    [
        (COMMIT, False),
        (COMMIT[:7], False),
        (COMMIT.upper(), False),
        ("", False),
        ("v1.2", False),
        (OTHER, True),
        (OTHER[:7], True),
    ],
)
def test_given_a_claimed_commit_when_provenance_is_compared_then_only_another_commit_contradicts(
    claimed: str, contradicts: bool
) -> None:
    assert bool(contradiction(BuildProvenance(commit=COMMIT), claimed)) is contradicts


def test_given_provenance_without_a_commit_when_it_is_compared_then_nothing_contradicts() -> None:
    assert not contradiction(BuildProvenance(repository=SOURCE), OTHER)


TEXTS = st.text(max_size=20) | st.sampled_from([SOURCE, COMMIT, "git+x", "https://[", "a@b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=30,
)


@settings(deadline=None)
@given(kind=st.sampled_from([SLSA_0_2, SLSA_1]), predicate=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_given_any_predicate_when_it_is_read_then_it_is_short_and_printable(kind: str, predicate: dict[str, Any]) -> None:
    found = read_provenance(Statement(kind, predicate, ()))
    assert all(len(part) <= 150 and part.isprintable() for part in (found.builder, found.repository, found.commit))
