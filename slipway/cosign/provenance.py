"""Build provenance: the source repository and commit that SLSA's predicates of version 0.2 and 1 name.

Builders put these in different places. GitHub's and SLSA's own name them as material or as resolved dependency, and BuildKit in
metadata of its own. What is missing or has another shape is left empty: provenance that nobody signed may say anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from slipway.api import BuildProvenance
from slipway.cosign.statements import Statement
from slipway.text import one_line

PREDICATES = ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1")
TEXT_LIMIT = 150
"""Characters of each part that is kept."""
_DIGESTS = ("gitCommit", "sha1")
_BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CLAIM = re.compile(r"[0-9a-f]{7,64}")
_GIT = re.compile(r"git\+|git://|.*\.git(?:$|[#@?])|https://(?:github|gitlab)\.com/")


def is_provenance(statement: Statement) -> bool:
    """Whether a statement is provenance of a kind that is known here."""
    return statement.predicate_type in PREDICATES


def read_provenance(statement: Statement) -> BuildProvenance:
    """What provenance says of the source and the builder."""
    first, second = PREDICATES
    read = {first: _of_version_0_2, second: _of_version_1}[statement.predicate_type]
    builder, repository, commit = read(statement.predicate)
    return BuildProvenance(builder=_short(builder), repository=_short(_address(repository)), commit=_short(commit))


def contradiction(provenance: BuildProvenance, claimed: str) -> str:
    """What provenance says otherwise than the starter; empty where it agrees, or where one of the two says nothing to compare.

    Args:
        provenance: What a build says of itself.
        claimed: The source commit that the starter named: all of its digits, or at least the first seven.
    """
    claim = claimed.lower()
    if not _CLAIM.fullmatch(claim) or not _COMMIT.fullmatch(provenance.commit) or provenance.commit.startswith(claim):
        return ""
    return f"the promotion was started for the source commit {claim[:12]}"


def _of_version_0_2(predicate: Mapping[str, Any]) -> tuple[str, str, str]:
    vcs = _part(predicate, "metadata", _BUILDKIT, "vcs")
    config = _named(_part(predicate, "invocation", "configSource"))
    return _text(predicate, "builder", "id"), *_source(vcs, config, _list(predicate, "materials"))


def _of_version_1(predicate: Mapping[str, Any]) -> tuple[str, str, str]:
    definition, metadata = _part(predicate, "buildDefinition"), _part(predicate, "runDetails", "metadata")
    vcs = _part(metadata, "buildkit_metadata", "vcs") or _part(metadata, _BUILDKIT, "vcs")
    config = _named(_part(definition, "externalParameters", "configSource"))
    repository = _text(definition, "externalParameters", "workflow", "repository")
    dependencies = _list(definition, "resolvedDependencies")
    of_workflow = [each for each in dependencies if repository and _address(_text(each, "uri")) == repository]
    return _text(predicate, "runDetails", "builder", "id"), *_source(vcs, config, of_workflow or dependencies)


def _source(vcs: Mapping[str, Any], config: tuple[str, str], used: list[Mapping[str, Any]]) -> tuple[str, str]:
    """The repository and commit that were built; what a build has only used may be other repositories as well."""
    if source := _text(vcs, "source"):
        return source, _revision(vcs)
    if config[1]:
        return config
    sources = {_named(each) for each in used if _GIT.match(_text(each, "uri"))}
    return sources.pop() if len(sources) == 1 else ("", "")


def _named(entry: Mapping[str, Any]) -> tuple[str, str]:
    """A source's address and commit, as a descriptor of it has them."""
    digests = (_text(entry, "digest", name) for name in _DIGESTS)
    return _text(entry, "uri"), next((digest for digest in digests if _COMMIT.fullmatch(digest)), "")


def _revision(vcs: Mapping[str, Any]) -> str:
    """The commit that BuildKit names. One with `-dirty` behind it was built with changes, and is no commit."""
    revision = _text(vcs, "revision")
    return revision if _COMMIT.fullmatch(revision) else ""


def _address(uri: str) -> str:
    """A repository's address, without the reference and any login in it."""
    plain = re.split(r"[#?]|@refs/", uri.removeprefix("git+"), maxsplit=1)[0]
    try:
        parts = urlsplit(plain)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else plain


def _part(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found = document
    for key in keys:
        inner: Any = found.get(key)
        found = cast("Mapping[str, Any]", inner if isinstance(inner, Mapping) else {})
    return found


def _list(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found: object = document.get(key)
    entries = cast("list[object]", found)[:1_000] if isinstance(found, list) else []
    return [cast("Mapping[str, Any]", entry) for entry in entries if isinstance(entry, Mapping)]


def _text(document: Mapping[str, Any], *keys: str) -> str:
    *path, last = keys
    found = _part(document, *path).get(last) if path else document.get(last)
    return found if isinstance(found, str) else ""


def _short(text: str) -> str:
    return one_line(text)[:TEXT_LIMIT]
