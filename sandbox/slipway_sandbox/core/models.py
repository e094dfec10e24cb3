"""What the sandbox's pydantic models have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A model that does not change, and refuses members it does not know.

    pydantic builds it when it is used first: most are not in most runs, and all of them together are a fifth of the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
