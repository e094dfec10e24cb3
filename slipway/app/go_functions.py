"""The functions of Go's templates and of sprig that attachments may use. Each gives what piped's gives, to the byte.

A text that was given bytes that are no UTF-8 holds them as lone surrogates; what counts or cuts does so by bytes, as Go does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

Value = str | int | bool | Mapping[str, Any]
OUTPUT_LIMIT = 1_000_000
"""The most characters of a rendered text, and of a value within."""
_UNICODE_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_QUOTES = {character: f"\\{letter}" for letter, character in ESCAPES.items()}
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_LINES = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})
_KINDS: Mapping[str, type[object]] = {"s": str, "q": str, "d": int, "v": object}
"""What printf's verbs are for."""
_VERB = re.compile(r"%(.?)", re.DOTALL)


class ActionError(Exception):
    """An action that is not rendered; its place is not known yet."""

    def __init__(self, message: str, help_: str = "correct the template") -> None:
        super().__init__(message)
        self.message, self.help = message, help_


def too_large(what: str) -> ActionError:
    """The error of what is over the limit."""
    return ActionError(f"{what} is too large", f"keep it under {OUTPUT_LIMIT:,} characters")


def printed(value: Value) -> str:
    """A value as an action prints it.

    Raises:
        ActionError: It is several.
    """
    if isinstance(value, Mapping):
        raise ActionError("the action is not one value", f"name one of {', '.join(sorted(value)) or 'nothing'}")
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        raise ActionError("b64dec is given a text that is not base64") from error
    return content.decode(errors="surrogateescape")


def _indented(width: Value, value: Value) -> str:
    text = _text(value)
    if not isinstance(width, int) or width < 0:
        raise TypeError
    if width * (text.count("\n") + 1) > OUTPUT_LIMIT:
        raise too_large("what indent makes")
    pad = " " * width
    return pad + text.replace("\n", f"\n{pad}")


def _indented_below(width: Value, value: Value) -> str:
    return f"\n{_indented(width, value)}"


def _replaced(old: Value, new: Value, value: Value) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if (text.count(old) + 1) * len(new) > OUTPUT_LIMIT:
        raise too_large("what replace makes")
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


def _joined(function: str, parts: Iterable[str], between: str = " ") -> str:
    """Some texts as one. It is given up before it is made where it would be too large: an action may name a value many times."""
    kept: list[str] = []
    size = 0
    for part in parts:
        size += len(part)
        if size > OUTPUT_LIMIT:
            raise too_large(f"what {function} makes")
        kept.append(part)
    return between.join(kept)


def _double_quoted(*values: Value) -> str:
    return _joined("quote", (quoted(printed(value)) for value in values))


def _single_quoted(*values: Value) -> str:
    return _joined("squote", (f"'{printed(value)}'" for value in values))


def _trimmed(value: Value) -> str:
    return _text(value).strip(_UNICODE_SPACE)


def _without_prefix(prefix: Value, value: Value) -> str:
    return _text(value).removeprefix(_text(prefix))


def _without_suffix(suffix: Value, value: Value) -> str:
    return _text(value).removesuffix(_text(suffix))


def _printed_together(*values: Value) -> str:
    """Go's `Sprint`: a blank only between two values that are no texts."""
    parts = (
        f" {printed(value)}" if isinstance(before, int) and not isinstance(value, str) else printed(value)
        for before, value in zip((None, *values), values, strict=False)
    )
    return _joined("print", parts, "")


def _printed_line(*values: Value) -> str:
    return _joined("println", map(printed, values)) + "\n"


def _formatted(pattern: Value, *values: Value) -> str:
    """Go's `Sprintf` for `%s`, `%v`, `%d`, `%q` and `%%`, each with a value that it is for."""
    left = list(values)
    size = 0

    def verb(match: re.Match[str]) -> str:
        nonlocal size
        letter = match[1]
        if letter == "%":
            return "%"
        kind: type[object] | None = _KINDS.get(letter)
        if kind is None:
            raise ActionError(f"printf's %{letter} is not rendered", "Slipway renders %s, %v, %d, %q and %%")
        if not left:
            raise ActionError("printf has fewer values than its text names")
        value = left.pop(0)
        if not isinstance(value, kind) or (isinstance(value, bool) and letter == "d"):
            raise TypeError
        text = quoted(_text(value)) if letter == "q" else printed(value)
        size += len(text)
        if size > OUTPUT_LIMIT:
            raise too_large("what printf makes")
        return text

    result = _VERB.sub(verb, _text(pattern))
    if left:
        raise ActionError("printf has more values than its text names")
    return result


def _length(value: Value) -> int:
    if isinstance(value, int):
        raise TypeError
    return len(value) if isinstance(value, Mapping) else len(_bytes(value))


def _number(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _of_bytes(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _truncated(count: Value, value: Value) -> str:
    content, number = _bytes(value), _number(count)
    if number < 0:
        return _of_bytes(content[number:] if len(content) + number > 0 else content)
    return _of_bytes(content[:number])


def _part(start: Value, end: Value, value: Value) -> str:
    content, first, last = _bytes(value), _number(start), _number(end)
    if first < 0:
        first = 0
    elif last < 0 or last > len(content):
        last = len(content)
    if not first <= last <= len(content):
        raise ActionError("substr is given a place that the text does not have")
    return _of_bytes(content[first:last])


def _repeated(count: Value, value: Value) -> str:
    text, number = _text(value), _number(count)
    if number < 0:
        raise TypeError
    if number * len(text) > OUTPUT_LIMIT:
        raise too_large("what repeat makes")
    return text * number


def _trimmed_of(characters: Value, value: Value) -> str:
    return _text(value).strip(_text(characters))


def _together(*values: Value) -> str:
    return _joined("cat", map(printed, values))


def _first_of(*values: Value) -> Value:
    found = next((value for value in values if value), None)
    if found is None:
        raise ActionError("coalesce finds no value", "give it one that is not empty")
    return found


def _either(yes: Value, no: Value, condition: Value) -> Value:
    if not isinstance(condition, bool):
        raise TypeError
    return yes if condition else no


def _contains(part: Value, value: Value) -> bool:
    return _text(part) in _text(value)


def _starts(prefix: Value, value: Value) -> bool:
    return _text(value).startswith(_text(prefix))


def _ends(suffix: Value, value: Value) -> bool:
    return _text(value).endswith(_text(suffix))


def _hashed_shortly(value: Value) -> str:
    return hashlib.sha1(_bytes(value), usedforsecurity=False).hexdigest()


def _encoded_32(value: Value) -> str:
    return base64.b32encode(_bytes(value)).decode()


def _raw_json(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).translate(_LINES)


def _pretty_json(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True).translate(_HTML)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "b32enc": _encoded_32,
    "b64dec": _decoded,
    "b64enc": _encoded,
    "cat": _together,
    "coalesce": _first_of,
    "contains": _contains,
    "default": _or_default,
    "hasPrefix": _starts,
    "hasSuffix": _ends,
    "indent": _indented,
    "index": _index,
    "len": _length,
    "lower": _lower,
    "nindent": _indented_below,
    "print": _printed_together,
    "printf": _formatted,
    "println": _printed_line,
    "quote": _double_quoted,
    "repeat": _repeated,
    "replace": _replaced,
    "sha1sum": _hashed_shortly,
    "sha256sum": _hashed,
    "squote": _single_quoted,
    "substr": _part,
    "ternary": _either,
    "toJson": _json,
    "toPrettyJson": _pretty_json,
    "toRawJson": _raw_json,
    "toString": printed,
    "trim": _trimmed,
    "trimAll": _trimmed_of,
    "trimPrefix": _without_prefix,
    "trimSuffix": _without_suffix,
    "trunc": _truncated,
    "upper": _upper,
}
"""`b64enc` is the one that public files use; the others are as plain. All are Go's own or sprig's."""
