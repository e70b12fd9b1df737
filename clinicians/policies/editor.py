"""Writing a policy: a plain form, tried out on the real rota before it is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from alerts import policy
from alerts.policy import MOST_STEPS, PRIORITIES, SHIPPED, Policy, PolicyError, Target
from clinicians.pages import PageRoute, back_to, render
from clinicians.policies import simulation
from clinicians.policies import words as speech
from clinicians.policies.form import PolicyForm, StepError, code
from clinicians.policies.overview import HERE, Shelf, look_up
from clinicians.policies.story import Story
from clinicians.rota import forms, times
from clinicians.rota.desk import Office, office
from clinicians.rota.homes import choices, chosen, next_night
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import audit, policies

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_FARTHEST: Final = timedelta(days=366)
_NO_NAME: Final = N_("Please write the name in both scripts; write the same twice if there is only one.")
_LOOK: Final = N_("This is what would happen. If it is right, save it.")
_UNITS: Final = {"s": N_("seconds"), "min": N_("minutes"), "h": N_("hours")}


@dataclass(frozen=True, slots=True)
class Trial:
    """With what a policy is tried: a resident (``None``: the centre has none), a moment, a priority."""

    resident: int | None
    at: datetime
    priority: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy being written: the form, what was read from it, what is wrong, and what it would do."""

    form: PolicyForm
    written: Policy | None
    error: str
    wrong_step: int
    faults: tuple[tuple[int, str], ...]
    told: Story | None

    @property
    def may_be_kept(self) -> bool:
        """Whether it is a policy that cannot end with nobody."""
        return self.written is not None and not self.faults and not self.error


@router.get(f"{HERE}/new")
async def write_new(request: Request, visitor: Administrator) -> Response:
    """Another policy; ``like`` in the address is a priority, whose shipped policy it begins with."""
    like = request.query_params.get("like", "high")
    if like not in PRIORITIES:
        raise Refused(404)
    return await _show(request, visitor, 0, PolicyForm.of(SHIPPED[like], "", ""), like)


@router.get(f"{HERE}/{{policy_id}}")
async def write_again(request: Request, visitor: Administrator, policy_id: int) -> Response:
    """One policy."""
    async with office(request, visitor) as desk:
        row = await _row(desk, policy_id)
        priority = next(
            (u.priority for u in await policies.uses(desk.c, desk.centre.id) if u.policy_id == row.id), "high"
        )
    form = PolicyForm.of(policy.parse(row.content), row.name_zh, row.name_en)
    return await _show(request, visitor, policy_id, form, priority)  # fmt: skip


async def _row(desk: Office, policy_id: int) -> policies.PolicyRow:
    row = await policies.policy(desk.c, policy_id)
    if row is None or row.centre_id != desk.centre.id:
        raise Refused(404)
    return row


async def _show(request: Request, visitor: Visitor, policy_id: int, form: PolicyForm, priority: str) -> Response:
    async with office(request, visitor) as desk:
        shelf = await look_up(desk)
        home = chosen(request.query_params.get("resident", ""), list(shelf.homes))
        trial = Trial(home.resident_id if home else None, next_night(desk.words), priority)
        draft = await _draft(desk, shelf, policy_id, form, trial)
    return _page(request, desk, shelf, policy_id, draft, trial)


@router.post(f"{HERE}/new")
async def send_new(request: Request, visitor: Administrator) -> Response:
    """A button of the form for another policy."""
    return await _send(request, visitor, 0)


@router.post(f"{HERE}/{{policy_id}}")
async def send(request: Request, visitor: Administrator, policy_id: int) -> Response:
    """A button of the form of a policy."""
    return await _send(request, visitor, policy_id)


async def _send(request: Request, visitor: Visitor, policy_id: int) -> Response:
    """Add, move, remove a step; try it out; or keep it, if what it would do has been seen."""
    sent = await request.form()
    button = forms.text(sent, "do")
    form = PolicyForm.read(sent).after(button)
    async with office(request, visitor) as desk:
        if policy_id:
            await _row(desk, policy_id)
        shelf = await look_up(desk)
        trial = _trial(sent, shelf, desk.words)
        draft = await _draft(desk, shelf, policy_id, form, trial, names_count=button == "save")
        seen = forms.text(sent, "seen") == mark(draft.written)
        if button == "save" and draft.may_be_kept and draft.written is not None and seen:
            await _keep(desk, policy_id, form, draft.written)
            return back_to(HERE, "saved")
    notice = desk.words.gettext(_LOOK) if button == "save" and draft.may_be_kept else ""
    return _page(request, desk, shelf, policy_id, draft, trial, notice)


async def _keep(desk: Office, policy_id: int, form: PolicyForm, written: Policy) -> None:
    content = policy.content(written)
    number = await policies.save(
        desk.c, desk.centre.id, form.name_zh, form.name_en, content, desk.by, desk.now, policy_id or None
    )
    await audit.record(desk.c, "policy_saved", desk.by, policy=number, content=content)


def mark(written: Policy | None) -> str:
    """By which a form says that what this very policy would do has been seen."""
    if written is None:
        return ""
    return hashlib.sha256(json.dumps(policy.content(written), sort_keys=True).encode()).hexdigest()[:16]


def _trial(sent: FormData, shelf: Shelf, words: Words) -> Trial:
    home = chosen(forms.text(sent, "resident"), list(shelf.homes))
    at = times.local(forms.text(sent, "at"), words)
    if at is None or abs(at - words.now) > _FARTHEST:
        at = next_night(words)
    priority = forms.text(sent, "priority")
    return Trial(home.resident_id if home else None, at, priority if priority in PRIORITIES else "high")


async def _draft(
    desk: Office, shelf: Shelf, policy_id: int, form: PolicyForm, trial: Trial, *, names_count: bool = False
) -> Draft:
    """Read the form, find its faults for every priority it holds for, and follow it on the rota."""
    words = desk.words
    try:
        written = form.policy()
    except PolicyError as error:
        step = error.step if isinstance(error, StepError) else 0
        return Draft(form, None, speech.error(error, words), step, (), None)
    held = {trial.priority} | {use.priority for use in shelf.uses if policy_id and use.policy_id == policy_id}
    found = dict.fromkeys(f for p in PRIORITIES if p in held for f in policy.faults(written, p, shelf.known))
    faults = tuple((fault.step, speech.fault(fault, words)) for fault in found)
    told = None
    if trial.resident is not None and written.steps:
        told = await simulation.follow(desk, written, trial.resident, trial.priority, trial.at)
    nameless = names_count and not (form.name_zh and form.name_en)
    return Draft(form, written, words.gettext(_NO_NAME) if nameless else "", 0, faults, told)


def _page(
    request: Request, desk: Office, shelf: Shelf, policy_id: int, draft: Draft, trial: Trial, notice: str = ""
) -> Response:
    words = desk.words
    row = next((row for row in shelf.policies if row.id == policy_id), None)
    return render(
        request,
        "policies_edit.html",
        400 if draft.error or (draft.faults and request.method == "POST") else 200,
        words=words,
        place=f"{HERE}/{policy_id or 'new'}",
        title=row.name(words.language) if row else words.gettext("A new policy"),
        form=draft.form,
        draft=draft,
        problem=draft.error,
        notice=notice,
        seen=mark(draft.written) if draft.told or trial.resident is None else "",
        targets=list(_targets(shelf, words)),
        people=sorted(((f"person {person}", name) for person, name in shelf.names.items()), key=lambda one: one[1]),
        units=[(unit, words.gettext(text)) for unit, text in _UNITS.items()],
        residents=choices(shelf.homes, words),
        trial=trial,
        at=times.field(trial.at, words),
        priorities=[(code, speech.priority(code, words)) for code in PRIORITIES],
        most_steps=MOST_STEPS,
    )


def _targets(shelf: Shelf, words: Words) -> Iterator[tuple[str, str]]:
    """Whom a step may call, besides people by name."""
    for role, line in shelf.duties:
        duty = Target("duty", role, line)  # type: ignore[arg-type]  # the record's own check allows the same five
        yield code(duty), speech.target(duty, {}, words)
    for other in (Target("family"), Target("everybody")):
        yield code(other), speech.target(other, {}, words)
