"""How I am reached: my addresses and whether they are proved, a test of each way, and which way for which alerts."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response

from alerts import contact, reach
from alerts.channels import ChannelName
from alerts.channels.push import PushKeys, is_push_service, is_subscription
from alerts.contact import Kind
from alerts.policy import PRIORITIES
from alerts.reach import CHANNELS, Choice
from clinicians.administrator.residents import e164, region_of
from clinicians.doctor import words_of
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Refused, Visitor, current
from clinicians.words import N_, Words
from store import audit, contacts, people, policies, portal
from store.contacts import Asked, Tried, Unreachable
from store.people import Person
from store.postgres import Connection, Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = "/contact"
DELAYS_S: Final = (0, 15, 30, 45, 60, 120, 300, 900, 1800)
"""After how many seconds a channel can be chosen to be used."""
_EMAIL: Final = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+")
_LONGEST: Final = 254
_RECENT: Final = timedelta(days=30)

TITLES: Final[Mapping[ChannelName, str]] = MappingProxyType(
    {"sms": N_("SMS"), "voice": N_("Telephone call"), "push": N_("Message in the browser"), "email": N_("E-mail")}
)
_PRIORITY_TITLES: Final = MappingProxyType(
    {
        "high": N_("Emergencies: falls, calls for help, values that threaten life"),
        "medium": N_("What must be seen to today"),
        "low": N_("What can wait, and tasks"),
    }
)
_TOLD: Final = {
    "code_sent": N_("A code is on its way. Enter it below within ten minutes."),
    "taken": N_("This telephone number is somebody else's."),
    "too_often": N_("That was asked for too often. Please wait a little and try again."),
    "proved": N_("Confirmed: it is yours, and messages arrive there."),
    "wrong": N_("That is not the code. Please look at it once more."),
    "over": N_("This code is good no longer. Please have a new one sent."),
    "phone": N_("This is not a telephone number that can be called."),
    "email": N_("This is not an e-mail address."),
    "saved": N_("Saved. From the next alert on you are reached like this."),
    "reset": N_("You are reached as the service does it by itself again."),
    "test_sent": N_("On its way. What came of it is shown beside it in a moment."),
    "no_way": N_("There is no such way to you yet."),
    "removed": N_("Removed."),
    "quiet": N_("Saved. At these hours you are not called."),
    "subscribed": N_("This browser shows messages from now on."),
}
_WRONG: Final = frozenset({"taken", "too_often", "wrong", "over", "phone", "email", "no_way"})
_FAULTS: Final = {
    "nothing": N_("Choose at least one way for each kind of alert."),
    "no_telephone": N_("For emergencies SMS or a call must stay on: a browser may be closed, a mail unread."),
    "telephone_too_late": N_("For emergencies SMS or a call must come within one minute."),
    "too_late": N_("A way can wait for half an hour at most."),
}
_FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("opted_out", "21610", "STOP"), N_("SMS from us are stopped on this telephone"))
    | dict.fromkeys(
        ("dead", "21211", "21214", "21217", "21265", "13223", "13224", "30005"), N_("there is no such address")
    )
    | dict.fromkeys(("21614", "30006"), N_("this is a landline, which takes no SMS"))
    | dict.fromkeys(("21408", "21612", "21215"), N_("our provider does not reach this country or network"))
    | dict.fromkeys(("30004", "21216"), N_("the network blocks it"))
    | {
        "30003": N_("the telephone is off or out of reach"),
        "30007": N_("the network took it for advertising"),
        "busy": N_("busy"),
        "no-answer": N_("nobody answered"),
        "machine": N_("a mailbox answered"),
        "hung_up": N_("hung up before it was read"),
        "expired": N_("it could not be sent in time"),
        "unheard": N_("nothing says that it arrived"),
        "no_browser": N_("no browser of yours lets messages in any more"),
    }
)
"""Why something did not arrive, by the provider's code or our word."""


@dataclass(frozen=True, slots=True)
class WayLine:
    """One channel: where it leads, whether a test can be sent, and what came of the last. ``mark``: within, silent, medium.

    ``trouble`` says why its address takes nothing, ``is_stopped`` that she has stopped it herself.
    """

    channel: ChannelName
    title: str
    address: str
    tested: str
    mark: str
    trouble: str
    is_stopped: bool
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One delay in a list of them."""

    seconds: str
    text: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What is chosen for one priority, channel by channel."""

    priority: str
    title: str
    channels: tuple[tuple[ChannelName, str, tuple[Option, ...]], ...]


def anybody_called(request: Request) -> Visitor:
    """Whoever may be called to an alert: everybody but a resident."""
    visitor = current(request)
    if visitor.face == "resident":
        raise Refused(403)
    return visitor


Called = Annotated[Visitor, Depends(anybody_called)]


@router.get(PAGE)
async def show(request: Request, visitor: Called) -> Response:
    """The page."""
    return await _page(request, visitor)


async def _page(
    request: Request, visitor: Visitor, problem: str = "", wishes: Mapping[str, Sequence[Choice]] | None = None
) -> Response:
    keys: PushKeys | None = request.app.state.push_keys
    told, now = request.query_params.get("told", ""), visitor.now
    async with _database(request).reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        mine = await contacts.contact(c, visitor.person_id)
        channels = await contacts.channels(c)
        chosen = await contacts.preferences(c, visitor.person_id)
        tests = await contacts.tests_since(c, visitor.person_id, now - _RECENT)
        browsers = await contacts.browsers(c, visitor.person_id)
        asked = await contacts.asked(c, visitor.person_id, now)
        failing = await contacts.unreachable_by(c, visitor.person_id)
        quiet = await contacts.quiet_hours(c, visitor.person_id)
    assert mine is not None, "whoever is signed in is a person of the record"
    available = tuple(channel for channel in CHANNELS if channel in (channels or ("sms",)))
    profile = contacts.Profile(
        visitor.person_id, visitor.face, mine.phone, mine.email, bool(browsers), None, [], channels
    )
    wished = wishes or {p: _wish(chosen.get(p), visitor.face, p) for p in PRIORITIES}
    return render(
        request,
        "contact.html",
        400 if problem else 200,
        words=words,
        mine=mine,
        ways=_ways(reach.addresses(profile), tests, {one.channel: one for one in failing}, words),
        browsers=browsers,
        asked=_by_kind(asked),
        can_push=keys is not None and "push" in available,
        push_key=keys.public if keys else "",
        can_call="voice" in available,
        can_mail="email" in available,
        wishes=[_shown(priority, wished[priority], available, words) for priority in PRIORITIES],
        has_chosen=bool(chosen),
        quiet=quiet,
        told=words.gettext(_TOLD[told]) if told in _TOLD and told not in _WRONG else "",
        problem=problem or (words.gettext(_TOLD[told]) if told in _WRONG else ""),
    )


@router.post(PAGE + "/phone")
async def ask_phone(
    request: Request,
    visitor: Called,
    number: Annotated[str, Form(max_length=40)],
    by: Annotated[Literal["sms", "voice"], Form()] = "sms",
) -> Response:
    """Have a code sent to a telephone, the present one or another."""
    async with _database(request).reader(visitor.person_id) as c:
        centre = await portal.centre_of(c, visitor.person_id)
    phone = e164(number, region_of(centre.phone if centre else None))
    if phone is None:
        return back_to(PAGE, "phone")
    return await _ask(request, visitor, "phone", phone, by)


@router.post(PAGE + "/email")
async def ask_email(request: Request, visitor: Called, address: Annotated[str, Form(max_length=_LONGEST)]) -> Response:
    """Have a code sent to an e-mail address."""
    if not _EMAIL.fullmatch(address.strip()) or not address.isascii():
        return back_to(PAGE, "email")
    return await _ask(request, visitor, "email", address.strip(), None)


async def _ask(request: Request, visitor: Visitor, kind: Kind, address: str, by: ChannelName | None) -> Response:
    async def ask(c: Connection, person: Person) -> str:
        outcome = await contact.ask_for_proof(c, person, kind, address, visitor.now, by=by)
        return "code_sent" if outcome == "sent" else outcome

    return await _change(request, visitor, ask, kind)


@router.post(PAGE + "/code")
async def enter_code(
    request: Request,
    visitor: Called,
    kind: Annotated[Kind, Form()],
    code: Annotated[str, Form(max_length=20)],
) -> Response:
    """Enter the code that came."""

    async def prove(c: Connection, person: Person) -> str:
        return await contact.prove(c, person.id, kind, code, visitor.now)

    return await _change(request, visitor, prove, kind)


@router.post(PAGE + "/email/remove")
async def remove_email(request: Request, visitor: Called) -> Response:
    """No e-mail any more."""

    async def remove(c: Connection, person: Person) -> str:
        await contacts.remove_email(c, person.id)
        return "removed"

    return await _change(request, visitor, remove, "email")


@router.post(PAGE + "/test")
async def send_test(request: Request, visitor: Called, channel: Annotated[ChannelName, Form()]) -> Response:
    """Send a test by one channel."""

    async def test(c: Connection, person: Person) -> str:
        outcome = await contact.test(c, person, channel, visitor.now)
        return "test_sent" if outcome == "sent" else outcome

    return await _change(request, visitor, test, "ways")


@router.post(PAGE + "/push")
async def subscribe(
    request: Request,
    visitor: Called,
    endpoint: Annotated[str, Form(max_length=2000)],
    p256dh: Annotated[str, Form(max_length=200)],
    auth: Annotated[str, Form(max_length=60)],
) -> Response:
    """This browser shows messages from now on."""
    hosts: Sequence[str] = request.app.state.push_hosts
    if not is_push_service(endpoint, hosts) or not is_subscription(p256dh, auth):
        raise Refused(400)
    browser = browser_of(request.headers.get("user-agent", ""))

    async def keep(c: Connection, person: Person) -> str:
        await contacts.subscribe(c, person.id, endpoint, p256dh, auth, browser, visitor.now)
        return "subscribed"

    return await _change(request, visitor, keep, "push")


@router.post(PAGE + "/push/{number}/remove")
async def unsubscribe(request: Request, visitor: Called, number: int) -> Response:
    """One browser shows no messages any more."""

    async def remove(c: Connection, person: Person) -> str:
        if not await contacts.unsubscribe(c, person.id, number):
            raise Refused(404)
        return "removed"

    return await _change(request, visitor, remove, "push")


@router.post(PAGE + "/preferences")
async def choose(request: Request, visitor: Called) -> Response:
    """Which way for which alerts, and how soon."""
    form = await request.form()
    if "reset" in form:

        async def forget(c: Connection, person: Person) -> str:
            await contacts.forget_preferences(c, person.id)
            return "reset"

        return await _change(request, visitor, forget, "wishes")
    wishes = {p: _chosen({k: str(v) for k, v in form.items()}, p) for p in PRIORITIES}
    if wrong := [code for p, choices in wishes.items() for code in reach.faults(choices, p)]:
        words = Words.of(visitor.language)
        return await _page(request, visitor, words.gettext(_FAULTS[wrong[0]]), wishes)

    async def keep(c: Connection, person: Person) -> str:
        for priority, choices in wishes.items():
            await contacts.set_preference(c, person.id, priority, reach.content(choices), visitor.now)
        return "saved"

    return await _change(request, visitor, keep, "wishes")


@router.post(PAGE + "/quiet/{resident_id}")
async def keep_quiet(
    request: Request,
    visitor: Called,
    resident_id: int,
    begins: Annotated[time, Form()],
    ends: Annotated[time, Form()],
) -> Response:
    """A relative says at which hours she is not called to a resident's alerts."""

    async def keep(c: Connection, person: Person) -> str:
        await policies.set_quiet_hours(c, person.id, resident_id, (begins, ends))
        return "quiet"

    return await _change(request, visitor, keep, "quiet")


def browser_of(agent: str) -> str:
    """A browser and its machine in two words, so that its owner knows which it is."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    machine = next((name for sign, name in _MACHINES if sign in agent), "")
    return " · ".join(part for part in (browser, machine) if part)


_BROWSERS: Final = (
    ("MicroMessenger", "WeChat"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("HuaweiBrowser", "Huawei"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_MACHINES: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)


def why_not(error: str | None, words: Words) -> str:
    """Why something did not arrive, in words; a provider's code that we have none for as it is."""
    if error is not None and error in _FAILURES:
        return words.gettext(_FAILURES[error])
    return words.gettext("the network says %(code)s", code=error or "?")


def _ways(
    addresses: Mapping[ChannelName, str], tests: Sequence[Tried], failing: Mapping[str, Unreachable], words: Words
) -> list[WayLine]:
    newest = {channel: next(found) for channel, found in groupby(sorted(tests, key=_newest_first), lambda t: t.channel)}
    return [
        WayLine(
            channel,
            words.gettext(TITLES[channel]),
            "" if channel == "push" else address,
            *_came_of(newest.get(channel), words),
            trouble=why_not(failing[channel].error, words) if channel in failing else "",
            is_stopped=channel in failing and failing[channel].why == "opted_out",
            is_waiting=_waits(newest.get(channel), words.now),
        )
        for channel, address in addresses.items()
    ]


def _newest_first(test: Tried) -> tuple[str, float]:
    return test.channel, -test.created_at.timestamp()


def _came_of(test: Tried | None, words: Words) -> tuple[str, str]:
    if test is None:
        return words.gettext("not tried yet"), "silent"
    if test.state == "delivered" and test.delivered_at:
        return words.gettext("Test arrived %(when)s", when=words.when(test.delivered_at)), "within"
    if test.state == "failed":
        return words.gettext("Test failed: %(why)s", why=why_not(test.error, words)), "medium"
    if test.state == "sent" and test.sent_at:
        return words.gettext(
            "Test handed over %(when)s; no word of its arrival", when=words.when(test.sent_at)
        ), "silent"
    return words.gettext("Test on its way since %(when)s", when=words.when(test.created_at)), "silent"


def _waits(test: Tried | None, now: datetime) -> bool:
    """Whether more may be heard of a test: the page looks again by itself."""
    if test is None or now >= test.expires_at or (test.channel == "email" and test.state == "sent"):
        return False
    return test.state in ("due", "sending", "uncertain", "sent")


def _by_kind(asked: Sequence[Asked]) -> dict[str, Asked]:
    return {one.kind: one for one in asked}


def _wish(kept: list[dict[str, Any]] | None, face: str, priority: str) -> Sequence[Choice]:
    return reach.shipped(face, priority) if kept is None else reach.parse(kept)


def _shown(priority: str, choices: Sequence[Choice], available: Sequence[ChannelName], words: Words) -> Wish:
    after = {choice.channel: round(choice.after.total_seconds()) for choice in choices}
    lists = tuple((name, words.gettext(TITLES[name]), _options(after.get(name), words)) for name in available)
    return Wish(priority, words.gettext(_PRIORITY_TITLES[priority]), lists)


def _options(chosen: int | None, words: Words) -> tuple[Option, ...]:
    delays = sorted({*DELAYS_S, *(() if chosen is None else (chosen,))})
    off = Option("", words.gettext("not used"), chosen is None)
    return (off, *(Option(str(s), _after(s, words), s == chosen) for s in delays))


def _after(seconds: int, words: Words) -> str:
    if seconds == 0:
        return words.gettext("at once")
    if seconds < 60 or seconds % 60:
        return words.gettext("after %(n)s seconds", n=seconds)
    return words.ngettext("after %(n)s minute", "after %(n)s minutes", seconds // 60)


def _chosen(form: Mapping[str, str], priority: str) -> tuple[Choice, ...]:
    """What the lists of one priority say, soonest first. Raises :class:`Refused` for what no list offers."""
    given = {channel: form.get(f"{priority}-{channel}", "") for channel in CHANNELS}
    try:
        found = [Choice(channel, timedelta(seconds=int(text))) for channel, text in given.items() if text]
    except (ValueError, OverflowError):
        raise Refused(400) from None
    return tuple(sorted(found, key=lambda choice: choice.after))


async def _change(
    request: Request,
    visitor: Visitor,
    change: Callable[[Connection, Person], Coroutine[Any, Any, str]],
    place: str,
) -> Response:
    """Change something of the visitor's own as the service, and go back to where it stands with what came of it."""
    async with _database(request).service() as c:
        person = await _person(c, visitor.person_id)
        told = await change(c, person)
        await audit.record(c, "contact_changed", person.id, what=place, outcome=told)
    return back_to(PAGE, told)


async def _person(c: Connection, person_id: UUID) -> Person:
    person = await people.person(c, person_id)
    assert person is not None, "whoever is signed in is a person of the record"
    return person


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database
