"""What comes out was compared with Go's text/template and sprig 3, for these and for thousands of random actions."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.app.go_functions import FUNCTIONS, quoted
from slipway.app.go_template import TemplateError, render

DATA = {"attachment": {"a": "x: 1\ny: <&>\n", "b": "  pad ", "e": "", "two-words": "w"}}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a: {{ .attachment.a }}.", "a: x: 1\ny: <&>\n."),
        ("{{.attachment.a|b64enc}}", "eDogMQp5OiA8Jj4K"),
        ("{{ b64enc .attachment.a }}", "eDogMQp5OiA8Jj4K"),
        ("{{ .attachment.a | b64enc | quote }}", '"eDogMQp5OiA8Jj4K"'),
        ("x  {{- .attachment.b -}}  y", "x  pad y"),
        ("x  {{- 3 }} y", "x3 y"),
        ("{{ -3 }}", "-3"),
        ("{{- /* a comment }} */ -}} z", "z"),
        ('{{ "a\\tb\\"" }}{{ `raw\\n` }}', 'a\tb"raw\\n'),
        ('{{ "}}" }}', "}}"),
        ('{{ index .attachment "two-words" }}', "w"),
        ('[{{ index .attachment "none" }}]', "[]"),
        ("{{ .attachment.a | trim | indent 2 }}", "  x: 1\n  y: <&>"),
        ("k:{{ .attachment.a | trim | nindent 2 }}", "k:\n  x: 1\n  y: <&>"),
        ('{{ .attachment.e | default "d" }}', "d"),
        ("{{ (.attachment.a | trim) | upper }}", "X: 1\nY: <&>"),
        ('{{ replace "x" "yy" .attachment.a | trim }}', "yy: 1\ny: <&>"),
        ("{{ toJson .attachment.a }}", '"x: 1\\ny: \\u003c\\u0026\\u003e\\n"'),
        ('{{ "eA==" | b64dec }}', "x"),
        ('{{ squote "a" "b" }}', "'a' 'b'"),
        ("{{ 3 | toString | b64enc }}", "Mw=="),
        ('{{ sha256sum "" }}', "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ('{{ upper "ß" }}', "ß"),
        ("{{ sha256sum .attachment.a | trunc 8 }}", "dbc91d11"),
        ('{{ "é☃" | trunc -3 }}{{ substr 0 2 "é☃" }}', "☃é"),
        ('{{ trimAll "/" "/a/b/" }}{{ repeat 2 "ab" }}', "a/babab"),
        ('{{ print 1 2 "x" 3 }}|{{ println 1 "x" }}', "1 2x3|1 x\n"),
        ('{{ printf "%s=%d, %q, %v %%" "a" 2 "b" true }}', 'a=2, "b", true %'),
        ('{{ cat "a" 1 }}{{ coalesce "" 0 "b" }}{{ len "é" }}', "a 1b2"),
        ('{{ hasPrefix "x" .attachment.a | ternary "yes" "no" }}', "yes"),
        ("{{ toRawJson .attachment.a }}{{ b32enc .attachment.b }}", '"x: 1\\ny: <&>\\n"EAQHAYLEEA======'),
        ("no template } }} { {", "no template } }} { {"),
    ],
)
def test_given_a_template_when_it_is_rendered_then_it_is_gos_text(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "place", "said"),
    [
        ("a\n  {{ .attachment.none }}", (2, 3), "there is no value for .attachment.none"),
        ("{{ .encryptedSecrets.x }}", (1, 1), "there is no value for .encryptedSecrets.x"),
        ("{{ .attachment.a | toYaml }}", (1, 1), "the function toYaml is not rendered"),
        ('{{ env "AWS_SECRET_ACCESS_KEY" }}', (1, 1), "the function env is not rendered"),
        ('{{ getHostByName "x" }}', (1, 1), "the function getHostByName is not rendered"),
        ("{{ if .attachment.a }}x{{ end }}", (1, 1), "{{ if }} is not rendered"),
        ("{{ range .attachment }}{{ . }}{{ end }}", (1, 1), "{{ range }} is not rendered"),
        ('{{ $x := "a" }}', (1, 1), "is not rendered"),
        ("{{ .attachment }}", (1, 1), "is not one value"),
        ("{{ .attachment.a.b }}", (1, 1), "goes into a text"),
        ("{{ .attachment.a", (1, 1), "no }} behind it"),
        ('{{ printf \\"%s\\" .attachment.a }}', (1, 1), "has a quote that is not closed, or is escaped"),
        ("${{ github.sha }}", (1, 2), "the function github is not rendered"),
        ("{{ 0777 }}", (1, 1), "is not rendered"),
        ('{{ printf "%x" 3 }}', (1, 1), "printf's %x is not rendered"),
        ('{{ printf "%s" 3 }}', (1, 1), "printf does not take these values"),
        ('{{ printf "%s" }}', (1, 1), "printf has fewer values"),
        ('{{ substr 5 9 "a" }}', (1, 1), "a place that the text does not have"),
        ('{{ repeat 999999999 "a" }}', (1, 1), "too large"),
        ('{{ coalesce "" }}', (1, 1), "coalesce finds no value"),
        ("{{ }}", (1, 1), "is empty"),
        ("{{ .attachment.a | }}", (1, 1), "a value is missing"),
        ("{{ .attachment.a .attachment.b }}", (1, 1), "is no function"),
        ("{{ b64enc }}", (1, 1), "does not take these values"),
        ("{{ b64enc 3 }}", (1, 1), "does not take these values"),
        ('{{ "%" | b64dec }}', (1, 1), "not base64"),
        ('{{ indent 999999999 "a" }}', (1, 1), "too large"),
        ("{{ " + "(" * 50 + " }}", (1, 1), "nested too deeply"),
    ],
)
def test_given_more_than_is_rendered_when_it_is_read_then_it_is_refused_by_name_at_its_place(
    template: str, place: tuple[int, int], said: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        render(template, DATA)
    assert (refused.value.line, refused.value.column) == place
    assert said in refused.value.message


BOMBS = ['{{ "" ' * 50_000, "{{/*" * 50_000, "{{ " + '"" ' * 50_000, "{{ /* */ x" * 20_000, "{{" * 100_000]


@pytest.mark.parametrize("bomb", BOMBS)
def test_given_a_hostile_template_when_it_is_rendered_then_it_is_refused_soon(bomb: str) -> None:
    before = time.process_time()
    with pytest.raises(TemplateError):
        render(bomb, DATA)
    assert time.process_time() - before < 2


def test_given_a_source_that_is_named_often_when_it_is_rendered_then_its_size_is_bounded() -> None:
    with pytest.raises(TemplateError, match="too large"):
        render("{{ .attachment.a }}" * 2_000, {"attachment": {"a": "x" * 100_000}})


@given(st.text().filter(lambda text: "{{" not in text))
def test_given_any_text_without_an_action_when_it_is_rendered_then_it_stays(text: str) -> None:
    assert render(text, {}) == text


@given(st.binary(), st.text().filter(lambda text: "{{" not in text and not text.endswith("{")))
def test_given_any_file_when_it_is_attached_by_b64enc_then_its_bytes_come_through(content: bytes, before: str) -> None:
    data = {"attachment": {"file": content.decode(errors="surrogateescape")}}
    rendered = render(f"{before}{{{{ .attachment.file | b64enc }}}}", data)
    assert base64.b64decode(rendered.removeprefix(before)) == content


@given(st.text(alphabet='{}.-"`|() \n/*abx\\', max_size=40))
def test_given_any_template_when_it_is_rendered_then_there_is_a_text_or_a_place(template: str) -> None:
    try:
        outcome = render(template, DATA)
    except TemplateError as error:
        outcome = (error.line, error.column)
    assert isinstance(outcome, str) or min(outcome) >= 1


def test_given_the_functions_when_the_page_is_compared_then_it_lists_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs" / "pipecd.md").read_text()
    assert ", ".join(f"`{name}`" for name in sorted(FUNCTIONS)) in page


QUOTED = [('a"b', '"a\\"b"'), ("\x01\x7f\n", '"\\x01\\x7f\\n"'), ("é\u200b", '"é\\u200b"'), ("\U000e0001", '"\\U000e0001"')]


@pytest.mark.parametrize(("text", "written"), QUOTED)
def test_given_a_text_when_it_is_quoted_then_it_is_gos_q(text: str, written: str) -> None:
    assert quoted(text) == written
