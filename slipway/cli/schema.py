"""`slipway schema`."""

from __future__ import annotations

import sys

from slipway.app.spec_docs import schema as text_of_schema
from slipway.cli.exits import Exit


def schema() -> int:
    """Print the JSON Schema of promotion.yaml, for editors and for checks without Slipway."""
    sys.stdout.write(text_of_schema())
    return Exit.ok
