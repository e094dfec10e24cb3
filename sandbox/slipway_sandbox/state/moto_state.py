"""What moto knows, of one account or of all: taken out, put back, forgotten. Callers hold moto's lock.

moto keeps one backend a service, account and region, whose attributes are its state.
"""

from __future__ import annotations

import importlib
import logging
import pickle
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from slipway_sandbox.core.world import World
from slipway_sandbox.state import pickled

log = logging.getLogger(__name__)

OWN = frozenset({"ecr", "ecs", "sagemaker", "sagemakerruntime"})
"""Services that the sandbox answers itself, so that moto knows nothing of them."""


@dataclass(frozen=True)
class SavedBackend:
    """One backend's attributes as bytes."""

    service: str
    account: str
    region: str
    data: bytes


def save(account: str | None, objects: Path) -> tuple[list[SavedBackend], frozenset[str]]:
    """The backends of one account, or all, and the files in `objects` that they need.

    A backend that cannot be saved is left out, and said in the log.
    """
    saved: list[SavedBackend] = []
    needed: frozenset[str] = frozenset()
    for service, owner, region, backend in _backends(account):
        try:
            data, files = pickled.dump(backend.__dict__, objects)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            log.warning("what %s knows in %s is not saved: %s", service, owner, error)
            continue
        saved.append(SavedBackend(service, owner, region, data))
        needed |= files
    return saved, needed


def restore(saved: list[SavedBackend], objects: Path, world: World) -> None:
    """Put backends back; those of their accounts are expected to be empty.

    Raises:
        UnreadableStateError: One cannot be read.
    """
    for each in saved:
        backend: Any = _backend_dict(each.service)[each.account][each.region]
        for name, value in cast("dict[str, Any]", pickled.load(each.data, objects, world)).items():
            own: Any = getattr(backend, name, None)
            if isinstance(own, defaultdict) and not isinstance(value, defaultdict):
                own.clear()  # pyright: ignore[reportUnknownMemberType]
                own.update(value)  # pyright: ignore[reportUnknownMemberType]
            else:
                setattr(backend, name, value)
        if each.service == "s3":
            _claim_buckets(each, backend)


def reset(account: str | None) -> None:
    """Forget the backends of one account, or all."""
    for service, owner, region, _ in list(_backends(account)):
        _backend_dict(service)[owner][region].reset()
        _backend_dict(service)[owner].pop(region)


def _backends(account: str | None) -> Iterator[tuple[str, str, str, Any]]:
    for backends in list(importlib.import_module("moto.core.base_backend").BackendDict._instances):  # noqa: SLF001  (moto has no other list)
        for owner in [owner for owner in backends if account in (None, owner)]:
            for region in list(backends[owner]):
                backend = backends[owner][region]
                service = type(backend).__module__.split(".")[1]
                if service not in OWN:
                    yield service, owner, region, backend


def _backend_dict(service: str) -> Any:
    return importlib.import_module("moto.backends").get_backend(service)


def _claim_buckets(saved: SavedBackend, backend: Any) -> None:
    """Buckets' names are global; moto keeps whose they are beside the backends."""
    claimed = _backend_dict("s3").bucket_accounts
    for name in backend.buckets:
        claimed[name] = (saved.region, saved.account)
