"""Errors as problem documents (RFC 9457) for machines, and as pages for people."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from store.postgres import Unavailable

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 5
"""How long a caller is asked to wait while the database is away."""
_FOR_MACHINES: Final = ("/v1/", "/webhooks/", "/push/", "/healthz", "/readyz", "/metrics", "/live", "/openapi.json")


class Problem(Exception):
    """An error with a short code, a status, and a sentence for whoever made the request.

    ``extra`` are further members of the document, such as the field or the position that is wrong.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.extra = extra


def problem_response(problem: Problem) -> Response:
    """The problem as its document; its ``type`` is ``urn:hearthwatch:problem:<code>``."""
    document = {
        "type": f"urn:hearthwatch:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **problem.extra,
    }
    return Response(msgspec.json.encode(document), problem.status, problem.headers, MEDIA_TYPE)


def database_away() -> Problem:
    """The answer while the database cannot be reached: whoever asked keeps what they hold."""
    return Problem(
        503,
        "database_away",
        "the database cannot be reached just now; keep what you have and try again",
        headers={"Retry-After": str(RETRY_S)},
    )


def install(app: FastAPI) -> None:
    """Let every error leave the app in one of these two forms."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_surprise)


def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


def _on_unavailable(request: Request, error: Exception) -> Response:
    log.warning("database_away", path=request.url.path, error=str(error))
    return _answer(request, database_away())


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).name.lower()
    return _answer(request, Problem(error.status_code, code, str(error.detail), headers=error.headers))


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(str(p) for p in e["loc"]), "detail": e["msg"]} for e in error.errors()]
    return _answer(request, Problem(422, "invalid", "some fields cannot be used as they are", errors=errors))


def _on_surprise(request: Request, error: Exception) -> Response:
    log.error("unexpected_error", path=request.url.path, exc_info=error)
    return _answer(request, Problem(500, "unexpected", "something went wrong here; it has been logged"))


def _answer(request: Request, problem: Problem) -> Response:
    if request.url.path.startswith(_FOR_MACHINES) or "text/html" not in request.headers.get("accept", ""):
        return problem_response(problem)
    # Imported late: a service without pages (tests of ingest alone) needs no templates.
    from clinicians.pages import error_page

    response = error_page(request, problem.status, page_language(request))
    for name, value in (problem.headers or {}).items():
        response.headers[name] = value
    return response


def page_language(request: Request) -> str:
    """The language to speak to this visitor: her own, the one she chose before, or her browser's first."""
    visitor = getattr(request.state, "visitor", None)
    if visitor is not None:
        return str(visitor.language)
    chosen = request.cookies.get("hearthwatch-language")
    if chosen in ("zh_Hans", "en"):
        return chosen
    return preferred_language(request.headers.get("accept-language", ""))


def preferred_language(accepted: str) -> str:
    """The better of our two languages for an ``Accept-Language`` header; Chinese when it names neither."""
    best, best_weight = "zh_Hans", 0.0
    for part in accepted.split(","):
        tag, _, weight_text = part.strip().partition(";q=")
        language = {"zh": "zh_Hans", "en": "en"}.get(tag.split("-")[0].lower())
        weight = _weight(weight_text)
        if language and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
