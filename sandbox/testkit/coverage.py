"""COVERAGE.md, made from what the rooms answer and what the tests show: `python -m sandbox.testkit.coverage`.

An operation is there because a room has it, like AWS because a contract test holds it against botocore's model, and its
differences are what its room says of them. Nothing on the page is written by hand but its few sentences of introduction.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from slipway_sandbox.core.world import Room, World
from slipway_sandbox.protocol import aws_json
from slipway_sandbox.sagemaker.hosting.requests import SERVICE
from slipway_sandbox.sagemaker.hosting.runtime import INVOCATIONS
from slipway_sandbox.server import build

from sandbox.testkit.contract import Behaviour, Contract, declarations_of

PAGE = Path(__file__).parent.parent / "COVERAGE.md"
TESTS = Path(__file__).parent.parent / "tests"
INTRODUCTION = """\
# What is like AWS, and what is not

Made by `make coverage` from the code and its tests; a test fails when they and this page disagree. Every operation below has a
contract test whose answers are checked by botocore's own service model, and which provokes the errors named, as a client can.
Any other documented error can be planted (`POST /_sandbox/faults`). The same tests run against AWS itself where
`AWS_CONTRACT_REGION` names a region.

Requests are checked against botocore's model, lengths, patterns and enums too, with AWS's wording of such errors. Services that
are not listed are answered by [moto](https://github.com/getmoto/moto), or with a clean `NotImplemented`.
"""
EVERYWHERE = {"ecs": frozenset({"AccessDeniedException"})}
"""Errors by service that one test provokes for each of its operations."""
TITLES = {
    "ecr": "ECR",
    "ecs": "ECS",
    "sagemaker": "SageMaker",
    SERVICE: "SageMaker runtime",
    "application-autoscaling": "Application Auto Scaling",
    "events": "EventBridge",
    "sts": "STS",
    "iam": "IAM",
}
"""The services' headings, in the page's order; others follow by their names in boto3."""


def modules(folder: Path = TESTS) -> Iterator[ModuleType]:
    """The test modules below a folder, each in a package of its folder's, so that they find what stands beside them."""
    for path in sorted(folder.glob("**/test_*.py")):
        package = "_".join(("coverage_of", *path.parent.relative_to(folder).parts))
        if package not in sys.modules:
            parent = sys.modules[package] = ModuleType(package)
            parent.__path__ = [str(path.parent)]
        yield importlib.import_module(f"{package}.{path.stem}")


def declarations() -> list[Contract | Behaviour]:
    """Everything that tests are marked with, each declaration once."""
    tests = itertools.chain.from_iterable(inspect.getmembers(module, inspect.isfunction) for module in modules())
    return list(dict.fromkeys(declared for _, test in tests for declared in declarations_of(test)))


def answered() -> dict[tuple[str, str], str]:
    """Each operation that the sandbox answers itself, and how it differs from AWS."""
    own = {
        (room.service, name): str(handler.__dict__["aws_differs"]) for room in rooms() for name, handler in room.handlers.items()
    }
    return own | {(SERVICE, name): differs for name, differs in INVOCATIONS.items()}


@functools.cache
def rooms() -> Sequence[Room]:
    """The rooms of a sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        return build(World(data=Path(folder))).rooms


def over_moto(service: str) -> bool:
    """Whether moto answers the operations of a service that the sandbox does not."""
    return service not in {room.service for room in rooms() if not room.over_moto} | {SERVICE}


def missing(service: str) -> list[str]:
    """The operations of a service that the sandbox does not answer."""
    return [name for name in aws_json.service_model(service).operation_names if (service, name) not in answered()]


def page() -> str:
    """The whole page."""
    declared = declarations()
    contracts = [each for each in declared if isinstance(each, Contract)]
    behaviours = [each for each in declared if isinstance(each, Behaviour)]
    operations = answered()
    services = sorted({service for service, _ in operations} | {each.service for each in contracts}, key=_place)
    parts = [INTRODUCTION]
    parts += [_service(service, operations, contracts) for service in services]
    parts += [_section(title, behaviours) for title in dict.fromkeys(each.section for each in behaviours)]
    return "\n".join(parts)


def _place(service: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(service) if service in known else len(known), service)


def _service(service: str, operations: dict[tuple[str, str], str], contracts: Sequence[Contract]) -> str:
    own = {name for of, name in operations if of == service}
    tested = {each.operation for each in contracts if each.service == service}
    rows = [_row(service, name, operations.get((service, name), ""), contracts) for name in sorted(own | tested)]
    head = f"## {TITLES.get(service, service)}\n\n| Operation | Errors provoked by tests | Differs |\n|---|---|---|\n"
    table = head + "".join(f"{row}\n" for row in rows)
    if over_moto(service):
        return f"{table}\nIts other operations are as moto has them.\n"
    absent = missing(service)
    if not absent:
        return table
    title = f"Not there: {len(absent)} operations, which answer <code>NotImplemented</code>"
    return f"{table}\n<details><summary>{title}</summary>\n\n{', '.join(absent)}\n\n</details>\n"


def _row(service: str, name: str, differs: str, contracts: Sequence[Contract]) -> str:
    covering = [each for each in contracts if (each.service, each.operation) == (service, name)]
    errors = sorted({error for each in covering for error in each.errors} | EVERYWHERE.get(service, frozenset()))
    return f"| {name} | {', '.join(f'`{error}`' for error in errors)} | {_cell(differs)} |"


def _section(title: str, behaviours: Sequence[Behaviour]) -> str:
    rows = [each for each in behaviours if each.section == title]
    head = f"## {title}\n\n| | Like AWS | Differs |\n|---|---|---|\n"
    return head + "".join(f"| {_cell(each.subject)} | {_cell(each.like)} | {_cell(each.differs)} |\n" for each in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page())
