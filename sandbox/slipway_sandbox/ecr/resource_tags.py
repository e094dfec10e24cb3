"""The rules for the tags of repositories, which are not those of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from slipway_sandbox.ecr import errors

MOST = 50
LONGEST_KEY, LONGEST_VALUE = 128, 256
RESERVED = "aws:"


def check_tags(there: Mapping[str, str], added: Sequence[Mapping[str, str]]) -> None:
    """Refuse tags that a repository cannot have.

    Args:
        there: Those that it has.
        added: The new ones.

    Raises:
        AwsError: `InvalidTagParameterException` or `TooManyTagsException`.
    """
    keys = [tag["Key"] for tag in added]
    check_keys(keys)
    if len(set(keys)) < len(keys):
        raise errors.invalid_tag("tag keys must be unique")
    if any(len(tag["Value"]) > LONGEST_VALUE for tag in added):
        raise errors.invalid_tag(f"tag values must have a length of {LONGEST_VALUE} at most")
    if len({*there, *keys}) > MOST:
        raise errors.too_many_tags()


def check_keys(keys: Iterable[str]) -> None:
    """Refuse keys that no tag can have.

    Raises:
        AwsError: `InvalidTagParameterException`.
    """
    for key in keys:
        if not 1 <= len(key) <= LONGEST_KEY:
            raise errors.invalid_tag(f"tag keys must have a length from 1 to {LONGEST_KEY}")
        if key.lower().startswith(RESERVED):
            raise errors.invalid_tag(f"tag keys must not start with '{RESERVED}'")
