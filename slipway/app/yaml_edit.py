"""Replaces one scalar of a YAML file, in the first of its documents, and leaves every other byte as it was.

PyYAML's marks say where the scalar is. Only the text between them is replaced. Then the result is read again: it must differ from
the old text in that one value alone. An edit that fails this check is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

import yaml

from slipway.app.yaml_source import TASKDEF_LIMIT, TooLargeError, compose, template_near
from slipway.errors import RefusedError

FieldPath = tuple[str | int, ...]
_STEP = re.compile(r"\.(?P<key>[^.\[\]'$*][^.\[\]$*]*)|\.'(?P<quoted>(?:[^'\\]|\\.)+)'|\[(?P<index>[0-9]{1,6})\]")
_STR = "tag:yaml.org,2002:str"
_ASCII = range(0x20, 0x7F)
# Words that some version of YAML takes for a truth value, nothing, or a number.
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./@:+-]*(?<!:)")


class YamlEditError(RefusedError):
    """A scalar that cannot be replaced; the file is as it was."""


@dataclass(frozen=True)
class Edit:
    """A file before and after."""

    before: str
    """The scalar's value as YAML reads it."""
    after: str
    content: bytes
    """The whole file. The very bytes that came in, where the value was there already."""

    @property
    def changed(self) -> bool:
        """Whether the value was another one."""
        return self.before != self.after


def parse_field(field: str) -> FieldPath:
    """Reads a path as PipeCD's `yamlField` has it: `$`, `.key`, `.'quoted key'` and `[n]`.

    Raises:
        YamlEditError: The path is none, or finds a list (`..`, `[*]`), which PipeCD cannot replace either.
    """
    tried = f"reading the field {field!r}"
    remedy = "write a path such as $.containerDefinitions[0].image"
    if not field.startswith("$"):
        raise YamlEditError(tried, "it does not begin with $", remedy)
    if ".." in field or "*" in field:
        raise YamlEditError(tried, "`..` and `[*]` find a list, even of one place, and PipeCD replaces one value", remedy)
    path: list[str | int] = []
    at = 1
    while at < len(field):
        step = _STEP.match(field, at)
        if step is None:
            raise YamlEditError(tried, f"it cannot be read from {field[at:]!r} on", remedy)
        quoted = step["quoted"]
        path.append(int(step["index"]) if step["index"] else re.sub(r"\\(.)", r"\1", quoted) if quoted else step["key"])
        at = step.end()
    return tuple(path)


def read_scalar(content: bytes, field: str, file: str) -> str:
    """The value of one scalar, by the same rules as `replace_scalar`."""
    tried = f"reading {field} of {file}"
    text = _decode(content, tried)
    return _find(_compose(text, tried), parse_field(field), tried).value


def replace_scalar(content: bytes, field: str, value: str, file: str) -> Edit:
    """Replaces one scalar.

    Args:
        content: The file, in UTF-8.
        field: A path as PipeCD's `yamlField` has it.
        value: The new text. The quoting stays as it was where that can hold it.
        file: The file's name, for errors.

    Raises:
        YamlEditError: The path is not there or no scalar, the value is shared by an alias, or the file is not YAML.
    """
    tried = f"replacing {field} in {file}"
    path = parse_field(field)
    text = _decode(content, tried)
    root = _compose(text, tried)
    node = _find(root, path, tried)
    _refuse_shared(root, path, tried)
    before = str(node.value)
    if before == value:
        return Edit(before, value, content)
    start, end = _span(text, node, tried)
    edited = text[:start] + _render(text[start:end], node.style, value) + text[end:]
    _prove(root, node, edited, value, tried)
    return Edit(before, value, content[: len(content) - len(text.encode())] + edited.encode())


def _decode(content: bytes, tried: str) -> str:
    if len(content) > TASKDEF_LIMIT:
        raise YamlEditError(tried, f"the file has {len(content):,} bytes", f"keep it under {TASKDEF_LIMIT:,} bytes")
    try:
        # Marks do not count a byte order mark.
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise YamlEditError(tried, f"the file is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8") from error


def _compose(text: str, tried: str) -> yaml.Node:
    try:
        root = compose(text, first=True)
    except TooLargeError as error:
        raise YamlEditError(tried, f"{error.message} in line {error.place.line}", error.help) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if template := template_near(text, line):
            said = f"with the template {template} the file is not YAML in line {line}"
            raise YamlEditError(tried, said, "put quotes around the template, or replace the image by a regex") from error
        raise YamlEditError(
            tried, f"not valid YAML in line {line}: {error.problem or error.context}", "correct the file"
        ) from error
    except yaml.YAMLError as error:
        raise YamlEditError(tried, f"not valid YAML: {' '.join(str(error).split())}", "correct the file's syntax") from error
    if root is None:
        raise YamlEditError(tried, "the file is empty", "write the file, with a value at the field")
    return root


def _steps(root: yaml.Node, path: FieldPath, tried: str) -> list[yaml.Node]:
    """The nodes from the root to the value."""
    nodes = [root]
    for step in path:
        found = _children(nodes[-1], step)
        if not found:
            raise YamlEditError(
                tried, f"there is no {_named(step)} in line {nodes[-1].start_mark.line + 1}", "correct the field or the file"
            )
        if len(found) > 1:
            raise YamlEditError(tried, f"the key {step!r} is there {len(found)} times", "keep one of them")
        nodes.append(found[0])
    return nodes


def _children(node: yaml.Node, step: str | int) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return cast("list[yaml.Node]", node.value)[step : step + 1]
    if isinstance(node, yaml.MappingNode) and isinstance(step, str):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        return [value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value == step]
    return []


def _named(step: str | int) -> str:
    return f"item [{step}]" if isinstance(step, int) else f"key {step!r}"


def _find(root: yaml.Node, path: FieldPath, tried: str) -> yaml.ScalarNode:
    node = _steps(root, path, tried)[-1]
    if isinstance(node, yaml.ScalarNode):
        return node
    kind = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    raise YamlEditError(tried, f"line {node.start_mark.line + 1} has {kind} there, not one value", "point the field at one value")


def _refuse_shared(root: yaml.Node, path: FieldPath, tried: str) -> None:
    """A value that an alias repeats is in two places at once, and only one of them was asked for."""
    on_path = {id(node) for node in _steps(root, path, tried)}
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            if id(node) in on_path:
                line = node.start_mark.line + 1
                raise YamlEditError(
                    tried, f"the value of line {line} is used in several places by an alias", "write it out in each place"
                )
            continue
        seen.add(id(node))
        waiting.extend(_inner(node))


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in cast("list[tuple[yaml.Node, yaml.Node]]", node.value) for inner in pair]
    return cast("list[yaml.Node]", node.value) if isinstance(node, yaml.SequenceNode) else []


def _span(text: str, node: yaml.ScalarNode, tried: str) -> tuple[int, int]:
    """Where the scalar itself stands: without its anchor and tag, which the node's own marks include."""
    end = node.end_mark.index
    for token in yaml.scan(text, yaml.CSafeLoader):
        if (
            isinstance(token, yaml.ScalarToken)
            and token.end_mark.index == end
            and token.start_mark.index >= node.start_mark.index
        ):
            return token.start_mark.index, end
    raise YamlEditError(
        tried, f"there is no value in line {node.start_mark.line + 1}", "write a value there once; it is replaced then"
    )


def _render(old: str, style: str | None, value: str) -> str:
    """The new scalar in the old one's quoting, or in double quotes, which can hold everything."""
    printable = all(ord(character) in _ASCII for character in value)
    if style == "'" and printable:
        return "'" + value.replace("'", "''") + "'"
    if style in ("|", ">"):
        return _render_block(old, value)
    if not style and _plain(value):
        return value
    return _double_quoted(value)


def _plain(value: str) -> bool:
    """Whether every version of YAML reads the text without quotes as this text: words and addresses, no numbers."""
    if not _PLAIN.fullmatch(value) or value.lower() in _RESERVED:
        return False
    return value[0].isalpha() or "/" in value


def _double_quoted(value: str) -> str:
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if code in _ASCII:
        return character
    if code <= 0xFF:  # noqa: PLR2004 -- YAML's three lengths of escapes
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def _render_block(old: str, value: str) -> str:
    """One quoted line in place of a block; a comment behind the block's mark and the lines below it stay."""
    header = re.match(r"[|>][-+0-9]*", old)
    first, _, _ = old.partition("\n")
    comment = first[header.end() :].rstrip("\r") if header else ""
    tail = old[len(old.rstrip(" \t\r\n\x85\u2028\u2029")) :]
    return _double_quoted(value) + comment + tail


def _prove(root: yaml.Node, target: yaml.ScalarNode, edited: str, value: str, tried: str) -> None:
    """Reads the result, and compares it with what was there, node by node."""
    after = _compose(edited, tried)
    seen: set[tuple[int, int]] = set()
    waiting = [(root, after)]
    while waiting:
        old, new = waiting.pop()
        if (id(old), id(new)) in seen:
            continue
        seen.add((id(old), id(new)))
        if not _as_asked(old, new, target, value):
            line = new.start_mark.line + 1
            raise YamlEditError(
                tried, f"the edit would not leave line {line} as it should be", "write the value as a plain text, without a tag"
            )
        waiting.extend(zip(_inner(old), _inner(new), strict=True))


def _as_asked(old: yaml.Node, new: yaml.Node, target: yaml.Node, value: str) -> bool:
    if old is target:
        return isinstance(new, yaml.ScalarNode) and new.tag == _STR and new.value == value
    if type(old) is not type(new) or old.tag != new.tag:
        return False
    if isinstance(old, yaml.ScalarNode):
        return bool(old.value == new.value)
    return len(_inner(old)) == len(_inner(new))
