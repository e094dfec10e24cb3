"""How payloads are read: typed ones by pydantic, untyped ones whatever they hold.

The SDK decodes the arguments of a workflow, a signal or an update before any code of ours sees them. Where that fails, the
workflow task fails again and again, or the signal is dropped. So an argument without a type that cannot be decoded stays as it
came: the workflow's own code refuses it (workflows/payloads.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter


class PayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, which leaves raw what has no type and cannot be decoded."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        if type_hints:
            return super().from_payloads(payloads, type_hints)
        return [self._decoded(payload) for payload in payloads]

    def _decoded(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001 -- each encoding fails in its own way, and a sender picks the encoding
            return RawValue(payload)


data_converter = replace(pydantic_data_converter, payload_converter_class=PayloadConverter)
"""Give it to the Client, and so to the workers."""
