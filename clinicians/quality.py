"""How good the alarms are, for an administrator of her whole centre and for a doctor of her own residents.

An administrator sees counts by rule, and of single residents only what their equipment does: nothing about anybody's
health. A doctor sees her own residents, as on all her pages. Nobody is compared with a colleague.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from markupsafe import Markup, escape

from alerts import quality
from alerts.deployment import in_force, made_by
from alerts.protocol import Protocol
from alerts.quality import AIMED_MESSAGES, AIMED_MIX, AIMED_WORTH_IT, Quality, share
from clinicians import cases
from clinicians.administrator.desk import changing, looking
from clinicians.doctor import words_of
from clinicians.pages import PageRoute, render
from clinicians.visitor import Administrator, Doctor
from clinicians.words import N_, Words
from store import administration, alerts, residents
from store.alerts import AlertRow
from store.postgres import Database
from store.quality import Line, Often

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PERIODS: Final = (7, 30, 90)
_USUAL: Final = 30
_FEW: Final = 10
"""Of fewer alerts no share is held against an aim: chance alone moves it by more than the aim is exact."""
_SHADES: Final = {"high": "#a1260d", "medium": "#e0a43a", "low": "#5b7f95"}
_KINDS: Final = {"physiological": N_("values"), "event": N_("events"), "technical": N_("equipment")}


@dataclass(frozen=True, slots=True)
class Share:
    """A priority's share of all alerts beside the one that is aimed at, in whole per cent; how many there were."""

    priority: str
    title: str
    raised: int
    percent: int
    aimed: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, as text; empty where there is nothing to say."""

    title: str
    about: str
    raised: str
    per_day: str
    worth_it: str
    false_alarm: str
    median: str
    ninety: str
    chattering: str
    stale: str


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the summary; ``mark``: ``within`` or ``above`` its aim, or empty where none is held against it."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Somebody:
    """A resident with many alerts. ``link`` leads to her page."""

    name: str
    link: str
    raised: int
    called: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that has been open for more than a day."""

    name: str
    link: str
    sentence: str
    span: str
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Page:
    """The figures of one period in words."""

    days: int
    said: tuple[Said, ...]
    mix: tuple[Share, ...]
    bars: Markup
    by_priority: tuple[Row, ...]
    by_rule: tuple[Row, ...]
    often: tuple[Somebody, ...]
    standing: tuple[Standing, ...]
    others_standing: int


@router.get("/doctor/quality")
async def show_to_doctor(request: Request, visitor: Doctor, days: int = _USUAL) -> Response:
    """Of the residents in her care."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        found = await quality.report(c, words.now, _period(days))
        everybody = {r.id: r.name(words.language) for r in await residents.residents(c)}
        standing = [row for row in await alerts.open_alerts(c) if row.resident_id in everybody]
        protocols = await made_by(c, await in_force(c, words.now), standing)
    links = {resident: f"/doctor/residents/{resident}" for resident in everybody}
    sentences = {row.id: cases.sentence(protocols, row, "staff", words) for row in standing}
    page = view(found, protocols.present, everybody, links, _too_long(standing, words), sentences, words)
    return render(request, "doctor_quality.html", words=words, found=page, periods=PERIODS, here_is=request.url.path)


@router.get("/admin/quality")
async def show_to_administrator(request: Request, visitor: Administrator, days: int = _USUAL) -> Response:
    """Of the whole centre, counted by the service; by name only equipment."""
    async with looking(request, visitor) as (c, words):
        everybody = {r.id: r.name(words.language) for r in await administration.residents_of_centre(c)}
    async with changing(request, visitor) as (c, by):
        centre = await administration.centre_of(c, by)
        found = await quality.report(c, words.now, _period(days), centre=centre.id, kinds=["technical"])
        protocol = await in_force(c, words.now)
        too_long = _too_long([row for row in await alerts.open_alerts(c) if row.resident_id in everybody], words)
    shown = [row for row in too_long if row.kind == "technical"]
    links = {resident: f"/admin/residents/{resident}" for resident in everybody}
    titles = {row.id: _title(protocol, row.rule, words) for row in shown}
    page = view(found, protocol, everybody, links, shown, titles, words, others_standing=len(too_long) - len(shown))
    return render(request, "admin_quality.html", words=words, found=page, periods=PERIODS, here_is=request.url.path)


def _period(days: int) -> int:
    return days if days in PERIODS else _USUAL


def _too_long(opened: Sequence[AlertRow], words: Words) -> list[AlertRow]:
    stale = [row for row in opened if words.now - row.raised_at > quality.STALE]
    return sorted(stale, key=lambda row: row.raised_at)


def view(
    found: Quality,
    protocol: Protocol,
    names: Mapping[int, str],
    links: Mapping[int, str],
    standing: Sequence[AlertRow],
    sentences: Mapping[int, str],
    words: Words,
    *,
    others_standing: int = 0,
) -> Page:
    """The figures in words. ``standing``: the alerts to be named that have been open for too long, with their ``sentences``."""
    mix = tuple(_share(found, priority, words) for priority in AIMED_MIX)
    priorities = [found.by_priority[p] for p in AIMED_MIX if p in found.by_priority]
    return Page(
        days=found.days,
        said=tuple(_summary(found, words)),
        mix=mix,
        bars=bars(mix, words) if found.whole.raised else Markup(""),
        by_priority=tuple(_row(line, _priority(line, words), "", found.days, words) for line in priorities),
        by_rule=tuple(
            _row(line, _title(protocol, line.rule, words), _about(line, words), found.days, words)
            for line in found.by_rule
        ),
        often=tuple(_somebody(one, names, links) for one in found.often if one.resident_id in names),
        standing=tuple(_standing(row, names, links, sentences, words) for row in standing),
        others_standing=others_standing,
    )


def _title(protocol: Protocol, rule_id: str | None, words: Words) -> str:
    rule = protocol.rule(rule_id or "")
    return rule.titles[words.language] if rule else rule_id or ""


def _priority(line: Line, words: Words) -> str:
    priority = line.priority or "low"
    return words.gettext(cases.PRIORITIES[priority])


def _about(line: Line, words: Words) -> str:
    kind = line.kind or "event"
    return f"{_priority(line, words)} · {words.gettext(_KINDS[kind])}"


def _share(found: Quality, priority: str, words: Words) -> Share:
    line = found.by_priority.get(priority)
    return Share(
        priority=priority,
        title=words.gettext(cases.PRIORITIES[priority]),
        raised=line.raised if line else 0,
        percent=round(100 * (found.mix(priority) or 0.0)),
        aimed=round(100 * AIMED_MIX[priority]),
    )


def _summary(found: Quality, words: Words) -> list[Said]:
    whole = found.whole
    if not whole.raised:
        return [Said(words.gettext("No alert was raised in these %(days)s days.", days=found.days))]
    said = [
        Said(
            words.gettext(
                "%(raised)s alerts in %(days)s days, %(per_day)s a day, of %(residents)s residents.",
                raised=words.number(whole.raised),
                days=found.days,
                per_day=words.number(found.per_day, 1),
                residents=words.number(found.exposure.residents),
            )
        ),
        *_messages(found, words),
        *_worth(found.by_priority.get("high"), words),
    ]
    if whole.median_s is not None and whole.ninety_s is not None:
        text = words.gettext(
            "Whoever was called took it within %(median)s in half of the cases, within %(ninety)s in nine of ten.",
            median=_span(whole.median_s, words),
            ninety=_span(whole.ninety_s, words),
        )
        said.append(Said(text))
    if lost := whole.called - whole.taken:
        said.append(
            Said(
                words.ngettext(
                    "%(n)s alert about which people were called was taken by nobody.",
                    "%(n)s alerts about which people were called were taken by nobody.",
                    lost,
                )
            )
        )
    return said


def _messages(found: Quality, words: Words) -> list[Said]:
    each = found.messages_per_week
    if each is None:
        return []
    text = words.gettext(
        "Staff were sent %(each)s messages per resident and week; at most %(aim)s is aimed at.",
        each=words.number(each, 2),
        aim=words.number(AIMED_MESSAGES),
    )
    return [Said(text, "within" if each <= AIMED_MESSAGES else "above")]


def _worth(high: Line | None, words: Words) -> list[Said]:
    right = share(high.worth_it, high.closed) if high else None
    if high is None or right is None:
        return []
    text = words.gettext(
        "Of the urgent alerts that somebody has closed, %(share)s were worth it; at least %(aim)s %% is aimed at.",
        share=_of(high.worth_it, high.closed, words),
        aim=round(100 * AIMED_WORTH_IT),
    )
    return [Said(text, "" if high.closed < _FEW else "within" if right >= AIMED_WORTH_IT else "above")]


def _row(line: Line, title: str, about: str, days: int, words: Words) -> Row:
    return Row(
        title=title,
        about=about,
        raised=words.number(line.raised),
        per_day=words.number(line.raised / days, 1 if line.raised >= days else 2),
        worth_it=_of(line.worth_it, line.closed, words),
        false_alarm=_of(line.false_alarm, line.closed, words),
        median="" if line.median_s is None else _span(line.median_s, words),
        ninety="" if line.ninety_s is None else _span(line.ninety_s, words),
        chattering=words.number(line.chattering) if line.chattering else "",
        stale=words.number(line.stale) if line.stale else "",
    )


def _of(part: int, whole: int, words: Words) -> str:
    """A share with what it is a share of; a share of a few is said by their number alone."""
    if not whole:
        return ""
    count = words.gettext("%(part)s of %(whole)s", part=words.number(part), whole=words.number(whole))
    if whole < _FEW:
        return count
    return words.gettext("%(percent)s %% (%(count)s)", percent=round(100 * part / whole), count=count)


def _span(seconds: float, words: Words) -> str:
    return words.span(timedelta(seconds=round(seconds)))


def _somebody(one: Often, names: Mapping[int, str], links: Mapping[int, str]) -> Somebody:
    return Somebody(names[one.resident_id], links[one.resident_id], one.raised, one.called)


def _standing(
    row: AlertRow, names: Mapping[int, str], links: Mapping[int, str], sentences: Mapping[int, str], words: Words
) -> Standing:
    return Standing(
        name=names[row.resident_id],
        link=links[row.resident_id],
        sentence=sentences[row.id],
        span=words.span(words.now - row.raised_at),
        is_taken=row.state == "acknowledged",
    )


def bars(mix: Sequence[Share], words: Words) -> Markup:
    """The mix of priorities above the one that is aimed at. Presentation attributes only, as in :mod:`clinicians.charts`."""
    width, height, left = 600, 92, 4
    said = "; ".join(f"{one.title} {one.percent} % ({one.aimed} %)" for one in mix)
    parts = []
    for y, values in ((6, [one.percent for one in mix]), (50, [one.aimed for one in mix])):
        x, scale = float(left), (width - 2 * left) / max(sum(values), 1)
        for one, value in zip(mix, values, strict=True):
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="36" fill="{_SHADES[one.priority]}" stroke="#fff"/>'
            )
            x += value * scale
    title = escape(words.gettext("Above: how urgent the alerts were. Below: what is aimed at."))
    return Markup(  # noqa: S704 - every word in it is escaped here
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="mix-title mix-desc">'
        f'<title id="mix-title">{title}</title><desc id="mix-desc">{escape(said)}</desc>{"".join(parts)}</svg>'
    )
