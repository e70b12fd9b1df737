"""How a page is made: templates, escaped and translated, and the pages that belong to no face."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from clinicians.visitor import Refused, Visitor
from clinicians.words import EN, LANGUAGES, N_, ZH, Words, translations
from store.postgres import Unavailable

HOMES: Final = MappingProxyType(
    {
        "doctor": "/doctor",
        "care_worker": "/care",
        "family": "/family",
        "resident": "/me",
        "administrator": "/admin",
    }
)
"""Where each face begins."""

STATIC: Final = Path(str(resources.files("clinicians") / "static"))
"""The folder that is served under ``/static``."""

_SIGN_IN_ERRORS: Final = {
    "wrong": N_("The name or the password is not right. Please try once more."),
    "throttled": N_("Too many attempts. Please wait a quarter of an hour and try again."),
    "disabled": N_("This account has been closed. Please ask your health centre."),
    "expired": N_("You were signed out because nothing happened for a while. Please sign in again."),
    "csrf": N_("This page had been open for too long. Please try once more."),
}
_ERRORS: Final = {
    400: (N_("That did not arrive whole"), N_("Please go back, look at what you entered, and send it again.")),
    403: (N_("This page is for somebody else"), N_("Your account opens another page. Nothing is broken.")),
    404: (
        N_("There is no such page"),
        N_("Perhaps the address has changed, or the person is no longer in your care."),
    ),
    500: (
        N_("Something went wrong on our side"),
        N_("It has been written down. Alerts and calls go on without this page. Please try again in a minute."),
    ),
    503: (
        N_("The record cannot be reached just now"),
        N_("The devices keep every reading until it is back. Please try again in a minute."),
    ),
}


@lru_cache
def environment(language: str) -> Environment:
    """Templates for one language: escaped by default, and loud about a name that is missing."""
    made = Environment(
        loader=PackageLoader("clinicians"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    made.globals["static"] = static
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    return made


@lru_cache
def static(name: str) -> str:
    """The address of a static file, with its content in it, so that a browser never shows a new page in an old dress."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"


def render(request: Request, template: str, /, status: int = 200, **context: Any) -> HTMLResponse:
    """A page for the visitor of this request; ``words`` in the context brings the centre's time zone."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    words = context.pop("words", None) or Words.of(visitor.language if visitor else language_of(request))
    page = environment(words.language).get_template(template)
    html = page.render(
        visitor=visitor,
        words=words,
        here=request.url.path,
        back=_back(request),
        home=HOMES.get(visitor.face, "/") if visitor else "/",
        loud=getattr(request.state, "loud", ()),
        **context,
    )
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store", "Content-Language": words.html_language})


def _back(request: Request) -> str:
    """Where to come back to in another language: this page, with what it was asked."""
    asked = request.url.query if request.method == "GET" else ""
    return f"{request.url.path}?{asked}" if asked else request.url.path


def language_of(request: Request) -> str:
    """The language of somebody who has not signed in: as her browser asks."""
    asked = request.headers.get("accept-language", "").lower()
    places = {language: asked.find(code) for language, code in ((ZH, "zh"), (EN, "en")) if code in asked}
    return min(places, key=lambda language: places[language], default=ZH)


def sign_in_page(request: Request, language: str, error_code: str | None, csrf: str) -> HTMLResponse:
    """Where one signs in. ``error_code`` says why the last attempt failed: wrong, throttled, disabled, expired, csrf."""
    message = _SIGN_IN_ERRORS.get(error_code, _SIGN_IN_ERRORS["wrong"]) if error_code else None
    status = {None: 200, "expired": 200, "throttled": 429}.get(error_code, 401)
    return render(request, "sign_in.html", status, words=Words.of(language), error=message, csrf=csrf)


def error_page(request: Request, status: int, language: str) -> HTMLResponse:
    """What went wrong, in plain words and without blame."""
    title, explanation = _ERRORS.get(status, _ERRORS[500 if status >= 500 else 404])
    return render(request, "error.html", status, words=Words.of(language), title=title, explanation=explanation)


def back_to(path: str, told: str | None = None) -> Response:
    """After a form: on to a page of our own, with a short word about what happened. Never to another site."""
    parts = urlsplit(path)
    own = parts.path if parts.path.startswith("/") and not parts.scheme and not parts.netloc else "/"
    own = "/" + own.lstrip("/\\")
    return RedirectResponse(f"{own}?told={told}" if told else own, 303)


class PageRoute(APIRoute):
    """A route whose refusals are pages for people, in their language."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with what it raises put into words."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answer(request)
            except Refused as refused:
                status = refused.status
            except Unavailable:
                status = 503
            except RequestValidationError:
                status = 404 if request.method == "GET" else 400
            response = error_page(request, status, _language(request))
            if status == 503:
                response.headers["Retry-After"] = "10"
            return response

        return handler


def _language(request: Request) -> str:
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    language = visitor.language if visitor else language_of(request)
    return language if language in LANGUAGES else ZH
