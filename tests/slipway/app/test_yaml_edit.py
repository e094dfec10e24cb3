from __future__ import annotations

from typing import Any, cast

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from slipway.app.yaml_edit import YamlEditError, parse_field, read_scalar, replace_scalar

TASKDEF = """# the task that starts the pipeline
family: screening
containerDefinitions:
  - name: pipeline
    image: 'repo/x:v1'   # written by the event watcher
    essential: true
"""
FIELD = "$.containerDefinitions[0].image"


def replaced(text: str, field: str, value: str) -> str:
    return replace_scalar(text.encode(), field, value, "taskdef.yaml").content.decode()


def test_given_a_quoted_scalar_with_a_comment_when_it_is_replaced_then_quotes_and_comment_stay() -> None:
    assert replaced(TASKDEF, FIELD, "repo/x@sha256:0a") == TASKDEF.replace("repo/x:v1", "repo/x@sha256:0a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: x/old\n", "a: x/new\n"),
        ("a: 'x/old'\n", "a: 'x/new'\n"),
        ('a: "x/old"\n', 'a: "x/new"\n'),
        ("a: x/old # why\r\nb: 1\r\n", "a: x/new # why\r\nb: 1\r\n"),
        ("\ufeffa: x/old\n", "\ufeffa: x/new\n"),
        ("{a: x/old, b: [1, 2]}", "{a: x/new, b: [1, 2]}"),
        ('{"a":"x/old"}', '{"a":"x/new"}'),
        ("\n\n--- # head\na: x/old\n...\n", "\n\n--- # head\na: x/new\n...\n"),
        ("a: &here x/old\nb: 2\n", "a: &here x/new\nb: 2\n"),
        ("a: !!str x/old\nb: 2\n", "a: !!str x/new\nb: 2\n"),
        ("a: |- # why\n  x/old\n\nb: 2\n", 'a: "x/new" # why\n\nb: 2\n'),
        ("a: >\n  x/old\n# below\nb: 2\n", 'a: "x/new"\n# below\nb: 2\n'),
        ("a: x/old\n  more\nb: 2\n", "a: x/new\nb: 2\n"),
        ("a: 3\n", "a: x/new\n"),
        ("a: x/old\t# a tab\n", "a: x/new\t# a tab\n"),
        ('{\n\t"a":\t"x/old"\n}\n', '{\n\t"a":\t"x/new"\n}\n'),
        ("? a\n: x/old\n", "? a\n: x/new\n"),
    ],
)
def test_given_a_style_when_its_scalar_is_replaced_then_all_around_it_stays(before: str, after: str) -> None:
    assert replaced(before, "$.a", "x/new") == after


@pytest.mark.parametrize(
    "value", ["1.5", "yes", "0o17", "1e3", "", " x", "a: b", "a #b", "two\nlines", "é😀\u2028\x07", "'\"\\", "a:", "~", "=", "<<"]
)
@pytest.mark.parametrize("text", ["a: x\n", "a: 'x'\n", 'a: "x"\n', "[{a: x}]"])
def test_given_a_value_that_means_more_than_text_when_it_is_written_then_it_is_read_as_that_text(text: str, value: str) -> None:
    field = "$[0].a" if text.startswith("[") else "$.a"
    assert read_scalar(replaced(text, field, value).encode(), field, "f") == value


def test_given_a_value_that_is_there_when_it_is_written_then_the_same_bytes_come_back() -> None:
    edit = replace_scalar(TASKDEF.encode(), FIELD, "repo/x:v1", "f")
    assert not edit.changed
    assert edit.content == TASKDEF.encode()


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (TASKDEF, "$.containerDefinitions[1].image", "there is no item [1] in line 4"),
        (TASKDEF, "$.containerDefinitions[0].Image", "there is no key 'Image' in line 4"),
        (TASKDEF, "$.containerDefinitions", "has a list there"),
        (TASKDEF, "$.containerDefinitions[0]", "has a mapping there"),
        (TASKDEF, "$.family.x", "there is no key 'x'"),
        (TASKDEF, "containerDefinitions[0].image", "does not begin with $"),
        (TASKDEF, "$..image", "find a list, even of one place"),
        (TASKDEF, "$.containerDefinitions[*].image", "find a list, even of one place"),
        (TASKDEF, "$.containerDefinitions[x]", "cannot be read from '[x]' on"),
        ("a: 1\na: 2\n", "$.a", "there 2 times"),
        ("a:\nb: 1\n", "$.a", "no value in line 1"),
        ("", "$.a", "empty"),
        ("a: [1\n", "$.a", "not valid YAML"),
        ("a: &x v\nb: *x\n", "$.a", "alias"),
        ("a: &x v\nb: *x\n", "$.b", "alias"),
        ("base: &x {a: v}\nc: *x\n", "$.base.a", "alias"),
        ("base: &x {a: v}\nc: {<<: *x}\n", "$.base.a", "alias"),
        ("a: !!int 3\n", "$.a", "not leave line 1"),
        ("a: !Ref x\n", "$.a", "not leave line 1"),
    ],
)
def test_given_a_place_that_is_not_one_value_when_it_is_replaced_then_it_is_refused(text: str, field: str, said: str) -> None:
    with pytest.raises(YamlEditError) as refused:
        replaced(text, field, "x/new")
    assert said in str(refused.value)


@pytest.mark.parametrize("behind", ["a: 2\n", "", "b: }{\n", "- 1\n"])
def test_given_several_documents_when_a_scalar_is_replaced_then_it_is_the_firsts(behind: str) -> None:
    assert replaced(f"---\na: 1 # one\n---\n{behind}", "$.a", "x/new") == f"---\na: x/new # one\n---\n{behind}"


def test_given_a_key_with_spaces_when_the_field_is_read_then_they_are_part_of_it() -> None:
    assert parse_field('$.weird key."b"') == ("weird key", '"b"')


def test_given_a_file_that_is_not_utf8_when_it_is_edited_then_it_is_refused() -> None:
    with pytest.raises(YamlEditError, match="UTF-8"):
        replace_scalar(b"a: \xff\n", "$.a", "x", "f")


def test_given_a_quoted_key_when_the_field_is_read_then_its_dots_are_part_of_it() -> None:
    assert parse_field("$.'a.b'[2].c") == ("a.b", 2, "c")


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12)
KEYS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,8}", fullmatch=True)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


def scalar_paths(tree: Any, path: str = "$") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [found for key, inner in cast("dict[str, Any]", tree).items() for found in scalar_paths(inner, f"{path}.'{key}'")]
    if isinstance(tree, list):
        return [found for index, inner in enumerate(cast("list[Any]", tree)) for found in scalar_paths(inner, f"{path}[{index}]")]
    return [(path, tree)]


def written(tree: Any, style: str | None, flow: bool | None, line_end: str, comment: str) -> str:
    text = yaml.dump(tree, Dumper=yaml.SafeDumper, default_style=style, default_flow_style=flow, allow_unicode=True)
    return f"# {comment}{line_end}" + text.replace("\n", line_end)


@given(
    tree=TREES,
    style=st.sampled_from([None, "'", '"', "|", ">"]),
    flow=st.sampled_from([True, False, None]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    comment=st.from_regex(r"[a-z ]{0,8}", fullmatch=True),
    value=TEXT,
    data=st.data(),
)
def test_given_any_yaml_when_any_scalar_is_replaced_then_only_that_scalar_changes(
    tree: Any, style: str | None, flow: bool | None, line_end: str, comment: str, value: str, data: st.DataObject
) -> None:
    text = written(tree, style, flow, line_end, comment)
    paths = scalar_paths(tree)
    assume(paths)
    field, _ = data.draw(st.sampled_from(paths))
    try:
        edit = replace_scalar(text.encode(), field, value, "f")
    except YamlEditError as refused:
        # PyYAML writes a tag where the style hides the type; such a value is refused, and nothing else is.
        assert "without a tag" in str(refused)  # noqa: PT017
        return
    before = dict(scalar_paths(yaml.safe_load(text)))
    after = dict(scalar_paths(yaml.safe_load(edit.content)))
    assert after == before | {field: value if edit.changed else before[field]}
    assert read_scalar(edit.content, field, "f") == value


@given(tree=TREES, flow=st.sampled_from([True, False]), data=st.data())
def test_given_any_yaml_when_a_scalar_is_replaced_then_the_bytes_around_it_are_the_same(
    tree: Any, flow: bool, data: st.DataObject
) -> None:
    text = written(tree, None, flow, "\n", "head")
    paths = scalar_paths(tree)
    assume(paths)
    field, _ = data.draw(st.sampled_from(paths))
    first = replace_scalar(text.encode(), field, "repo/marker-one", "f").content
    second = replace_scalar(first, field, "repo/marker-two", "f").content
    head, tail = first.split(b"repo/marker-one")
    assert second == head + b"repo/marker-two" + tail
    assert text.encode().startswith(head)
    assert text.encode().endswith(tail)


@given(st.binary(max_size=60))
def test_given_any_bytes_when_they_are_edited_then_there_is_an_edit_or_a_refusal(content: bytes) -> None:
    try:
        edit = replace_scalar(content, "$", "x/new", "f")
    except YamlEditError:
        return
    assert edit.after == "x/new"
