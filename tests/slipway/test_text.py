"""What strangers wrote, on a terminal and in Markdown."""

from __future__ import annotations

import pytest

from slipway.text import code_span, fenced, markdown, one_line, printable

HARMLESS = {
    "colour": ("\x1b[2Jgone", "�[2Jgone"),
    "one byte escape": ("\x9b2Jgone", "�2Jgone"),
    "title and clipboard": ("\x1b]52;c;cm0=\x07", "�]52;c;cm0=�"),
    "backspace": ("no\b\byes", "no��yes"),
    "delete": ("a\x7fb", "a�b"),
    "direction": ("\u202eana\u2066", "�ana�"),
    "half a surrogate pair": ("a\ud800b", "a�b"),
    "carriage return": ("0%\r100%", "0%\n100%"),
    "lines and tabs": ("a\n\tb", "a\n\tb"),
    "letters of any language": ("\u0410\u043d\u0430 王 é 😀", "\u0410\u043d\u0430 王 é 😀"),
}


@pytest.mark.parametrize(("text", "shown"), HARMLESS.values(), ids=HARMLESS)
def test_given_a_text_when_it_goes_to_a_terminal_then_it_cannot_act_there(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_given_lines_when_one_is_wanted_then_there_is_one() -> None:
    assert one_line(" eve\r\n\n# Approved\u2028by\x0bana ") == "eve # Approved by ana"


ESCAPED = {
    "heading": ("eve\n\n# Approved by ana, bo\n", r"eve \# Approved by ana, bo"),
    "HTML": ("<b onclick=x>&amp;", r"\<b onclick=x\>\&amp;"),
    "link": ("[ana](http://evil)", r"\[ana\](http://evil)"),
    "image": ("![](http://evil)", r"\!\[\](http://evil)"),
    "emphasis and code": ("*a* _b_ `c` ~d~", r"\*a\* \_b\_ \`c\` \~d\~"),
    "table": ("a|b", r"a\|b"),
    "an escape of its own": ("\\*", r"\\\*"),
    "list": ("- ana", r"\- ana"),
    "numbered list": ("1. ana", r"1\. ana"),
    "time": ("2026-01-02 bo", "2026-01-02 bo"),
}


@pytest.mark.parametrize(("text", "shown"), ESCAPED.values(), ids=ESCAPED)
def test_given_marks_when_a_text_goes_into_markdown_then_they_show_as_they_are(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_given_backticks_when_a_text_becomes_code_then_they_do_not_end_it() -> None:
    assert code_span("a``b") == "``` a``b ```"
    assert code_span("plain") == "`plain`"


def test_given_a_log_with_a_fence_when_it_is_fenced_then_the_fence_is_longer() -> None:
    assert fenced("```\n# Approved\n\x1b[2J````") == "`````\n```\n# Approved\n�[2J````\n`````"
