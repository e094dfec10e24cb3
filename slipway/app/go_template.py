"""Renders the part of Go's templates that PipeCD's attachments use: values, texts, pipes and the functions of `FUNCTIONS`.

Control structures, variables and all other functions are refused by name. A text that is rendered here comes out as piped
renders it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

Data = Mapping[str, Mapping[str, str]]
Value = str | int | bool | Mapping[str, Any]
OUTPUT_LIMIT = 1_000_000
"""The most characters of a rendered text, and of a value within."""
DEPTH_LIMIT = 20
_KEYWORDS = frozenset(["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil"])
_SPACE = " \t\r\n"
_UNICODE_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_QUOTED = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
_ACTION = re.compile(
    r"\{\{(?P<left>-[ \t\r\n])?"
    r"(?:/\*(?:(?!\*/).)*\*/|(?P<body>(?:" + _QUOTED + r"|(?!\}\})[^\"`])*?))"
    r"(?P<right>[ \t\r\n]-)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>" + _QUOTED + r")|(?P<number>[-+]?[0-9]{1,9}(?![0-9A-Za-z_.]))|(?P<field>(?:\.[A-Za-z_]\w*)+)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>[|)]|(?<![\w)\"`])\())",
    re.ASCII,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_QUOTES = {character: f"\\{letter}" for letter, character in _ESCAPES.items()}
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class TemplateError(ValueError):
    """A template that is not rendered.

    Args:
        line: Where its action begins; counts from one, as the column does.
        column: See `line`.
        message: What is wrong.
        help_: What is allowed.
    """

    def __init__(self, line: int, column: int, message: str, help_: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.help = line, column, message, help_


class _ActionError(Exception):
    """An action that is not rendered; its place is not known yet."""

    def __init__(self, message: str, help_: str = "correct the template") -> None:
        super().__init__(message)
        self.message, self.help = message, help_


def render(text: str, data: Data) -> str:
    """The text with each action replaced by its value.

    Args:
        text: The template.
        data: The values, as `.attachment.settings` names them.

    Raises:
        TemplateError: An action names what is not there, or is more than values, pipes and functions.
    """
    parts: list[str] = []
    at, trims, size = 0, False, 0
    for action in _actions(text):
        before = text[at : action.start]
        before = before.lstrip(_SPACE) if trims else before
        value = _value_of(text, action, data)
        parts += [before.rstrip(_SPACE) if action.trims_before else before, value]
        at, trims, size = action.end, action.trims_after, size + len(value)
        if size > OUTPUT_LIMIT:
            raise _placed(text, action.start, _too_large("the rendered file"))
    rest = text[at:]
    return "".join([*parts, rest.lstrip(_SPACE) if trims else rest])


def quoted(value: str) -> str:
    """A text in double quotes as Go's `%q` writes it."""
    return '"' + "".join(_QUOTES.get(character) or _escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 -- a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:  # noqa: PLR2004 -- Go's three lengths of escapes
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


@dataclass(frozen=True)
class _Action:
    start: int
    end: int
    body: str | None
    """None for a comment."""
    trims_before: bool
    trims_after: bool


def _actions(text: str) -> Iterator[_Action]:
    at = 0
    while (start := text.find("{{", at)) >= 0:
        found = _ACTION.match(text, start)
        if found is None:
            raise _placed(text, start, _ActionError("the action has no }} behind it", "close it with }}"))
        yield _Action(start, found.end(), found["body"], bool(found["left"]), bool(found["right"]))
        at = found.end()


def _value_of(text: str, action: _Action, data: Data) -> str:
    if action.body is None:
        return ""
    try:
        return _printed(_Evaluation(action.body, data).value())
    except _ActionError as error:
        raise _placed(text, action.start, error) from error


def _placed(text: str, at: int, error: _ActionError) -> TemplateError:
    return TemplateError(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), error.message, error.help)


def _too_large(what: str) -> _ActionError:
    return _ActionError(f"{what} is too large", f"keep it under {OUTPUT_LIMIT:,} characters")


class _Evaluation:
    """Evaluates one action while it is read.

    Args:
        body: What is between the braces.
        data: The values that it may name.
    """

    def __init__(self, body: str, data: Data) -> None:
        self._tokens = list(_tokens(body))
        self._data = data
        self._at = 0
        self._depth = 0

    def value(self) -> Value:
        if not self._tokens:
            raise _ActionError("the action is empty", "name a value, as {{ .attachment.settings }}")
        value = self._pipeline()
        if self._at < len(self._tokens):
            raise _unexpected(self._tokens[self._at][1])
        return value

    def _pipeline(self) -> Value:
        value = self._command(())
        while self._takes("|"):
            value = self._command((value,))
        return value

    def _command(self, piped: tuple[Value, ...]) -> Value:
        kind, token = self._next()
        if kind == "word" and token not in ("true", "false"):
            return _call(token, [*self._operands(), *piped])
        self._at -= 1
        operands = self._operands()
        if not operands:
            raise _unexpected(token)
        if len(operands) > 1 or piped:
            raise _ActionError(f"{token} is no function and takes no value", "put a function behind the pipe, as | b64enc")
        return operands[0]

    def _operands(self) -> list[Value]:
        operands: list[Value] = []
        while self._at < len(self._tokens) and self._tokens[self._at] not in (("mark", "|"), ("mark", ")")):
            operands.append(self._operand())
        return operands

    def _operand(self) -> Value:
        kind, token = self._next()
        match kind:
            case "text":
                return _unquoted(token)
            case "number":
                return int(token)
            case "field":
                return self._field(token)
            case "word":
                return {"true": True, "false": False}[token] if token in ("true", "false") else _call(token, [])
            case _:
                return self._parenthesis()

    def _parenthesis(self) -> Value:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise _ActionError("the parentheses are nested too deeply", f"keep it under {DEPTH_LIMIT} levels")
        value = self._pipeline()
        if not self._takes(")"):
            raise _ActionError("a ) is missing")
        self._depth -= 1
        return value

    def _field(self, field: str) -> Value:
        value: Any = self._data
        for name in field.split(".")[1:]:
            if not isinstance(value, Mapping):
                raise _ActionError(f"{field} goes into a text", "name the value only, as .attachment.settings")
            inner = cast("Mapping[str, Any]", value)
            if name not in inner:
                raise _ActionError(f"there is no value for {field}", f"known here: {', '.join(sorted(inner)) or 'nothing'}")
            value = inner[name]
        return value

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise _ActionError("a value is missing")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, mark: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += taken
        return taken


def _unexpected(token: str) -> _ActionError:
    return _ActionError(f"{token} is not expected here")


def _tokens(body: str) -> Iterator[tuple[str, str]]:
    at, body = 0, body.rstrip()
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None or found.lastgroup is None:
            rest = body[at : at + 60].strip()
            raise _ActionError(f"{rest!r} is not rendered", "Slipway renders values, texts, whole numbers, pipes and functions")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _unquoted(token: str) -> str:
    if token.startswith("`"):
        return token[1:-1].replace("\r", "")
    return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) > 1 and (code := int(escape[1:], 16)) < (0x80 if escape[0] == "x" else 0xD800):
        return chr(code)
    if escape not in _ESCAPES:
        raise _ActionError(f"the escape \\{escape} is not rendered", "write the character itself")
    return _ESCAPES[escape]


def _printed(value: Value) -> str:
    if isinstance(value, Mapping):
        raise _ActionError("the action is not one value", f"name one of {', '.join(sorted(value)) or 'nothing'}")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _call(name: str, arguments: list[Value]) -> Value:
    if name in _KEYWORDS:
        raise _ActionError(f"{{{{ {name} }}}} is not rendered", "Slipway renders values, pipes and functions; write the text out")
    if name not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise _ActionError(f"the function {name} is not rendered", f"Slipway renders {known}; use one of these, or write it out")
    try:
        result = FUNCTIONS[name](*arguments)
    except TypeError as error:
        raise _ActionError(f"{name} does not take these values", "see sprig's documentation") from error
    if isinstance(result, str) and len(result) > OUTPUT_LIMIT:
        raise _too_large(f"what {name} makes")
    return result


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _bytes(value: Value) -> bytes:
    return _text(value).encode(errors="surrogateescape")


def _encoded(value: Value) -> str:
    return base64.b64encode(_bytes(value)).decode()


def _decoded(value: Value) -> str:
    try:
        content = base64.b64decode(_text(value).replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _ActionError("b64dec is given a text that is not base64") from error
    return content.decode(errors="surrogateescape")


def _indented(width: Value, value: Value) -> str:
    text = _text(value)
    if not isinstance(width, int) or width < 0:
        raise TypeError
    if width * (text.count("\n") + 1) > OUTPUT_LIMIT:
        raise _too_large("what indent makes")
    pad = " " * width
    return pad + text.replace("\n", f"\n{pad}")


def _indented_below(width: Value, value: Value) -> str:
    return f"\n{_indented(width, value)}"


def _replaced(old: Value, new: Value, value: Value) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if (text.count(old) + 1) * len(new) > OUTPUT_LIMIT:
        raise _too_large("what replace makes")
    return text.replace(old, new)


def _json(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).translate(_HTML)


def _index(container: Value, *keys: Value) -> Value:
    value: Value = container
    for key in keys:
        if not isinstance(value, Mapping):
            raise TypeError
        # As in Go, a map has an empty text for a key that is not there.
        value = cast("Mapping[str, Value]", value).get(_text(key), "")
    return value


def _hashed(value: Value) -> str:
    return hashlib.sha256(_bytes(value)).hexdigest()


def _or_default(fallback: Value, value: Value = "") -> Value:
    return value or fallback


def _lower(value: Value) -> str:
    # Letter by letter, as Go's; Python makes two of some.
    return "".join(character.lower()[0] for character in _text(value))


def _upper(value: Value) -> str:
    return "".join(raised if len(raised := character.upper()) == 1 else character for character in _text(value))


def _double_quoted(*values: Value) -> str:
    return " ".join(quoted(_printed(value)) for value in values)


def _single_quoted(*values: Value) -> str:
    return " ".join(f"'{_printed(value)}'" for value in values)


def _trimmed(value: Value) -> str:
    return _text(value).strip(_UNICODE_SPACE)


def _without_prefix(prefix: Value, value: Value) -> str:
    return _text(value).removeprefix(_text(prefix))


def _without_suffix(suffix: Value, value: Value) -> str:
    return _text(value).removesuffix(_text(suffix))


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "b64dec": _decoded,
    "b64enc": _encoded,
    "default": _or_default,
    "indent": _indented,
    "index": _index,
    "lower": _lower,
    "nindent": _indented_below,
    "quote": _double_quoted,
    "replace": _replaced,
    "sha256sum": _hashed,
    "squote": _single_quoted,
    "toJson": _json,
    "toString": _printed,
    "trim": _trimmed,
    "trimPrefix": _without_prefix,
    "trimSuffix": _without_suffix,
    "upper": _upper,
}
"""`b64enc` is the one that public files use; the others are as plain. All are Go's own or sprig's."""
