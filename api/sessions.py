"""Signing in and staying signed in.

The cookie is random and the record keeps only its SHA-256; the password is kept as argon2id. Guessing is slowed
down by name and by address. Every form of a page carries the session's own token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Final
from urllib.parse import urlsplit

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from api.gateways import address_of
from api.metrics import SIGN_INS
from api.problems import Problem, page_language
from clinicians.pages import sign_in_page
from clinicians.visitor import Visitor
from store import audit, people
from store.people import Account
from store.postgres import Database

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)

COOKIE: Final = "__Host-hearthwatch"
FORM_COOKIE: Final = "__Host-hearthwatch-form"
"""Ties the sign-in form to the browser that asked for it."""
_NEXT_COOKIE: Final = "__Host-hearthwatch-next"
_LANGUAGE_COOKIE: Final = "hearthwatch-language"
_A_YEAR_S: Final = 365 * 24 * 3600

IDLE: Final = MappingProxyType(
    {
        "doctor": timedelta(hours=12),
        "care_worker": timedelta(hours=12),
        "administrator": timedelta(hours=1),
        "family": timedelta(days=30),
        "resident": timedelta(days=365),
    }
)
"""How long a sign-in lives unused. Staff: a shift. A resident's tablet on the sideboard stays signed in."""
_TOUCH_EVERY: Final = timedelta(minutes=1)

GUESS_WINDOW: Final = timedelta(minutes=15)
GUESSES_BY_NAME: Final = 10
GUESSES_BY_ADDRESS: Final = 50
"""A whole health centre may share one address."""

_hasher: Final = PasswordHasher()
_NOBODY: Final = _hasher.hash(secrets.token_urlsafe(16))
"""Checked when there is no such account, so that the answer takes as long as for one there is."""
_at_once: Final = asyncio.Semaphore(2)
"""Each check takes 64 MiB for a twentieth of a second."""


class NotSignedIn(Exception):
    """Nobody is signed in; a page sends to the sign-in, anything else is answered with 401."""


def hash_password(password: str) -> str:
    """A password as the record keeps it: argon2id in PHC form."""
    return _hasher.hash(password)


def token_hash(token: str) -> bytes:
    """What the record keeps of a session's cookie."""
    return hashlib.sha256(token.encode()).digest()


async def visitor(request: Request) -> Visitor:
    """Who is signed in, also as ``request.state.visitor``. Raises :class:`NotSignedIn` otherwise."""
    token = request.cookies.get(COOKIE)
    state = request.app.state
    found = await _visitor_of(state.database, token_hash(token), state.clock()) if token else None
    if found is None:
        raise NotSignedIn
    request.state.visitor = found
    return found


async def _visitor_of(database: Database, hashed: bytes, asked_at: datetime) -> Visitor | None:
    now = datetime.now(UTC)
    async with database.service() as c:
        session = await people.session(c, hashed, now)
        person = await people.person(c, session.person_id) if session else None
        if session is None or person is None:
            return None
        if now - session.last_used_at >= _TOUCH_EVERY:
            await people.touch_session(c, hashed, now, now + IDLE[session.face])
    name = person.name(person.language)
    return Visitor(person.id, session.face, session.csrf_token, person.language, name, asked_at)


async def is_open(database: Database, hashed: bytes) -> bool:
    """Whether a session still holds, without counting as its use: a forgotten open page does not keep it alive."""
    async with database.service() as c:
        return await people.session(c, hashed, datetime.now(UTC)) is not None


async def check_csrf(request: Request, visitor: Annotated[Visitor, Depends(visitor)]) -> None:
    """Refuse a form that did not come from a page of this session."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if not _same(await _sent_token(request), visitor.csrf):
        log.warning("csrf_refused", path=request.url.path, person=str(visitor.person_id))
        raise Problem(403, "csrf", "this form is too old or came from somewhere else; open the page again")


async def _sent_token(request: Request) -> str:
    if header := request.headers.get("x-csrf-token"):
        return header
    return await _field(request, "csrf")


async def _field(request: Request, name: str) -> str:
    sent = (await request.form()).get(name)
    return sent if isinstance(sent, str) else ""


def _same(sent: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(sent.encode(), expected.encode())


def on_not_signed_in(request: Request, error: Exception) -> Response:
    """A page leads to the sign-in and, after it, back; everything else is told 401."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        raise Problem(401, "sign_in_needed", "sign in first")
    response = RedirectResponse("/sign-in?again=1" if COOKIE in request.cookies else "/sign-in", 303)
    if request.url.path != "/":
        _set_cookie(response, _NEXT_COOKIE, request.url.path, 600)
    return response


@router.get("/sign-in")
async def show_sign_in(request: Request, again: bool = False) -> Response:
    """The form; ``again`` says that a sign-in has run out."""
    return _form(request, "expired" if again else None)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Check a name and password and open a session."""
    if not _same(await _field(request, "csrf"), request.cookies.get(FORM_COOKIE, "")):
        return _form(request, "csrf")
    username, password = await _field(request, "username"), await _field(request, "password")
    account, trouble = await _authenticate(request, _clean(username), password)
    if account is None:
        return _form(request, trouble)
    return await _open_session(request, account)


def _form(request: Request, trouble: str | None) -> Response:
    token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    response = sign_in_page(request, page_language(request), trouble, token)
    _set_cookie(response, FORM_COOKIE, token, 24 * 3600)
    return response


async def _authenticate(request: Request, username: str, password: str) -> tuple[Account | None, str | None]:
    database: Database = request.app.state.database
    now, address = datetime.now(UTC), address_of(request)
    async with database.service() as c:
        by_name, by_address = await people.failed_sign_ins(c, username, address, now - GUESS_WINDOW)
        if by_name >= GUESSES_BY_NAME or by_address >= GUESSES_BY_ADDRESS:
            SIGN_INS.labels("throttled").inc()
            log.warning("sign_in_throttled", address=address)
            return None, "throttled"
        # Written down before the password is looked at, so that many guesses at once are counted too.
        await people.note_failed_sign_in(c, username, address, now)
        account = await people.account(c, username)
    right = await _password_is_right(account, password)
    async with database.service() as c:
        if account is not None and right and account.disabled_at is None:
            await people.forget_failed_sign_ins(c, username, address)
            if _hasher.check_needs_rehash(account.password_hash):
                await people.set_password_hash(c, account.person_id, await _hash(password))
            return account, None
        await audit.record(c, "sign_in_refused", account.person_id if account else None, address=address)
    SIGN_INS.labels("wrong").inc()
    log.warning("sign_in_refused", address=address)
    return None, "disabled" if right else "wrong"


async def _password_is_right(account: Account | None, password: str) -> bool:
    hashed = account.password_hash if account else _NOBODY

    def verify() -> bool:
        try:
            return _hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async with _at_once:
        right = await asyncio.to_thread(verify)
    return right and account is not None


async def _hash(password: str) -> str:
    async with _at_once:
        return await asyncio.to_thread(hash_password, password)


async def _open_session(request: Request, account: Account) -> Response:
    database: Database = request.app.state.database
    now, token = datetime.now(UTC), secrets.token_urlsafe(32)
    async with database.service() as c:
        if old := request.cookies.get(COOKIE):
            await people.close_session(c, token_hash(old))
        await people.forget_old(c, now, now - GUESS_WINDOW)
        await people.open_session(
            c, token_hash(token), account.person_id, secrets.token_urlsafe(32), now + IDLE[account.face]
        )
        await audit.record(c, "signed_in", account.person_id, address=address_of(request))
    SIGN_INS.labels("signed_in").inc()
    log.info("signed_in", person=str(account.person_id), face=account.face)
    response = RedirectResponse(_own_path(request.cookies.get(_NEXT_COOKIE, "/")), 303)
    _set_cookie(response, COOKIE, token, int(IDLE[account.face].total_seconds()) if account.face in _STAY else None)
    for name in (FORM_COOKIE, _NEXT_COOKIE):
        _drop_cookie(response, name)
    return response


_STAY: Final = frozenset({"family", "resident"})
"""Whose cookie outlives the browser; staff often share a computer."""


@router.post("/sign-out")
async def sign_out(
    request: Request, visitor: Annotated[Visitor, Depends(visitor)], _: Annotated[None, Depends(check_csrf)]
) -> Response:
    """End this session; its cookie opens nothing any more."""
    database: Database = request.app.state.database
    async with database.service() as c:
        await people.close_session(c, token_hash(request.cookies[COOKIE]))
        await audit.record(c, "signed_out", visitor.person_id)
    response = RedirectResponse("/sign-in", 303)
    _drop_cookie(response, COOKIE)
    # What the browser kept of a resident's pages goes too: staff share computers.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/language")
async def change_language(request: Request) -> Response:
    """Speak the chosen language from now on: to this person everywhere, or to this browser before sign-in."""
    language, back = await _field(request, "language"), await _field(request, "next")
    if language not in ("zh_Hans", "en"):
        raise Problem(400, "unknown_language", "the language is zh_Hans or en", field="language")
    database: Database = request.app.state.database
    try:
        who = await visitor(request)
    except NotSignedIn:
        if not _same(await _sent_token(request), request.cookies.get(FORM_COOKIE, "")):
            return _form(request, "csrf")
    else:
        await check_csrf(request, who)
        async with database.service() as c:
            await people.set_language(c, who.person_id, language)
    response = RedirectResponse(_own_path(back or urlsplit(request.headers.get("referer", "")).path), 303)
    _set_cookie(response, _LANGUAGE_COOKIE, language, _A_YEAR_S)
    return response


def _own_path(path: str) -> str:
    """A path of this service, whatever was asked for: nobody is led to another site."""
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not path.startswith("/") or "\\" in path or not path.isprintable():
        return "/"
    return "/" + path.lstrip("/")


def _clean(username: str) -> str:
    return username.replace("\0", "").strip().lower()[:100]


def _set_cookie(response: Response, name: str, value: str, max_age_s: int | None) -> None:
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="lax")


def _drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
