"""The description of ``/v1``, with the bodies' schemas taken from the structures that decode them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import batches, gateways, ingest, recordings

_REFERENCE: Final = "#/components/schemas/{name}"
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_BODIES: Final = {
    "/v1/readings": (batches.Batch, ingest.Outcome, (400, 401, 403, 413, 503)),
    "/v1/recordings": (recordings.WireRecording, recordings.Recorded, (400, 401, 403, 413, 503)),
    "/v1/pair": (gateways.Pairing, gateways.Paired, (400, 403, 429, 503)),
    "/v1/heartbeat": (gateways.Heartbeat, gateways.Configuration, (400, 401, 403, 503)),
}


def install(app: FastAPI) -> None:
    """Describe the app's ``/v1``."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title="Hearthwatch", version=app.version, routes=app.routes)
    bodies = [t for sent, answered, _ in _BODIES.values() for t in (sent, answered)]
    references, components = msgspec.json.schema_components(bodies, ref_template=_REFERENCE)
    for number, (path, (_, _, statuses)) in enumerate(_BODIES.items()):
        operation = document["paths"][path]["post"]
        operation["requestBody"] = {"required": True, "content": _content(references[2 * number])}
        operation["responses"] = {"200": {"description": "done", "content": _content(references[2 * number + 1])}}
        for status in statuses:
            operation["responses"][str(status)] = {"$ref": "#/components/responses/Problem"}
        operation["security"] = [] if path == "/v1/pair" else [{"gateway": []}]
    document["components"] = {
        "schemas": {**components, "Problem": _PROBLEM},
        "responses": {
            "Problem": {
                "description": "what went wrong (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
            }
        },
        "securitySchemes": {"gateway": {"type": "http", "scheme": "bearer", "description": "a gateway's key"}},
    }
    return document


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
