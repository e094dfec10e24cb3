"""Writes the reference of the command and builds the documentation site: `python -m scripts.docs`.

The site is made from a copy of the pages, in which each file has the path that it has in the repository: the same links work
in both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slipway.cli.app import COMMANDS, make_app
from slipway.cli.exits import EXPLAINED

ROOT = Path(__file__).parents[1]
COMMANDS_FILE = ROOT / "docs" / "cli.md"
# Pages, and files that pages link to. A link to anything else fails the build.
PUBLISHED = (
    "*.md",
    "LICENSE",
    "action.yml",
    "promotion.schema.json",
    "policy.schema.json",
    "pyproject.toml",
    ".env.example",
    "docs/**/*",
    "deploy/**/*",
    "pipecd/**/*",
    "pipeline/run_pipeline.py",
    "sandbox/*.md",
    "sandbox/docs/*",
    "sandbox/examples/*",
    "examples/**/*",
    ".github/workflows/*",
)
_HEAD = """# The command

Written by `make docs` from the command itself. `slipway <command> --help` shows the same.
[Operations](operations.md) shows the commands at work.

Where Temporal is: `TEMPORAL_ADDRESS` (`localhost:7233`), `TEMPORAL_NAMESPACE` (`default`), `TEMPORAL_API_KEY`, `TEMPORAL_TLS_…`,
or a profile of `temporal.toml`, as for Temporal's own tools. `SLIPWAY_USER` is who acts, `SLIPWAY_TASK_QUEUE` the worker's task
queue. `slipway --install-completion` installs completion for your shell.
"""


def commands() -> str:
    """The reference of all commands."""
    app = make_app()
    _, *sections = app.generate_docs(output_format="markdown").split("\n## slipway ")
    body = "\n".join(_section(section) for section in sections if not section.startswith("--"))
    exit_codes = EXPLAINED.partition("\n\n")[2].replace("\n", "\n- ")
    return f"{_HEAD}\n{body}\n## Exit codes\n\n- {exit_codes}\n"


def _section(section: str) -> str:
    """One command, with the examples that its help shows."""
    name = section.split("\n", 1)[0]
    examples = "\n".join(f"$ {line}" for each in COMMANDS if each.name == name for line in each.examples)
    return f"## slipway {section.rstrip()}\n\n```console\n{examples}\n```\n"


def gather(pages: Path) -> None:
    """Copy the pages and what they link to."""
    shutil.rmtree(pages, ignore_errors=True)
    for file in sorted({path for pattern in PUBLISHED for path in ROOT.glob(pattern) if path.is_file()}):
        copy = pages / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def build(pages: Path, site: Path) -> int:
    """Build the site; a broken link is an error.

    Args:
        pages: What was gathered.
        site: Where the site is written to.

    Returns:
        The exit code of MkDocs.
    """
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    # The second variable switches off the theme's advertisement for its successor.
    environment = {**os.environ, "SLIPWAY_PAGES": str(pages), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    COMMANDS_FILE.write_text(commands())
    gather(ROOT / "build" / "docs")
    sys.exit(build(ROOT / "build" / "docs", ROOT / "build" / "site"))
