"""The rules of CloudWatch's composite alarms, such as `ALARM("errors") AND NOT ALARM("maintenance")`."""

from __future__ import annotations

import re
from collections.abc import Callable

TOKEN = re.compile(
    r"""\s*(?:
        (?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s()"']+))\s*\)
        |(?P<word>AND|OR|NOT|TRUE|FALSE)\b
        |(?P<bracket>[()])
    )""",
    re.VERBOSE,
)
ARN = re.compile(r"arn:[^:]+:cloudwatch:[^:]*:[^:]*:alarm:(?P<name>.+)")
Token = tuple[str, str]
"""A state and an alarm's name; or a word or bracket, and nothing."""


class UnknownRuleError(ValueError):
    """A rule that is none."""


def holds(rule: str, state_of: Callable[[str], str | None]) -> bool:
    """Whether a rule is true.

    Args:
        rule: Its text.
        state_of: An alarm's state by its name; None where there is no such alarm, which is in no state.

    Raises:
        UnknownRuleError: It is none.
    """
    reader = _Reader(_tokens(rule), state_of)
    result = reader.either()
    if reader.left:
        raise UnknownRuleError(rule)
    return result


def _tokens(rule: str) -> list[Token]:
    found: list[Token] = []
    place = 0
    text = rule.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise UnknownRuleError(rule)
        name = next((match[kind] for kind in ("quoted", "single", "bare") if match[kind] is not None), "")
        arn = ARN.fullmatch(name)
        found.append((match["state"] or match["word"] or match["bracket"], arn["name"] if arn else name))
        place = match.end()
    return found


class _Reader:
    """Reads a rule from its first token on: OR binds weaker than AND, and AND weaker than NOT."""

    def __init__(self, tokens: list[Token], state_of: Callable[[str], str | None]) -> None:
        self.left = tokens
        self._state_of = state_of

    def either(self) -> bool:
        """What OR joins."""
        result = self._both()
        while self._take("OR"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._take("AND"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._take("NOT"):
            return not self._one()
        if self._take("("):
            result = self.either()
            if not self._take(")"):
                raise UnknownRuleError("a bracket is not closed")
            return result
        if not self.left:
            raise UnknownRuleError("the rule ends early")
        word, name = self.left.pop(0)
        if word in ("TRUE", "FALSE"):
            return word == "TRUE"
        if not name:
            raise UnknownRuleError(word)
        return self._state_of(name) == word

    def _take(self, word: str) -> bool:
        if self.left and self.left[0] == (word, ""):
            del self.left[0]
            return True
        return False
