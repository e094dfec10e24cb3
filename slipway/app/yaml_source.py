"""Reads YAML with the position of every value, so that a problem can be shown where it was written.

Only plain data comes out: PyYAML's safe tags, nothing that runs code. A duplicate key, a value that contains itself and a
document that aliases make too large are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from slipway.app.problems import FileError, Problem

Path = tuple[str | int, ...]
SIZE_LIMIT = 1_000_000
"""The most bytes of a file that are read; a spec has a few thousand."""
NODE_LIMIT = 50_000
"""Values of a document once its aliases are followed; a guard against alias bombs."""
DEPTH_LIMIT = 100
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "value"))


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


def load_document(text: str, file: str) -> Document:
    """Reads the single document of a file.

    Raises:
        FileError: The text is not YAML, holds several documents, or something that plain data does not have.
    """
    if len(text) > SIZE_LIMIT:
        raise _file_error(file, Position(1, 1), "the file is too large", f"keep it under {SIZE_LIMIT:,} characters")
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        return _Builder(file, loader).build(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise _file_error(file, place, f"not valid YAML: {error.problem or error.context}", "correct the syntax here") from error
    except yaml.YAMLError as error:
        raise _file_error(file, Position(1, 1), f"not valid YAML: {error}", "remove what YAML does not allow") from error
    except RecursionError as error:
        raise _file_error(file, Position(1, 1), "nested too deeply", f"keep it under {DEPTH_LIMIT} levels") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Builder:
    """Turns PyYAML's nodes into plain data and remembers their positions."""

    def __init__(self, file: str, loader: yaml.SafeLoader) -> None:
        self.document = Document(file, None)
        self._loader = loader
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node | None) -> Document:
        if node is None:
            return self.document
        data = self._value(node, ())
        return Document(self.document.file, data, self.document.values, self.document.keys)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._guard(node, path)
        self.document.values[path] = _place(node)
        self._open.add(id(node))
        try:
            return self._plain(node, path)
        finally:
            self._open.discard(id(node))

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items: list[yaml.Node] = node.value
            return [self._value(item, (*path, index)) for index, item in enumerate(items)]
        if node.tag in _TEXT_TAGS:
            return node.value
        if node.tag in _PLAIN_TAGS:
            return self._scalar(node, path)
        raise self._error(node, path, f"the tag {node.tag} is not plain data", "write a text, a number, true, false or null")

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, OverflowError) as error:
            raise self._error(node, path, f"{node.value!r} is no {_kind(node)}", "put quotes around a text") from error

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._refuse_duplicates(node, path)
        self._loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key, value in pairs:
            name = self._key(key, path)
            self.document.keys[*path, name] = _place(key)
            result[name] = self._value(value, (*path, name))
        return result

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
        if isinstance(key, yaml.ScalarNode):
            return key.value
        raise self._error(key, path, "a key is not a plain word", "write a text before the colon")

    def _guard(self, node: yaml.Node, path: Path) -> None:
        self._count += 1
        if id(node) in self._open:
            raise self._error(node, path, "the value contains itself by an alias", "write it out without the alias")
        if self._count > NODE_LIMIT:
            raise self._error(node, (), "the document's aliases make it too large", f"keep it under {NODE_LIMIT:,} values")
        if len(path) > DEPTH_LIMIT:
            raise self._error(node, (), "nested too deeply", f"keep it under {DEPTH_LIMIT} levels")

    def _error(self, node: yaml.Node, path: Path, message: str, help_: str) -> FileError:
        return _file_error(self.document.file, _place(node), message, help_, format_path(path))


def _kind(node: yaml.Node) -> str:
    return node.tag.rpartition(":")[2]


def _place(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _file_error(file: str, place: Position, message: str, help_: str, path: str = "") -> FileError:
    problem = Problem(file=file, line=place.line, column=place.column, path=path, message=message, help=help_)
    return FileError(f"reading {file}", [problem])
