"""Round every request: the headers that keep a browser safe, and how long the answer took."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import REQUESTS
from clinicians.pages import STATIC, static

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_TWO_YEARS: Final = "max-age=63072000"


class Around:
    """Adds the headers and measures. ``https`` says that people reach the service by TLS only."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {**_HEADERS, **({"Strict-Transport-Security": _TWO_YEARS} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if "cache-control" not in headers:
                    headers["Cache-Control"] = (
                        _FOR_EVER if status in (200, 304) and _bears_its_content(scope) else "no-store"
                    )
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - began
            if scope["path"] != "/live":  # a stream lasts as long as its page
                REQUESTS.labels(scope["method"], _route(scope), str(status)).observe(seconds)


def _bears_its_content(scope: Scope) -> bool:
    """Whether the address is that of a static file as it is now (:func:`clinicians.pages.static`)."""
    folder, _, name = scope["path"].rpartition("/static/")
    if folder or not (STATIC / name).is_file():
        return False
    return bool(static(name).partition("?")[2].encode() == scope["query_string"])


def _route(scope: Scope) -> str:
    """The route's pattern, not the path: a path may hold a resident's number, and there are many."""
    return str(getattr(scope.get("route"), "path", None) or "none")
