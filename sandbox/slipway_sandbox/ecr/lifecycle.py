"""What makes a lifecycle policy valid."""

from __future__ import annotations

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
    def check(cls, text: str) -> None:
        """Check a policy's text.

        Raises:
            AwsError: `InvalidParameterException`, where it is none.
        """
        try:
            cls.model_validate_json(text)
        except ValidationError as error:
            place, problem = first_problem(error, "/")
            raise errors.invalid_lifecycle_policy(f"{place}: {problem}" if place else problem) from error
