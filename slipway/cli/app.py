"""The list of commands. Each module is imported only when its command runs: most of them need Temporal's SDK."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, Parameter

from slipway import __version__
from slipway.cli.exits import EXPLAINED, Exit
from slipway.cli.explain import explain
from slipway.cli.out import print_error


class CommandEntry(NamedTuple):
    """A command as the list has it."""

    name: str
    function: str
    summary: str
    examples: tuple[str, ...]
    """Each fits a terminal of 80 columns: a longer one goes on in a line of its own."""


IMAGE = "111111111111.dkr.ecr.us-east-1.amazonaws.com/screening-ci"
ID = "screening-0123456789ab"
COMMANDS = (
    CommandEntry(
        "setup",
        "setup:setup",
        "Make the Temporal namespace and the search attributes that Slipway needs. Safe to repeat.",
        ("slipway setup", "slipway setup --retention 90d"),
    ),
    CommandEntry(
        "plan",
        "plan:plan",
        "Show what a promotion of an image would do, stage by stage, and what would stop it, also from a pull request. "
        "Needs a worker; changes nothing.",
        (
            f"slipway plan --repository git@github.com:acme/apps.git --folder screening \\\n    --image {IMAGE}:v7",
            (
                "slipway plan --repository https://github.com/acme/apps.git \\\n"
                f"    --ref refs/pull/12/merge --markdown \\\n    --image {IMAGE}@sha256:…"
            ),
        ),
    ),
    CommandEntry(
        "start",
        "start:start",
        "Start the promotion of one image. Same app, same digest, one promotion: a CI job that runs twice follows the first.",
        (
            f"slipway start --repository git@github.com:acme/apps.git --folder screening \\\n    --image {IMAGE}:v7",
            (
                "slipway start --repository https://github.com/acme/apps.git \\\n"
                f"    --commit $GITHUB_SHA --wait \\\n    --image {IMAGE}@sha256:…"
            ),
            f"slipway start --repository git@github.com:acme/apps.git --again \\\n    --image {IMAGE}:v7",
        ),
    ),
    CommandEntry(
        "look",
        "look:look",
        "Look at a deployment branch now for images that PipeCD's event watcher wrote, and show what was started for them.",
        (
            "slipway look --repository git@github.com:acme/apps.git",
            "slipway look --repository git@github.com:acme/apps.git \\\n    --branch production --json",
        ),
    ),
    CommandEntry(
        "list",
        "list:list_promotions",
        "List promotions, the newest first.",
        ("slipway list", "slipway list --state parked --json", "slipway list --app screening --wide --limit 5"),
    ),
    CommandEntry(
        "status",
        "status:status",
        "Show one promotion: its stages, what it waits for, and how it ended.",
        (f"slipway status {ID}", f"slipway status {ID} --json"),
    ),
    CommandEntry(
        "watch",
        "watch:watch",
        "Follow one promotion to its end, with the live progress of tasks, pipeline steps and traffic.",
        (f"slipway watch {ID}", f"slipway watch {ID} --timeout 10m"),
    ),
    CommandEntry(
        "evidence",
        "evidence:evidence",
        "Show what a promotion's approvers decide on, also after its end: gates, champions, rollback. Needs a worker. "
        "The hash is computed again from what is shown.",
        (f"slipway evidence {ID}", f"slipway evidence {ID} --json > evidence.json"),
    ),
    CommandEntry(
        "approve",
        "approve:approve",
        "Approve the model of a promotion that waits for approval. Needs the evidence's hash, a yes on the terminal, or --yes.",
        (
            f"slipway approve {ID}",
            f'slipway approve {ID} --by ana --evidence 3f1c9a2b7d604e58 \\\n    --reason "recall is up"',
            f"slipway approve {ID} --by ana --sign --key ~/.ssh/id_ed25519",
        ),
    ),
    CommandEntry(
        "reject",
        "reject:reject",
        "Reject the model of a promotion that waits for approval; what the promotion did is undone. Asks as approve does.",
        (f'slipway reject {ID} --by ana --reason "too slow"', f"slipway reject {ID} --by ana --evidence 3f1c9a2b7d604e58"),
    ),
    CommandEntry(
        "retry",
        "retry:retry",
        "Try a parked stage again, once its cause is fixed.",
        (f'slipway retry {ID} --by ana --reason "the quota was raised"',),
    ),
    CommandEntry(
        "abort",
        "abort:abort",
        "End a promotion at any time; what it did is undone, the last first.",
        (f'slipway abort {ID} --by ana --reason "wrong branch"',),
    ),
    CommandEntry(
        "rollback",
        "rollback:rollback",
        "Take an application or one endpoint back to a model that was approved before. Approvers decide on it as on a promotion.",
        (
            'slipway rollback screening --reason "recall fell since Monday"',
            'slipway rollback screening-prod --to 7 --reason "recall fell" --wait',
        ),
    ),
    CommandEntry(
        "history",
        "history:history",
        "Show what each target served when, by which promotion and whose approval, and whether it was changed by hand since. "
        "Needs a worker.",
        ("slipway history screening", "slipway history screening-prod --at 2026-01-31T12:00 --json"),
    ),
    CommandEntry(
        "decision",
        "decision:decision",
        "Print the document of a decision, to sign it by hand with ssh-keygen; or put document and signature together for a "
        "signal in the Temporal UI.",
        (
            f"slipway decision {ID} --kind approve --by ana \\\n    > decision.json",
            "ssh-keygen -Y sign -n slipway-decision -f ~/.ssh/id_ed25519 decision.json",
            "slipway decision --attach decision.json",
        ),
    ),
    CommandEntry(
        "verify",
        "verify:verify",
        "Check the signatures of a promotion's decisions against an allowed_signers file. With a file it needs neither Temporal "
        "nor AWS.",
        (
            f"slipway status {ID} --json > status.json",
            "slipway verify status.json --allowed-signers allowed_signers",
            f"slipway verify {ID} --allowed-signers allowed_signers",
        ),
    ),
    CommandEntry(
        "lint",
        "lint:lint",
        "Check an application's files as a promotion would. Needs neither Temporal nor AWS.",
        ("slipway lint apps/screening", "slipway lint apps/screening --format github", "slipway lint . --json"),
    ),
    CommandEntry(
        "policy",
        "policy:policy",
        "Check a worker's policy, which says what each app may do. Needs neither Temporal nor AWS.",
        ("slipway policy lint policy.yaml", "slipway policy lint policy.yaml --json"),
    ),
    CommandEntry(
        "schema",
        "schema:schema",
        "Print the JSON Schema of promotion.yaml, for editors. Needs neither Temporal nor AWS.",
        ("slipway schema > promotion.schema.json",),
    ),
)


ENVIRONMENT = """Environment:

TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE: the Temporal server and namespace; localhost:7233 and default if not set.
TEMPORAL_API_KEY, TEMPORAL_TLS_…: credentials, as for Temporal's own tools.
TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE: a profile of temporal.toml that holds all of these.
SLIPWAY_USER: who you are, for --by. SLIPWAY_TASK_QUEUE: the workers' task queue.
SLIPWAY_SIGN, SLIPWAY_SIGNING_KEY: 1 to sign decisions, for --sign; the key, for --key.
SLIPWAY_UI_URL: the Temporal UI, as http://localhost:8080: promotions are shown with a link to their page."""


EXAMPLES = f"""Examples:

$ slipway lint apps/screening
$ slipway start --repository git@github.com:acme/apps.git --folder screening \\
    --image {IMAGE}:v7
$ slipway watch {ID}
$ slipway approve {ID} --by ana"""


def shown_default(value: object) -> str | None:
    """A default as help says it: that an option is off, empty or absent says nothing."""
    return None if value in (False, "", None) else str(value)


def make_app() -> App:
    """The command line."""
    app = App(
        name="slipway",
        help="Promotes a training-pipeline image from CI all the way to a model serving on a SageMaker endpoint.",
        help_epilogue=f"{EXAMPLES}\n\n{ENVIRONMENT}\n\n{EXPLAINED}",
        help_format="plaintext",
        version=__version__,
        default_parameter=Parameter(show_default=shown_default),
        # `run` ends on it: the library would tear the interpreter down, which hangs beside the SDK's threads.
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    completion = "Install completion of commands and options for your shell."
    app.register_install_completion_command(help=completion)  # pyright: ignore[reportUnknownMemberType] -- its last argument is untyped
    for position, each in enumerate(COMMANDS):
        examples = "\n".join(f"$ {line}" for line in each.examples)
        epilogue = f"Examples:\n\n{examples}\n\n{EXPLAINED}"
        app.command(
            f"slipway.cli.{each.function}",
            name=each.name,
            help=each.summary,
            help_epilogue=epilogue,
            sort_key=position,
            version_flags=(),
        )
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What follows `slipway` on the command line.

    Returns:
        The exit code.
    """
    # A CI job that passes on a variable which is not set passes an empty one.
    for name in [name for name, value in os.environ.items() if name.startswith("SLIPWAY_") and not value]:
        del os.environ[name]
    try:
        result = make_app()(list(arguments), exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 -- whatever it is, a person is told what to do
        code, report = explain(error)
        print_error(report, as_json="--json" in arguments)
        return code
    return int(result) if isinstance(result, int) else Exit.ok
