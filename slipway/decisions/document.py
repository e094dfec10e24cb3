"""The document that a person signs. Pure, so that a workflow may use all of it.

It names one decision on one run of one promotion. Its text is canonical JSON (RFC 8785): what is signed is a text, and the same
decision has one text only. Members are never renamed; another set of them is another version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, cast

import rfc8785
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from slipway.api import ARN_LIMIT, DOCUMENT_LIMIT, Line, PersonName
from slipway.app.spec import Target
from slipway.errors import RefusedError
from slipway.git.rules import app_file, check_branch, normalise_url

VERSION = "decision/v1"
TARGETS_SHOWN = 20
"""Targets that a document names; the others are in a checksum, so that the document stays short enough to be read."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_READING = "reading a decision's document"
_REMEDY = "make it with `slipway decision <id> --kind <kind>`, and sign it as it is: without a change, a line end or a space"

Kind = Literal["approve", "reject", "retry", "abort"]


def _time(value: object) -> object:
    """A time as JSON has it is read in the one form that a document has; pydantic knows many."""
    if isinstance(value, str):
        if not _TIME.fullmatch(value):
            raise ValueError("must be a time such as 2026-01-31T23:59:59Z")
        return datetime.fromisoformat(value)
    return value


def _whole_seconds(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0) or value.microsecond:
        raise ValueError("must be a time in UTC with whole seconds")
    return value.astimezone(UTC)


def _normal(normalise: Callable[[str], str]) -> AfterValidator:
    """The value must be in its normal form: two texts for one thing would be two documents for one decision."""

    def check(value: str) -> str:
        try:
            normal = normalise(value)
        except RefusedError as error:
            raise ValueError(error.report.answered) from error
        if normal != value:
            raise ValueError(f"must be written {normal}")
        return value

    return AfterValidator(check)


Time = Annotated[
    datetime,
    BeforeValidator(_time),
    AfterValidator(_whole_seconds),
    PlainSerializer(lambda value: value.isoformat().replace("+00:00", "Z"), return_type=str),
]
Hex = StringConstraints(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})?\z")


class DecisionDocument(BaseModel):
    """One decision of one person, bound to what it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slipway: Literal["decision/v1"] = VERSION
    kind: Kind
    namespace: Annotated[Line, Field(min_length=1, max_length=255)]
    """Temporal's namespace."""
    promotion: Annotated[Line, Field(min_length=1, max_length=255)]
    """The promotion's id."""
    run: Annotated[Line, Field(min_length=1, max_length=64)]
    """The first of its runs: a promotion that is started anew under the same id is another."""
    repository: Annotated[Line, Field(max_length=1_000), _normal(normalise_url)]
    branch: Annotated[Line, Field(max_length=255), _normal(check_branch)]
    folder: Annotated[Line, Field(max_length=1_000), _normal(lambda folder: app_file(folder) or ".")]
    """`.` for the repository's root."""
    spec_commit: Annotated[str, Hex] = ""
    """The commit that the spec was read at; empty where it was not read yet."""
    package: Annotated[Line, Field(max_length=2_048)] = ""
    """The model package's ARN; empty where there is none yet."""
    targets: Annotated[tuple[Annotated[Line, Field(max_length=300)], ...], Field(max_length=TARGETS_SHOWN + 1)] = ()
    """What `targets_of` says of the spec's targets; empty where there is no evidence yet."""
    evidence: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?\z")] = ""
    """The evidence's whole SHA-256; empty where there is none yet."""
    by: PersonName
    """Who decides: one of the spec's approvers, and a principal of the allowed signers, letter for letter."""
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\z")]
    """Random, so that two decisions are never one document."""
    issued: Time
    expires: Time
    """Until when it may be handed in."""
    reason: Annotated[Line, Field(max_length=1_000)] = ""
    use_execution: Annotated[Line, Field(max_length=ARN_LIMIT)] = ""
    """For `retry`: the ARN of the execution that the task started."""
    use_package: Annotated[Line, Field(max_length=ARN_LIMIT)] = ""
    """For `retry`: the ARN of the package that the execution made."""
    use_task: Annotated[Line, Field(max_length=ARN_LIMIT)] = ""
    """For `retry`: the ARN of the task of piped's that is to be followed."""

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.expires <= self.issued:
            raise ValueError("expires before it is issued")
        if self.kind != "retry" and (self.use_execution or self.use_package or self.use_task):
            raise ValueError("only a retry names an execution, a package or a task to use")
        if self.kind in {"approve", "reject"} and not (self.evidence and self.package and self.spec_commit):
            raise ValueError(f"a decision to {self.kind} names its evidence, package and spec_commit")
        return self

    def canonical(self) -> str:
        """The text that is signed: RFC 8785. What came later is left out where it is empty, as in documents of before."""
        unused = {name for name in _ADDED if not getattr(self, name)}
        return rfc8785.dumps(self.model_dump(mode="json", exclude=unused)).decode()

    def is_timely(self, at: datetime) -> bool:
        """Whether it may be handed in at this time. The clock of the one who signed may be a little ahead."""
        # Without a sum: a time may be the first or the last one that there is.
        return self.issued - at <= CLOCKS_DIFFER and at < self.expires


_ADDED = ("use_execution", "use_package", "use_task")
CLOCKS_DIFFER = timedelta(minutes=5)


def parse_document(text: str) -> DecisionDocument:
    """Reads a document that came from outside.

    Raises:
        RefusedError: It is not a decision's document, or not letter for letter the canonical text of one.
    """
    if len(text) > DOCUMENT_LIMIT:
        raise RefusedError(_READING, f"it has more than {DOCUMENT_LIMIT:,} characters", _REMEDY)
    try:
        document = DecisionDocument.model_validate_json(text)
    except ValidationError as error:
        raise RefusedError(_READING, _words(error), _REMEDY) from error
    if document.canonical() != text:
        raise RefusedError(_READING, "it is not written in its canonical form (RFC 8785)", _REMEDY)
    return document


def _words(error: ValidationError) -> str:
    """What is wrong, without the values: they are a stranger's."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(map(str, each['loc'])) or 'document'}: {each['msg']}" for each in found[:5]]
    return "; ".join(said)[:300]


def targets_of(targets: Sequence[Target], region: str) -> tuple[str, ...]:
    """The targets as a document names them: endpoint, region, and the account where a role of another one is assumed.

    Args:
        targets: The targets in the spec's order.
        region: The region of those that name none.
    """
    lines = [_target_line(target, region) for target in targets]
    if len(lines) <= TARGETS_SHOWN:
        return tuple(lines)
    rest = lines[TARGETS_SHOWN:]
    checksum = hashlib.sha256("\n".join(rest).encode()).hexdigest()
    return (*lines[:TARGETS_SHOWN], f"and {len(rest)} more, sha256:{checksum}")


def _target_line(target: Target, region: str) -> str:
    account = f" as {target.role_arn.split(':')[4]}" if target.role_arn else ""
    return f"{target.endpoint} in {target.region or region}{account}"


def differences(document: DecisionDocument, expected: Mapping[str, Any]) -> tuple[str, ...]:
    """In what a document differs from what it must be about, one line each.

    Args:
        document: The document.
        expected: The right value of each member that matters.
    """
    found = [(name, getattr(document, name), right) for name, right in expected.items()]
    return tuple(f"{name} is {_shown(said)}, not {_shown(right)}" for name, said, right in found if said != right)


def _shown(value: Any) -> str:
    text = ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
    return text or "empty"
