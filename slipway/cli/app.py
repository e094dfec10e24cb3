"""The list of commands. Each module is imported only when its command runs: most of them need Temporal's SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError

from slipway import __version__
from slipway.cli.exits import EXPLAINED, Exit, exit_code, explain
from slipway.cli.out import complain


class Listed(NamedTuple):
    """A command as the list has it."""

    name: str
    function: str
    summary: str
    examples: tuple[str, ...]


IMAGE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci"
ID = "screening-0123456789ab"
COMMANDS = (
    Listed(
        "setup",
        "setup:setup",
        "Make the Temporal namespace and the search attributes that Slipway needs; safe to repeat. The namespace is "
        "TEMPORAL_NAMESPACE, or `default`; the server is TEMPORAL_ADDRESS, or localhost:7233.",
        ("slipway setup", "TEMPORAL_NAMESPACE=ml slipway setup --retention 90d"),
    ),
    Listed(
        "start",
        "start:start",
        "Start the promotion of one image. Same app, same digest, one promotion: a CI job that runs twice follows the first.",
        (
            f"slipway start --repository https://github.com/acme/apps.git --folder screening --image {IMAGE}:v7",
            f"slipway start --repository git@github.com:acme/apps.git --image {IMAGE}@sha256:… --commit $GITHUB_SHA --wait",
        ),
    ),
    Listed(
        "list",
        "listing:list_promotions",
        "List promotions, the newest first.",
        ("slipway list", "slipway list --state parked --json", "slipway list --app screening --limit 5"),
    ),
    Listed(
        "status",
        "status:status",
        "Show one promotion: its stages, what it waits for, and how it ended.",
        (f"slipway status {ID}", f"slipway status {ID} --json"),
    ),
    Listed(
        "watch",
        "watch:watch",
        "Follow one promotion to its end, with the live progress of tasks, pipeline steps and traffic.",
        (f"slipway watch {ID}", f"slipway watch {ID} --timeout 10m"),
    ),
    Listed(
        "approve",
        "decide:approve",
        "Approve the model of a promotion that waits for approval.",
        (f"slipway approve {ID}", f'slipway approve {ID} --by ana --evidence 3f1c9a2b7d604e58 --reason "recall is up"'),
    ),
    Listed(
        "reject",
        "decide:reject",
        "Reject the model of a promotion that waits for approval; what the promotion did is undone.",
        (f'slipway reject {ID} --by ana --reason "too slow"',),
    ),
    Listed(
        "retry",
        "operate:retry",
        "Try a parked stage again, once its cause is mended.",
        (f'slipway retry {ID} --by ana --reason "the quota is raised"',),
    ),
    Listed(
        "abort",
        "operate:abort",
        "End a promotion at any time; what it did is undone, the last first.",
        (f'slipway abort {ID} --by ana --reason "wrong branch"',),
    ),
    Listed(
        "lint",
        "lint:lint",
        "Check an application's files as a promotion would. Needs neither Temporal nor AWS.",
        ("slipway lint apps/screening", "slipway lint . --json"),
    ),
)


def make_app() -> App:
    """The command line."""
    app = App(
        name="slipway",
        help="Takes a training-pipeline image from CI to a model that serves on a SageMaker endpoint.",
        help_epilogue=EXPLAINED,
        help_format="plaintext",
        version=__version__,
        result_action="return_value",
    )
    completion = "Install completion of commands and options for your shell."
    app.register_install_completion_command(help=completion)  # pyright: ignore[reportUnknownMemberType] -- its last argument is untyped
    for each in COMMANDS:
        examples = "\n\n".join(f"$ {line}" for line in each.examples)
        epilogue = f"Examples:\n\n{examples}\n\n{EXPLAINED}"
        app.command(f"slipway.cli.{each.function}", name=each.name, help=each.summary, help_epilogue=epilogue)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What follows `slipway` on the command line.

    Returns:
        The exit code.
    """
    app = make_app()
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        return 130
    except (CycloptsError, Exception) as error:  # noqa: BLE001 -- whatever it is, a person is told what to do
        complain(explain(error), as_json="--json" in arguments)
        return exit_code(error)
    return int(result) if isinstance(result, int) else Exit.ok
