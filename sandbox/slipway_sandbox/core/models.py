"""What the sandbox's pydantic models have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A frozen model that refuses unknown members.

    pydantic builds it at its first use: most are not used in most runs, and all of them together take a fifth of the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
