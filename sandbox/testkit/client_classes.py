"""Makes the class of a boto3 client once a session, where botocore makes it anew for each client.

Each test has clients of its own account, and most of what a client costs is a class with a method for each operation.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import botocore.client

_creator: Any = botocore.client.ClientCreator
_make = _creator._create_client_class  # noqa: SLF001 -- there is no public way
_made: WeakKeyDictionary[Any, dict[str, type]] = WeakKeyDictionary()
"""By a session's events, which add to its classes: those of each service."""


def share_client_classes() -> None:
    """From now on, in this process."""
    _creator._create_client_class = _shared  # noqa: SLF001


def _shared(creator: Any, service_name: str, service_model: Any) -> type:
    classes = _made.setdefault(creator._event_emitter, {})  # noqa: SLF001
    if service_name not in classes:
        classes[service_name] = _make(creator, service_name, service_model)
    return classes[service_name]
