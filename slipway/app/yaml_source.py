"""Reads YAML with the position of every value, so that a problem can be shown where it was written.

Only plain data comes out: safe tags, nothing that runs code. A file is a stranger's: its bytes, depth, values and keys are
counted before memory is spent on them. libyaml does the work: it is many times as fast as PyYAML's own reader, gives the same
positions, and takes the tabs that JSON files have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import yaml
from yaml.constructor import SafeConstructor

from slipway.app.problems import FileError, Problem

Path = tuple[str | int, ...]
SIZE_LIMIT = 64_000
"""The most bytes of a file that people write; such a file has a few thousand."""
TASKDEF_LIMIT = 512_000
"""The most bytes of a task definition, and of any file that the image is written to."""
NODE_LIMIT = 50_000
"""Values of a document once its aliases and merge keys are followed."""
DEPTH_LIMIT = 100
KEY_LIMIT = 1_000
DIGITS_LIMIT = 30
"""The longest number. A longer one stays the text that it is: it takes Python long to read."""
TEMPLATE = re.compile(r"\{\{(?:(?!\}\}|\n).){0,80}(?:\}\})?")
"""An action of a template, or its beginning."""
_EVENT_LIMIT = 2 * NODE_LIMIT
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_NUMBERS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float"))
_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "value", "merge"))


class Mark(Protocol):
    """A place as either of PyYAML's parsers tells it; both numbers count from zero."""

    line: int
    column: int


class TooLargeError(Exception):
    """A document with more in it than is read.

    Args:
        mark: Where the limit is passed.
        message: What is too large.
        help_: What is allowed.
    """

    def __init__(self, mark: Mark | None, message: str, help_: str) -> None:
        self.place = _position(mark)
        self.message = message
        self.help = help_
        super().__init__(f"{message} in line {self.place.line}; {help_}")


@dataclass(frozen=True)
class Position:
    """A place in a text; both numbers count from one."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One YAML document: its data, and where each value and key stands."""

    file: str
    data: Any
    values: dict[Path, Position] = field(default_factory=dict[Path, Position])
    keys: dict[Path, Position] = field(default_factory=dict[Path, Position])
    words: dict[Path, str] = field(default_factory=dict[Path, str])
    """Values without quotes as they are written, for those who want numbers and truth values as text."""

    def place_of(self, path: Path) -> Position:
        """Where the value stands, or else the nearest thing around it that is written."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position(1, 1))

    def place_of_key(self, path: Path) -> Position:
        """Where the key of a value stands, or else the value."""
        return self.keys.get(path) or self.place_of(path)

    def problem(self, path: Path, message: str, help_: str, *, at_key: bool = False) -> Problem:
        """A problem with the value at a path."""
        place = self.place_of_key(path) if at_key else self.place_of(path)
        return Problem(file=self.file, line=place.line, column=place.column, path=format_path(path), message=message, help=help_)


def format_path(path: Path) -> str:
    """A path as people write it: `spec.gates[0].min`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def load_document(text: str, file: str, limit: int = SIZE_LIMIT, *, first: bool = False) -> Document:
    """Reads the document of a file.

    Args:
        text: The file's content.
        file: Its name, for problems.
        limit: The most bytes that it may have.
        first: Read the first of several documents, as piped does, rather than refuse them.

    Raises:
        FileError: The text is not YAML, holds several documents, is too large, or has what plain data does not have.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > limit:
        raise _file_error(file, Position(1, 1), f"the file has {size:,} bytes", f"keep it under {limit:,} bytes")
    try:
        return _Builder(file).build(compose(text, first=first))
    except TooLargeError as error:
        raise _file_error(file, error.place, error.message, error.help) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _file_error(file, _position(mark), *_explained(error)) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise _file_error(file, Position(1, 1), f"not valid YAML: {error}", "remove what YAML does not allow") from error


def compose(text: str, *, first: bool = False) -> yaml.Node | None:
    """The nodes of the document of a text, or none where it is empty.

    Args:
        text: The text.
        first: Take the first of several documents, rather than refuse them.

    Raises:
        TooLargeError: The document is nested too deeply or has too many values.
        yaml.YAMLError: The text is not YAML.
    """
    depth = 0
    # The events come before any node is made: nesting costs the parser quadratic time, and the composer the stack.
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            raise TooLargeError(event.start_mark, "nested too deeply", f"keep it under {DEPTH_LIMIT} levels")
        if count > _EVENT_LIMIT:
            raise TooLargeError(event.start_mark, "too many values", f"keep it under {NODE_LIMIT:,} values")
        if first and isinstance(event, yaml.DocumentEndEvent):
            break
    loader = yaml.CSafeLoader(text)
    try:
        if not first:
            return loader.get_single_node()
        return loader.get_node() if loader.check_node() else None
    finally:
        loader.dispose()


def template_near(text: str, line: int) -> str | None:
    """The template in a line, or in the one before, where a text is not YAML: it is the cause then."""
    lines = text.splitlines()[max(line - 2, 0) : line]
    return next((found[0] for written in reversed(lines) if (found := TEMPLATE.search(written))), None)


def _several_documents(error: yaml.MarkedYAMLError) -> bool:
    """Whether a text was refused because it has more than one document."""
    return error.problem == "but found another document"


def _explained(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    if _several_documents(error):
        return "the file holds several documents", "keep one document in the file"
    escape = error.problem == "found invalid Unicode character escape code"
    help_ = "write the character itself" if escape else "correct the syntax here"
    return f"not valid YAML: {error.problem or error.context}", help_


class _Builder:
    """Turns PyYAML's nodes into plain data and remembers their positions."""

    def __init__(self, file: str) -> None:
        self.document = Document(file, None)
        self._constructor = SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node | None) -> Document:
        return self.document if node is None else replace(self.document, data=self._value(node, ()))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        with self._entered(node, path):
            self.document.values[path] = _place(node)
            return self._plain(node, path)

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items: list[yaml.Node] = node.value
            return [self._value(item, (*path, index)) for index, item in enumerate(items)]
        if node.tag in _TEXT_TAGS:
            if isinstance(node, yaml.ScalarNode) and not node.style:
                self.document.words[path] = node.value
            return node.value
        if node.tag in _PLAIN_TAGS:
            return self._scalar(node, path)
        raise self._error(node, path, f"the tag {node.tag} is not plain data", "write a text, a number, true, false or null")

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        self.document.words[path] = node.value
        # YAML 1.1 counts 12:30 by sixties; YAML 1.2 and PipeCD read a text. Long numbers are identifiers without quotes.
        if node.tag in _NUMBERS and (":" in node.value or len(node.value) > DIGITS_LIMIT):
            return node.value
        try:
            return self._constructor.construct_object(node)  # pyright: ignore[reportUnknownMemberType]
        except (KeyError, ValueError, OverflowError) as error:
            raise self._error(node, path, f"{node.value[:60]!r} is no {_kind(node)}", "put quotes around a text") from error

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in self._pairs(node, path):
            name = self._key(key, path)
            self.document.keys[*path, name] = _place(key)
            result[name] = self._value(value, (*path, name))
        return result

    def _pairs(self, node: yaml.MappingNode, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        """The mapping's pairs behind those that it merges. Each counts, however often it is merged."""
        self._refuse_duplicates(node, path)
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        merged = [pair for key, value in pairs if key.tag == _MERGE for pair in self._merged(value, path)]
        return merged + [pair for pair in pairs if pair[0].tag != _MERGE]

    def _merged(self, node: yaml.Node, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.MappingNode):
            with self._entered(node, path):
                pairs = self._pairs(node, path)
                self._spend(len(pairs), node)
                return pairs
        if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.MappingNode) for item in node.value):
            # The first of several wins, so it comes last.
            return [pair for item in reversed(node.value) for pair in self._merged(item, path)]
        raise self._error(node, path, "<< merges what is no mapping", "name a mapping, or a list of mappings")

    def _refuse_duplicates(self, node: yaml.MappingNode, path: Path) -> None:
        seen: dict[str, Position] = {}
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key, _ in pairs:
            name = self._key(key, path)
            if name in seen:
                raise self._error(
                    key, (*path, name), f"the key {name!r} is there twice", f"line {seen[name].line} has it first; keep one"
                )
            seen[name] = _place(key)

    def _key(self, key: yaml.Node, path: Path) -> str:
        if isinstance(key, yaml.ScalarNode) and len(key.value) > KEY_LIMIT:
            raise self._error(key, path, f"a key of {len(key.value):,} characters", f"write at most {KEY_LIMIT:,}")
        if isinstance(key, yaml.ScalarNode):
            return key.value
        raise self._error(key, path, "a key is not a plain word", "write a text before the colon")

    @contextlib.contextmanager
    def _entered(self, node: yaml.Node, path: Path) -> Generator[None]:
        """Inside a node, which must not be met again there."""
        if id(node) in self._open:
            raise self._error(node, path, "the value contains itself by an alias", "write it out without the alias")
        if max(len(path), len(self._open)) > DEPTH_LIMIT:
            raise self._error(node, (), "nested too deeply", f"keep it under {DEPTH_LIMIT} levels")
        self._spend(1, node)
        self._open.add(id(node))
        try:
            yield
        finally:
            self._open.discard(id(node))

    def _spend(self, count: int, node: yaml.Node) -> None:
        self._count += count
        if self._count > NODE_LIMIT:
            message = "the document is too large once its aliases and merge keys are followed"
            raise self._error(node, (), message, f"keep it under {NODE_LIMIT:,} values")

    def _error(self, node: yaml.Node, path: Path, message: str, help_: str) -> FileError:
        return _file_error(self.document.file, _place(node), message, help_, format_path(path))


def _kind(node: yaml.Node) -> str:
    return node.tag.rpartition(":")[2]


def _place(node: yaml.Node) -> Position:
    return _position(node.start_mark)


def _position(mark: Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def _file_error(file: str, place: Position, message: str, help_: str, path: str = "") -> FileError:
    problem = Problem(file=file, line=place.line, column=place.column, path=path, message=message, help=help_)
    return FileError(f"reading {file}", [problem])
