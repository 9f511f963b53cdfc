"""JSON, whichever part says it."""

from __future__ import annotations

import orjson
from starlette.responses import Response


def json_response(value: object, status: int, media_type: str) -> Response:
    """A JSON body."""
    return Response(orjson.dumps(value), status, media_type=media_type)
