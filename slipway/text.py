"""Counts as people write them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """As `1 endpoint` or `2 endpoints`, for nouns whose plural has an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
