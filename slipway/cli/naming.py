"""What a retry may name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

Execution = Annotated[
    str,
    Parameter(
        name="--execution",
        help="For a retry: the ARN of the pipeline execution that the task started, where the pipeline stage is parked because "
        "it found none or several, or where it could not be stopped. It must be one of the spec's pipeline, and have begun after "
        "the task was started.",
    ),
]
Package = Annotated[
    str,
    Parameter(
        name="--package",
        help="For a retry: the ARN of the model package that the execution made, where the pipeline stage is parked because it "
        "found several, or none that it could prove. It must be in the spec's group, and have been made since the execution "
        "began.",
    ),
]
Task = Annotated[
    str,
    Parameter(
        name="--task",
        help="For a retry: the ARN of the ECS task to follow, where piped runs the task and the task stage is parked because it "
        "ran several. It must run the promotion's image, for the commit that brought it or a later one that has it still.",
    ),
]


@dataclass(frozen=True)
class Named:
    """What a retry names. Empty: it is looked for."""

    execution: str = ""
    """The ARN of the pipeline execution to follow, or to stop."""
    package: str = ""
    """The ARN of the model package to take."""
    task: str = ""
    """The ARN of the ECS task to follow."""


NOTHING = Named()
