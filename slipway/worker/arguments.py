"""The command line of `slipway-worker`: all its settings are environment variables."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from pydantic.fields import FieldInfo

from slipway import __version__
from slipway.worker.settings import WorkerSettings

_WIDTH = 80
_END = """\
Either SLIPWAY_REPOSITORIES or SLIPWAY_POLICY is required.

Temporal is found by TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY,
TEMPORAL_TLS_… or TEMPORAL_PROFILE; AWS as by every AWS program. git runs with
the settings of this user.

Example:

$ SLIPWAY_REPOSITORIES=https://github.com/acme/deploy.git slipway-worker

Exit codes:

0: stopped by SIGTERM or SIGINT.
1: Temporal or a port could not be used.
2: a setting is wrong."""


def read_arguments(arguments: Sequence[str]) -> None:
    """Answer `--help` and `--version`, and refuse anything else.

    Raises:
        SystemExit: All is said.
    """
    parser = argparse.ArgumentParser(
        prog="slipway-worker",
        description="Runs promotions: polls Temporal and does what they need on AWS and in git.",
        epilog=f"settings, by environment variables:\n{_settings()}\n\n{_END}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)


def _settings() -> str:
    return "\n".join(_setting(name, field) for name, field in WorkerSettings.model_fields.items())


def _setting(name: str, field: FieldInfo) -> str:
    meaning = " ".join(f"{field.description} {_default(field)}".split())
    return textwrap.fill(meaning, _WIDTH, initial_indent=f"  {f'SLIPWAY_{name.upper()}':<26}", subsequent_indent=" " * 28)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"(default: {shown})" if default not in ("", (), None) else ""
