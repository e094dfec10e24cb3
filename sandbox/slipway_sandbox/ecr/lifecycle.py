"""Lifecycle policies: their rules, and which images they would let expire. Nothing here knows a repository's storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from slipway_sandbox.core.models import Frozen
from slipway_sandbox.ecr import errors
from slipway_sandbox.ecr.problems import first_problem


class Part(Frozen):
    """A part of a policy; members that it does not know are refused, as by ECR."""


class Selection(Part):
    """Which images a rule is about."""

    tag_status: Literal["tagged", "untagged", "any"] = Field(alias="tagStatus")
    tag_prefixes: tuple[str, ...] = Field(default=(), alias="tagPrefixList")
    tag_patterns: tuple[str, ...] = Field(default=(), alias="tagPatternList")
    count_type: Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled"] = Field(alias="countType")
    count_unit: Literal["days"] | None = Field(default=None, alias="countUnit")
    count_number: int = Field(ge=1, alias="countNumber")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.tag_status == "tagged") != bool(self.tag_prefixes or self.tag_patterns):
            raise ValueError("tagPrefixList or tagPatternList goes with the tagStatus tagged, and only with it")
        if self.tag_prefixes and self.tag_patterns:
            raise ValueError("tagPrefixList and tagPatternList exclude each other")
        if (self.count_type == "imageCountMoreThan") != (self.count_unit is None):
            raise ValueError("countUnit goes with the countTypes that count days, and only with them")
        return self


class Action(Part):
    """What a rule does."""

    type: Literal["expire"]


class Rule(Part):
    """One rule."""

    priority: int = Field(ge=1, alias="rulePriority")
    description: str = ""
    selection: Selection
    action: Action


class Policy(Part):
    """A policy's text, read."""

    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _priorities_differ(self) -> Self:
        priorities = [rule.priority for rule in self.rules]
        if len(set(priorities)) < len(priorities):
            raise ValueError("rulePriority values have to be unique")
        for status in ("any", "untagged"):
            found = [rule for rule in self.rules if rule.selection.tag_status == status]
            if len(found) > 1:
                raise ValueError(f"only one rule may have the tagStatus {status}")
            if status == "any" and found and found[0].priority != max(priorities):
                raise ValueError("the rule with the tagStatus any has to have the highest rulePriority")
        return self

    @classmethod
    def read(cls, text: str) -> Policy:
        """Read a policy's text.

        Raises:
            AwsError: `InvalidParameterException`, where it is none.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            place, problem = first_problem(error, "/")
            raise errors.invalid_lifecycle_policy(f"{place}: {problem}" if place else problem) from error


@dataclass(frozen=True)
class Candidate:
    """An image as the rules see it."""

    digest: str
    tags: Sequence[str]
    pushed_at: datetime
    pulled_at: datetime | None


@dataclass(frozen=True)
class Expiry:
    """An image that a rule lets expire."""

    candidate: Candidate
    priority: int


def expiring(policy: Policy, images: Sequence[Candidate], now: datetime) -> list[Expiry]:
    """The images that expire, by the first rule that is about each. An image that a rule keeps is not for later rules."""
    left = sorted(images, key=lambda image: image.pushed_at, reverse=True)
    found: list[Expiry] = []
    for rule in sorted(policy.rules, key=lambda rule: rule.priority):
        selected = [image for image in left if is_selected(rule.selection, image)]
        found += [Expiry(image, rule.priority) for image in over_the_count(rule.selection, selected, now)]
        left = [image for image in left if image not in selected]
    return found


def is_selected(selection: Selection, image: Candidate) -> bool:
    """Whether a rule is about an image. Of several prefixes or patterns, each has to fit one of its tags."""
    match selection.tag_status:
        case "any":
            return True
        case "untagged":
            return not image.tags
        case "tagged":
            patterns = selection.tag_patterns or [f"{prefix}*" for prefix in selection.tag_prefixes]
            return bool(image.tags) and all(any(fnmatchcase(tag, pattern) for tag in image.tags) for pattern in patterns)


def over_the_count(selection: Selection, images: Sequence[Candidate], now: datetime) -> Sequence[Candidate]:
    """Of a rule's images, the newest first, those that are too many or too old."""
    if selection.count_type == "imageCountMoreThan":
        return images[selection.count_number :]
    oldest = now - timedelta(days=selection.count_number)
    if selection.count_type == "sinceImagePushed":
        return [image for image in images if image.pushed_at < oldest]
    return [image for image in images if (image.pulled_at or image.pushed_at) < oldest]
