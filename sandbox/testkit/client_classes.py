"""Makes the class of a boto3 client once a process, where botocore makes it anew for each client.

Each test has sessions and clients of its own account, and most of what they cost is a class with a method for each operation.
"""

from __future__ import annotations

from typing import Any

import botocore.client

_creator: Any = botocore.client.ClientCreator
_make = _creator._create_client_class  # noqa: SLF001 -- there is no public way
_made: dict[tuple[str, str | None], type] = {}
"""By service, and by the kind of session: boto3's adds to some classes."""


def share_client_classes() -> None:
    """From now on, in this process."""
    _creator._create_client_class = _shared  # noqa: SLF001


def _shared(creator: Any, service_name: str, service_model: Any) -> type:
    key = service_name, creator._user_agent_creator._session_user_agent_name  # noqa: SLF001
    if key not in _made:
        _made[key] = _make(creator, service_name, service_model)
    return _made[key]
