"""`/_sandbox/`: one page where a person sees what the sandbox holds, kept current, and turns its dials."""

from slipway_sandbox.control.page.app import PAGE_PATHS, Page
from slipway_sandbox.control.page.guard import Guard

__all__ = ["PAGE_PATHS", "Guard", "Page"]
