"""Renders the part of Go's templates that PipeCD's attachments use: values, texts, pipes and the functions of `FUNCTIONS`.

Control structures, variables and all other functions are refused by name. A text that is rendered here comes out as piped
renders it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from slipway.app.go_functions import ESCAPES, FUNCTIONS, OUTPUT_LIMIT, ActionError, Value, printed, too_large

Data = Mapping[str, Mapping[str, str]]
DEPTH_LIMIT = 20
_KEYWORDS = frozenset(["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil"])
_SPACE = " \t\r\n"
_QUOTED = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
_ACTION = re.compile(
    r"\{\{(?P<left>-[ \t\r\n])?"
    r"(?:/\*(?:(?!\*/).)*\*/|(?P<body>(?:" + _QUOTED + r"|(?!\}\})[^\"`])*?))"
    r"(?P<right>[ \t\r\n]-)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>" + _QUOTED + r")|(?P<number>[-+]?(?:0|[1-9][0-9]{0,8})(?![0-9A-Za-z_.]))|(?P<field>(?:\.[A-Za-z_]\w*)+)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>[|)]|(?<![\w)\"`])\())",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)


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
            raise _placed(text, action.start, too_large("the rendered file"))
    rest = text[at:]
    return "".join([*parts, rest.lstrip(_SPACE) if trims else rest])


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
            raise _placed(text, start, _unread(text, start))
        yield _Action(start, found.end(), found["body"], bool(found["left"]), bool(found["right"]))
        at = found.end()


def _unread(text: str, start: int) -> ActionError:
    line = text[start:].partition("\n")[0]
    if "}}" in line:
        said = f"{line.partition('}}')[0][:60]!r} has a quote that is not closed, or is escaped"
        return ActionError(said, "the template is rendered before YAML is read: write it in single quotes, as '{{ … }}'")
    return ActionError("the action has no }} behind it", "close it with }}")


def _value_of(text: str, action: _Action, data: Data) -> str:
    if action.body is None:
        return ""
    try:
        return printed(_Evaluation(action.body, data).value())
    except ActionError as error:
        raise _placed(text, action.start, error) from error


def _placed(text: str, at: int, error: ActionError) -> TemplateError:
    return TemplateError(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), error.message, error.help)


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
            raise ActionError("the action is empty", "name a value, as {{ .attachment.settings }}")
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
            _require_function(token)
            return _call(token, [*self._operands(), *piped])
        self._at -= 1
        operands = self._operands()
        if not operands:
            raise _unexpected(token)
        if len(operands) > 1 or piped:
            raise ActionError(f"{token} is no function and takes no value", "put a function behind the pipe, as | b64enc")
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
            raise ActionError("the parentheses are nested too deeply", f"keep it under {DEPTH_LIMIT} levels")
        value = self._pipeline()
        if not self._takes(")"):
            raise ActionError("a ) is missing")
        self._depth -= 1
        return value

    def _field(self, field: str) -> Value:
        value: Any = self._data
        for name in field.split(".")[1:]:
            if not isinstance(value, Mapping):
                raise ActionError(f"{field} goes into a text", "name the value only, as .attachment.settings")
            inner = cast("Mapping[str, Any]", value)
            if name not in inner:
                raise ActionError(f"there is no value for {field}", f"known here: {', '.join(sorted(inner)) or 'nothing'}")
            value = inner[name]
        return value

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise ActionError("a value is missing")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, mark: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += taken
        return taken


def _unexpected(token: str) -> ActionError:
    return ActionError(f"{token} is not expected here")


def _tokens(body: str) -> Iterator[tuple[str, str]]:
    at, body = 0, body.rstrip()
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None or found.lastgroup is None:
            rest = body[at : at + 60].strip()
            raise ActionError(f"{rest!r} is not rendered", "Slipway renders values, texts, whole numbers, pipes and functions")
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
    if escape not in ESCAPES:
        raise ActionError(f"the escape \\{escape} is not rendered", "write the character itself")
    return ESCAPES[escape]


def _require_function(name: str) -> None:
    if name in _KEYWORDS:
        raise ActionError(f"{{{{ {name} }}}} is not rendered", "Slipway renders values, pipes and functions; write the text out")
    if name not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise ActionError(f"the function {name} is not rendered", f"Slipway renders {known}; use one of these, or write it out")


def _call(name: str, arguments: list[Value]) -> Value:
    _require_function(name)
    try:
        result = FUNCTIONS[name](*arguments)
    except TypeError as error:
        raise ActionError(f"{name} does not take these values", "see sprig's documentation") from error
    if isinstance(result, str) and len(result) > OUTPUT_LIMIT:
        raise too_large(f"what {name} makes")
    return result
