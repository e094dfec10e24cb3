"""Files whose author means harm: bounded time and memory, and an error that says what is allowed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection

import pytest

from slipway.app.go_template import TemplateError, render
from slipway.app.lint import read_app_from
from slipway.app.pipecd import parse_app
from slipway.app.problems import FileError
from slipway.app.replacements import replace_matches
from slipway.app.spec_reader import parse_spec
from slipway.app.yaml_source import SIZE_LIMIT, TASKDEF_LIMIT, load_document
from slipway.errors import RefusedError
from tests.slipway.app.test_lint import APP, FILES
from tests.slipway.app.test_pipecd import APP as APP_OF_PIPECD
from tests.support.memory import own_memory, peak_of


def merge_bomb(levels: int) -> str:
    """Each level merges the one below ten times: 466 bytes for eight levels, and 10^8 pairs."""
    text = "{k: 1}"
    for level in range(levels):
        text = f"{{<<: [&a{level} {text}, {', '.join([f'*a{level}'] * 9)}]}}"
    return f"x: {text}\n"


def alias_bomb(levels: int) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * 10)}]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "merge keys": (merge_bomb(8), "merge keys are followed; keep it under 50,000 values"),
    "many merge keys": (merge_bomb(30), "merge keys are followed; keep it under 50,000 values"),
    "aliases": (alias_bomb(9), "merge keys are followed; keep it under 50,000 values"),
    "a merge of itself": ("x: &a {<<: *a}", "contains itself by an alias"),
    "a list": (f"x: [{'1,' * 200_000}]", "too many values; keep it under 50,000 values"),
    "a block list": ("- 1\n" * 120_000, "too many values; keep it under 50,000 values"),
    "brackets": ("[" * 500_000, "nested too deeply; keep it under 100 levels"),
    "braces": ("{a: " * 120_000, "nested too deeply; keep it under 100 levels"),
    "dashes": ("- " * 200_000, "nested too deeply; keep it under 100 levels"),
    "a key": (f"? {'k' * 5_000}\n: 1", "a key of 5,000 characters; write at most 1,000"),
    "bytes": ("#" * (TASKDEF_LIMIT + 1), "the file has 512,001 bytes; keep it under 512,000 bytes"),
    "a lone surrogate": ('x: "\\ud800"', "invalid Unicode character escape code"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_given_a_bomb_when_the_file_is_read_then_it_is_refused_soon_with_what_is_allowed(name: str) -> None:
    text, allowed = BOMBS[name]
    before = time.process_time()
    with pytest.raises(FileError) as refused:
        load_document(text, "taskdef.yaml", TASKDEF_LIMIT)
    assert allowed in str(refused.value)
    assert time.process_time() - before < 2


def test_given_all_bombs_when_they_are_read_then_the_memory_stays_small() -> None:
    program = f"""
import json, sys
from slipway.app.problems import FileError
from slipway.app.yaml_source import load_document
from tests.support.memory import own_memory, peak_of
for text in json.load(sys.stdin):
    try:
        load_document(text, "f", {TASKDEF_LIMIT})
    except FileError:
        pass
"""
    assert peak_of(program, json.dumps([text for text, _ in BOMBS.values()])) < 200_000  # kB


def test_given_a_file_of_people_when_it_is_over_its_limit_then_the_limit_is_told() -> None:
    with pytest.raises(FileError, match="keep it under 64,000 bytes"):
        load_document("#" * (SIZE_LIMIT + 1), "promotion.yaml")


def test_given_a_time_of_day_when_it_is_read_then_it_stays_the_text_that_it_is() -> None:
    assert load_document(f"[12:30, 23:59:59, 1{':00' * 10_000}]", "f").data == ["12:30", "23:59:59", "1" + ":00" * 10_000]


@pytest.mark.parametrize("written", ["9" * 400_000, "0x" + "f" * 5_000, "1." + "0" * 400_000, "-" + "7" * 400_000])
def test_given_a_number_of_many_digits_when_it_is_read_then_it_stays_the_text_that_it_is(written: str) -> None:
    before = time.process_time()
    assert load_document(f"x: {written}", "f", TASKDEF_LIMIT).data == {"x": written}
    assert time.process_time() - before < 2


@pytest.mark.parametrize("regex", ["(([a-z0-9/.-]+)+):latest$", "((?:a|aa)+)\\$", "(x+x+)+y"])
def test_given_an_expression_that_backtracks_when_it_is_applied_then_it_ends_at_once(regex: str) -> None:
    before = time.process_time()
    with pytest.raises(RefusedError, match="nothing in the file matches"):
        replace_matches(b"# " + b"a" * 100_000 + b"x" * 100_000, regex, "v9", "f")
    assert time.process_time() - before < 2


def test_given_a_file_with_a_mistake_in_every_word_when_it_is_read_then_all_are_told_soon() -> None:
    targets = ",".join(["{}"] * 20_000)
    text = f"apiVersion: slipway.dev/v1\nkind: ModelPromotion\nspec: {{rollout: {{waves: [{{targets: [{targets}]}}]}}}}"
    before = time.process_time()
    with pytest.raises(FileError) as refused:
        parse_spec(text)
    assert len(refused.value.problems) > 20_000
    assert time.process_time() - before < 10


@pytest.mark.parametrize("message", ["{{" + " " * 50_000, "}}" + "{{" * 25_000, "{{ .Value }}" + "{{ " * 15_000])
def test_given_a_message_whose_template_does_not_end_when_the_file_is_read_then_it_is_read_at_once(message: str) -> None:
    before = time.process_time()
    [handler] = parse_app(APP_OF_PIPECD.replace("Set {{ .Value }} by {{.EventName}}", message)).handlers
    assert handler.message("v9") == message.replace("{{ .Value }}", "v9")
    assert time.process_time() - before < 2


@pytest.mark.parametrize("call", ["print", "println", "cat", "quote", "squote", f'printf "{"%s" * 40}"'])
def test_given_an_action_that_names_a_large_value_many_times_when_it_is_rendered_then_the_memory_stays_small(call: str) -> None:
    action = f"{{{{ {call} {' .attachment.x' * 40} }}}}"
    data = {"attachment": {"x": "a" * 1_000_000}}
    with own_memory() as peak:
        with pytest.raises(TemplateError, match="too large"):
            render(action, data)
        assert peak() < 10_000_000


@pytest.mark.parametrize(
    ("regex", "said"),
    [
        ("(a)" * 400, "has 1,200 characters; at most 1,000 are read"),
        ("(\\pL{1,300})", "repeats too much"),
        ("(a(?=b))", "is not a regular expression: invalid perl operator"),
        ("a", "has no group"),
        ("(\\C)", "matches single bytes"),
        ("(a)", "matches more than 100 places"),
    ],
)
def test_given_an_expression_that_cannot_be_used_when_it_is_applied_then_it_is_told_why(regex: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        replace_matches(b"a" * 1_000, regex, "v9", "f")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "regex",
    [
        "image: ([[:alnum:]./-]+train[[:graph:]]+)",
        "image: (?<image>[^ ]+/train[^ \\n]+)",
        "image: (?P<image>\\pL\\S+)",
        "(?U)image: (\\Qr/train:v1\\E)",
        "image: (\\S+)\\n\\z",
    ],
)
def test_given_an_expression_in_gos_dialect_when_it_is_applied_then_it_replaces_as_pipecd_does(regex: str) -> None:
    assert replace_matches("# é\nimage: r/train:v1\n".encode(), regex, "v9", "f").content == "# é\nimage: v9\n".encode()


HOSTILE = {
    "a long list": FILES | {"app.pipecd.yaml": APP + f"x: [{'1,' * 30_000}]\n"},
    "a large task definition": FILES | {"taskdef.yaml": FILES["taskdef.yaml"] + "x:\n" + "  - aaaaaaaa\n" * 38_000},
    "merge keys": FILES | {"promotion.yaml": merge_bomb(12)},
    "an expression": FILES
    | {
        "app.pipecd.yaml": APP.replace('yamlField: "$.containerDefinitions[0].image"', "regex: '((?:a|aa)+)\\$'"),
        "taskdef.yaml": FILES["taskdef.yaml"] + "#" + "a" * 400_000 + "\n",
    },
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_given_a_hostile_file_when_it_is_read_then_the_event_loop_goes_on(name: str) -> None:
    """Heartbeats of all other promotions, and the worker's own end, hang on that loop."""
    reading = asyncio.create_task(read_app_from(_files(HOSTILE[name])))
    longest, last = 0.0, time.monotonic()
    while not reading.done():
        await asyncio.sleep(0.01)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await reading
    assert longest < 5  # a heartbeat may be 10 s late


async def test_given_a_hostile_file_that_is_being_read_when_the_process_is_told_to_end_then_it_ends() -> None:
    program = """
import asyncio, json, signal, sys
from slipway.app.go_template import TemplateError, render
from slipway.app.lint import read_app_from
from slipway.app.pipecd import parse_app

async def main():
    files = json.load(sys.stdin)

    async def read(paths):
        return {path: files[path].encode() if path in files else None for path in paths}

    async def read_for_ever():
        while True:
            print("reading", flush=True)
            await read_app_from(read)

    task = asyncio.create_task(read_for_ever())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("ended", flush=True)

asyncio.run(main())
"""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(HOSTILE["a large task definition"]).encode())
    process.stdin.write_eof()
    assert await process.stdout.readline() == b"reading\n"
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        said, _ = await process.communicate()
    assert (process.returncode, said.splitlines()[-1]) == (0, b"ended")


def _files(files: dict[str, str]) -> Callable[[Collection[str]], Awaitable[dict[str, bytes | None]]]:
    async def read(paths: Collection[str]) -> dict[str, bytes | None]:
        return {path: files[path].encode() if path in files else None for path in paths}

    return read
