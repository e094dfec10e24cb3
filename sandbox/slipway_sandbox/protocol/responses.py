"""The answers of the small JSON APIs beside AWS's."""

from __future__ import annotations

import json

from werkzeug.wrappers import Response


def json_response(body: object, status: int = 200) -> Response:
    """A response with a JSON body. What JSON has no type for is written as text."""
    return Response(json.dumps(body, default=str), status, content_type="application/json")
