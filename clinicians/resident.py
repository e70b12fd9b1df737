"""The resident's own page: big letters, one thing at a time, a spoken word, and help at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, Response

from alerts import actions, judging
from alerts.deployment import Protocols, in_force, made_by
from alerts.judging import Target
from clinicians import cases, vitals
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Refused, ResidentHerself
from clinicians.words import N_, Words
from store import alerts, gateways, portal, readings, residents
from store.alerts import Prompt
from store.gateways import Device
from store.postgres import Database
from store.readings import Latest
from store.residents import Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

EMERGENCY_NUMBER: Final = "120"

_GREETINGS: Final = (
    (5, N_("Hello")),
    (11, N_("Good morning")),
    (13, N_("Good day")),
    (18, N_("Good afternoon")),
    (24, N_("Good evening")),
)
_STANDINGS: Final = {
    "within": N_("That is good."),
    "above": N_("That is above your target. Rest a while; your doctor can see it too."),
    "below": N_("That is below your target. Get up slowly; sit down if you feel dizzy. Your doctor can see it too."),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """The one thing her page says now. ``kind``: ``are_you_well``, ``help``, ``repeat_measurement``, ``said_well`` or ``calm``."""

    kind: str
    title: str
    lines: tuple[str, ...]

    @property
    def spoken(self) -> str:
        """What the page reads aloud; a voice pauses at the end of a line."""
        return "\n".join((self.title, *self.lines))


def scene(
    resident: Resident,
    target: Target,
    prompts: Sequence[Prompt],
    open_cases: Sequence[cases.Case],
    latest: Mapping[str, Latest],
    protocols: Protocols,
    words: Words,
) -> Scene:
    """Most pressing first: is she well; help is being called; measure again; else how things stand."""
    if asked := [prompt for prompt in prompts if prompt.kind == "are_you_well"]:
        return Scene("are_you_well", words.gettext("Are you well?"), _question(asked[0], protocols, words))
    if pressing := [case for case in open_cases if not case.is_task and case.standing != "cancelled"]:
        return _help(min(pressing, key=lambda case: case.standing != "waiting"), words)
    if repeats := [prompt for prompt in prompts if prompt.kind == "repeat_measurement"]:
        return Scene(
            "repeat_measurement", words.gettext("Please measure once more"), _question(repeats[0], protocols, words)
        )
    return _calm(resident, target, latest, words, said_well=any(case.standing == "cancelled" for case in open_cases))


def _question(prompt: Prompt, protocols: Protocols, words: Words) -> tuple[str, ...]:
    """What the rule that asks her says: why, what to measure again, and how. Nothing where nobody knows it any more."""
    rule = protocols.rule(prompt.protocol, prompt.rule)
    return (rule.ask.sentence(words.language),) if rule and rule.ask else ()


def _help(case: cases.Case, words: Words) -> Scene:
    if case.standing == "attended":
        title = words.gettext("%(who)s is looking after you", who=case.taken_by)
    elif case.standing == "taken":
        title = words.gettext("%(who)s knows and will be in touch", who=case.taken_by)
    elif case.standing == "shelved":
        title = words.gettext("The health centre knows and will look again")
    elif case.exhausted_at:
        title = words.gettext("We are still calling somebody for you")
    else:
        title = words.gettext("We are calling somebody for you")
    return Scene("help", title, (case.sentence, words.gettext("If you can, keep the telephone beside you.")))


def _calm(
    resident: Resident, target: Target, latest: Mapping[str, Latest], words: Words, *, said_well: bool = False
) -> Scene:
    if said_well:
        title = words.gettext("Good to hear that you are well")
        return Scene("said_well", title, (words.gettext("Somebody from the health centre will ask how you are."),))
    greeting = words.gettext("%(greeting)s, %(name)s", greeting=_greeting(words), name=resident.name(words.language))
    pressure = vitals.pressure(latest, target, words)
    if pressure is None:
        return Scene("calm", greeting, (words.gettext("Nothing has been measured yet."),))
    upper, _, lower = pressure.text.partition("/")
    measured = words.gettext(
        "Your blood pressure %(when)s: %(upper)s over %(lower)s.",
        when=words.when(pressure.at),
        upper=upper,
        lower=lower,
    )
    if pressure.is_stale:
        return Scene("calm", greeting, (measured, words.gettext("That is some time ago. Please measure today.")))
    return Scene("calm", greeting, (measured, words.gettext(_STANDINGS[pressure.standing])))


def _greeting(words: Words) -> str:
    hour = words.local(words.now).hour
    return words.gettext(next(text for until, text in _GREETINGS if hour < until))


@router.get("/me")
async def show(request: Request, visitor: ResidentHerself) -> Response:
    """Her own page."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        resident = await residents.herself(c, visitor.person_id)
        if resident is None:
            raise Refused(404)
        words = Words.of(visitor.language, resident.time_zone, visitor.now)
        centre = await portal.centre_of(c, visitor.person_id)
        prompts = await alerts.open_prompts(c, resident.id, words.now)
        rows = await alerts.open_alerts(c, resident.id)
        protocols = await made_by(c, await in_force(c, words.now), [*rows, *prompts])
        target = await judging.target_of(c, protocols.present, resident.id, words.now)
        names = await portal.names(c, cases.named(rows))
        latest = (await readings.latest(c, resident.id)).get(resident.id, {})
        devices = await gateways.devices(c, resident.id)
    known = [cases.case(row, protocols, "resident", words, names, visitor.person_id) for row in rows]
    return render(
        request,
        "me.html",
        words=words,
        scene=scene(resident, target, prompts, known, latest, protocols, words),
        pressure=vitals.pressure(latest, target, words),
        pulse=latest.get("pulse"),
        centre_phone=centre.phone if centre else None,
        emergency=EMERGENCY_NUMBER,
        can_call=speaker(devices) is not None,
    )


def speaker(devices: Sequence[Device]) -> Device | None:
    """The device in whose name her page speaks: the one she would otherwise press, else any she has."""
    order = ("wearable", "help_button")
    pressed = (device for kind in order for device in devices if device.kind == kind)
    return next(pressed, devices[0] if devices else None)


@router.post("/me/answer")
async def answer(
    request: Request, visitor: ResidentHerself, said: Annotated[Literal["well", "help"], Form()]
) -> Response:
    """What she says herself, on its way to the watch as if she had pressed the button on her wrist.

    ``well`` is what the wearable's button says too (``said_well``), ``help`` the help button's call.
    """
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        resident = await residents.herself(c, visitor.person_id)
        device = speaker(await gateways.devices(c, resident.id)) if resident else None
    if resident is None or device is None:
        raise Refused(404)
    async with database.service() as c:
        prompts = await alerts.open_prompts(c, resident.id, visitor.now)
        # She answers what has happened, though her gateway's clock was ahead when it told of it.
        at = max([visitor.now, *(prompt.asked_at for prompt in prompts)])
        detail = {} if said == "help" else _after_fall(prompts, at)
        metric = "help_call" if said == "help" else "said_well"
        await portal.say(c, resident.id, device.id, metric, at, detail, visitor.now)
        await alerts.answer_prompts(c, resident.id, "are_you_well", said, visitor.now)
        if said == "well":
            await actions.cancel(c, resident.id, visitor.person_id, visitor.now)
    return back_to("/me")


def _after_fall(prompts: Sequence[Prompt], now: datetime) -> dict[str, float]:
    """How long after a suspected fall she answers, in seconds; empty when she is asked about none."""
    fell_at = [prompt.asked_at for prompt in prompts if prompt.rule == "fall"]
    return {"after_fall_s": round((now - max(fell_at)).total_seconds(), 1)} if fell_at else {}
