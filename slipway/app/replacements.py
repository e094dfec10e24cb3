"""Applies an event's value to an application's files, as PipeCD's GIT_UPDATE does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slipway.app.expressions import Span, first_groups
from slipway.app.pipecd import EventHandler, Replacement
from slipway.app.problems import shown
from slipway.app.yaml_edit import Edit, read_scalar, replace_scalar
from slipway.app.yaml_source import TASKDEF_LIMIT
from slipway.errors import RefusedError


@dataclass(frozen=True)
class FileChange:
    """One file, before and after."""

    file: str
    """Its path inside the application's folder."""
    before: str
    """The value that the first place of the file had."""
    after: str
    content: bytes
    changed: bool


def apply_event(handler: EventHandler, value: str, read: Callable[[str], bytes | None]) -> tuple[FileChange, ...]:
    """Writes a value to every field that a handler names, and returns each file once, in the handler's order.

    Args:
        handler: The event's handler.
        value: The value, as an image by digest.
        read: Gives a file of the application's folder, or none where it is not there.

    Raises:
        RefusedError: A file, a field or a match is missing, or a field is no single value. Nothing is half done.
    """
    changes: dict[str, FileChange] = {}
    for replacement in handler.replacements:
        earlier = changes.get(replacement.file)
        tried = f"writing the image to {replacement.file}"
        content = earlier.content if earlier else _content(tried, replacement.file, read)
        edit = _apply(replacement, content, value)
        before = earlier.before if earlier else edit.before
        changed = edit.changed or bool(earlier and earlier.changed)
        changes[replacement.file] = FileChange(replacement.file, before, value, edit.content, changed)
    return tuple(changes.values())


def value_held(handler: EventHandler, read: Callable[[str], bytes | None]) -> str:
    """The value that an event has written to every field that a handler names.

    Args:
        handler: The event's handler.
        read: Gives a file of the application's folder, or none where it is not there.

    Raises:
        RefusedError: A file, a field or a match is missing, or they do not all have the same value.
    """
    values: dict[str, str] = {}
    for replacement in handler.replacements:
        content = _content(f"reading the image in {replacement.file}", replacement.file, read)
        values |= dict.fromkeys(_values(replacement, content), replacement.file)
    if len(values) > 1:
        listed = ", ".join(f"{shown(value)} in {file}" for value, file in values.items())
        answered = f"its event watcher writes one value to each place, and they have {listed}"
        raise RefusedError(
            f"reading the image of the event {handler.event}", answered, "register the event anew, or correct them"
        )
    return next(iter(values))


def _values(replacement: Replacement, content: bytes) -> list[str]:
    if replacement.yaml_field:
        return [read_scalar(content, replacement.yaml_field, replacement.file)]
    spans = _matches(f"looking for {shown(replacement.regex)} in {replacement.file}", content, replacement.regex)
    return [content[start:end].decode() for start, end in spans]


def _content(tried: str, file: str, read: Callable[[str], bytes | None]) -> bytes:
    content = read(file)
    if content is None:
        raise RefusedError(tried, "there is no such file in the app's folder", "add the file")
    return content


def _apply(replacement: Replacement, content: bytes, value: str) -> Edit:
    if replacement.yaml_field:
        return replace_scalar(content, replacement.yaml_field, value, replacement.file)
    return replace_matches(content, replacement.regex, value, replacement.file)


def replace_matches(content: bytes, regex: str, value: str, file: str) -> Edit:
    """Replaces the first group of every match, as PipeCD's `regex` does.

    Raises:
        RefusedError: Nothing matches, or too much; the file is not UTF-8 or too large.
    """
    spans = _matches(f"replacing {shown(regex)} in {file}", content, regex)
    ends = [0, *(end for _, end in spans)]
    kept = [content[end:start] for end, (start, _) in zip(ends, spans, strict=False)]
    found = [content[start:end].decode() for start, end in spans]
    before = next((text for text in found if text != value), value)
    return Edit(before, value, b"".join(part + value.encode() for part in kept) + content[ends[-1] :])


def _matches(tried: str, content: bytes, regex: str) -> list[Span]:
    """Where the first groups of all matches are: at least one.

    Raises:
        RefusedError: Nothing matches, or too much; the file is not UTF-8 or too large.
    """
    if len(content) > TASKDEF_LIMIT:
        raise RefusedError(tried, f"the file has {len(content):,} bytes", f"keep it under {TASKDEF_LIMIT:,} bytes")
    try:
        content.decode()
        spans = first_groups(regex, content)
    except UnicodeDecodeError as error:
        raise RefusedError(tried, "the file is not UTF-8", "save it as UTF-8") from error
    except ValueError as error:
        raise RefusedError(tried, f"the expression {error}", "correct the expression") from error
    if not spans:
        raise RefusedError(tried, "nothing in the file matches", "correct the expression, or the file")
    return spans
