"""Wrong usage, help, set-up, and what is checked without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.cli.app import COMMANDS, EXAMPLES
from slipway.temporal.connect import in_plain_words
from tests.support.shell import Shell
from tests.support.world import World

REGISTRY = "111111111111.dkr.ecr.us-east-1.amazonaws.com"
BAD = {
    "no such command": (["promote"], "promote"),
    "no image with its registry": (
        ["start", "--repository", "file:///a", "--image", "nginx:latest"],
        "is not an image with its registry",
    ),
    "a short digest": (["start", "--repository", "file:///a", "--image", f"{REGISTRY}/x@sha256:short"], "x@sha256:short"),
    "a password": (["start", "--repository", "https://a:b@host/x", "--image", "nginx"], "repository"),
    "no duration": (["watch", "x", "--timeout", "soon"], "soon"),
    "no folder": (["lint", "no-such-folder"], "does not exist"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
async def test_given_wrong_usage_then_it_is_refused_with_one_block(shell: Shell, arguments: list[str], said: str) -> None:
    done = await shell.slipway(*arguments)
    assert done.code == 2, done
    assert [line.split(":")[0] for line in done.err.splitlines() if not line.startswith(" ")] == ["tried", "answered", "do"]
    assert said in done.err


async def test_given_no_server_then_the_error_says_so_in_plain_words_and_how_to_start_one(shell: Shell) -> None:
    done = await shell.process("list", "--json", TEMPORAL_ADDRESS="127.0.0.1:1")
    assert done.code == 1
    assert done.error["answered"] == "nothing answers there"
    assert "docker compose up" in done.error["remedy"]


async def test_given_empty_variables_then_they_are_settings_that_are_not_made(shell: Shell) -> None:
    empty = dict.fromkeys(("SLIPWAY_SIGN", "SLIPWAY_SIGNING_KEY", "SLIPWAY_TASK_QUEUE", "SLIPWAY_UI_URL"), "")
    done = await shell.process("approve", "x", "--by", "ana", TEMPORAL_ADDRESS="127.0.0.1:1", **empty)
    assert "answered: nothing answers there" in done.err


def test_given_a_message_of_the_library_that_nobody_knows_then_its_first_line_is_passed_on() -> None:
    assert in_plain_words("a new fault\nwith details") == "a new fault"
    assert in_plain_words("") == "no answer"


@pytest.mark.parametrize("command", ["", *(listed.name for listed in COMMANDS)])
async def test_given_any_command_then_its_help_has_examples_and_exit_codes(shell: Shell, command: str) -> None:
    done = await shell.slipway(*filter(None, [command]), "--help")
    assert done.code == 0
    assert "Exit codes:" in done.out
    assert f"$ slipway {command}" in done.out if command else "TEMPORAL_PROFILE" in done.out


def test_given_the_examples_in_help_then_a_terminal_of_80_columns_breaks_none() -> None:
    shown = [line for listed in COMMANDS for example in listed.examples for line in f"$ {example}".splitlines()]
    assert not [line for line in [*shown, *EXAMPLES.splitlines()] if len(line) > 80]


async def test_given_the_help_of_a_decision_then_it_says_what_happens_where_nobody_can_be_asked(shell: Shell) -> None:
    said = " ".join((await shell.slipway("approve", "--help")).out.replace("│", " ").split())
    assert "--yes" in said
    assert "the command is refused" in said


async def test_given_a_setup_when_it_is_repeated_then_it_changes_nothing(shell: Shell, world: World) -> None:
    done = await shell.slipway("setup", "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["attributes_made"] == []
    assert done.lines[0]["namespace_made"] is False


async def test_given_a_namespace_that_does_not_exist_when_it_is_set_up_then_it_can_be_used(shell: Shell, world: World) -> None:
    before = await shell.slipway("list", TEMPORAL_NAMESPACE="fresh")
    assert (before.code, "run `slipway setup`" in before.err) == (1, True)
    done = await shell.slipway("setup", "--json", TEMPORAL_NAMESPACE="fresh")
    assert done.code == 0, done.err
    assert (done.lines[0]["namespace_made"], len(done.lines[0]["attributes_made"])) == (True, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An application's folder with a spec that has one key too many, and nothing else."""
    app = tmp_path / "apps" / "screening"
    app.mkdir(parents=True)
    (app / "promotion.yaml").write_text("apiVersion: slipway.dev/v1\nkind: ModelPromotion\nmetadata: {name: x, nam: y}\n")
    return app


async def test_given_problems_when_they_are_linted_then_paths_are_as_they_were_given(shell: Shell, folder: Path) -> None:
    done = await shell.slipway("lint", str(folder))
    assert done.code == 2
    assert f"{folder}/promotion.yaml:3:" in done.out
    assert f"{folder}/app.pipecd.yaml: error: is not there" in done.out


@pytest.mark.parametrize("linked", ["promotion.yaml", "smoke"])
async def test_given_a_symbolic_link_when_an_app_is_linted_then_it_is_refused_as_the_worker_refuses_it(
    shell: Shell, folder: Path, linked: str
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "promotion.yaml").write_text(linting_spec("smoke/promotion.yaml"))
    (folder / "promotion.yaml").write_text(linting_spec("smoke/promotion.yaml"))
    if linked == "promotion.yaml":
        (folder / linked).unlink()
        (folder / linked).symlink_to(outside / linked)
    else:
        (folder / linked).symlink_to(outside)
    done = await shell.slipway("lint", str(folder))
    assert done.code != 0
    assert "it is a symbolic link, or in a folder that is one" in done.err


async def test_given_a_file_whose_name_is_too_long_when_an_app_is_linted_then_it_is_refused_with_the_reason(
    shell: Shell, folder: Path
) -> None:
    (folder / "promotion.yaml").write_text(linting_spec("x" * 300))
    done = await shell.slipway("lint", str(folder))
    assert done.code == 2
    assert "answered: File name too long" in done.err


def linting_spec(payload: str) -> str:
    image = "222222222222.dkr.ecr.us-east-1.amazonaws.com/screening"
    return f"""apiVersion: slipway.dev/v1
kind: ModelPromotion
metadata: {{name: screening}}
spec:
  image: {{source: {image}, target: {image}}}
  git: {{event: image-update}}
  pipeline: {{name: screening}}
  model: {{packageGroup: screening}}
  approval: {{approvers: [ana, bo]}}
  rollout:
    variant: {{instanceType: ml.m5.large}}
    smoke: {{payload: {payload}}}
    waves: [{{targets: [{{endpoint: screening}}]}}]
"""


async def test_given_the_programs_option_behind_a_command_then_it_is_refused_and_nothing_looks_done(shell: Shell) -> None:
    done = await shell.slipway("rollback", "screening", "--version", "7", "--reason", "recall fell")
    assert done.code == 2
    assert "Unknown option: --version" in done.err


async def test_given_github_when_problems_are_linted_then_each_is_an_annotation(shell: Shell, folder: Path) -> None:
    done = await shell.slipway("lint", str(folder), "--format", "github")
    assert done.code == 2
    [unknown] = [line for line in done.out.splitlines() if "unknown key 'nam'" in line]
    assert unknown.startswith(f"::error file={folder}/promotion.yaml,line=3,col=")
    assert "::metadata.nam: " in unknown


async def test_given_a_key_that_sets_a_terminal_when_problems_are_annotated_then_it_is_shown_harmless(
    shell: Shell, folder: Path
) -> None:
    (folder / "promotion.yaml").write_text('"\\e[2J": 1\n')
    done = await shell.slipway("lint", str(folder), "--format", "github")
    assert "\x1b" not in done.out
    assert "�[2J: unknown key" in done.out


async def test_given_the_schema_when_it_is_printed_then_it_is_that_of_the_repository(shell: Shell) -> None:
    done = await shell.slipway("schema")
    assert json.loads(done.out) == json.loads((Path(__file__).parents[2] / "promotion.schema.json").read_text())
