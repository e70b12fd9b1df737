"""A fall in plain words: how sure, how hard, what followed, and what staff found when they looked.

The figures are the gateway's. One that cannot be (a blow of 900 g, a turn of -3 degrees) is left out, for a wrong
number shown as right is worse than none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

from markupsafe import Markup

from clinicians import fall_chart
from clinicians.cases import is_fall
from clinicians.fall_chart import Second
from clinicians.words import N_, Words
from store import falls
from store.alerts import AlertRow
from store.falls import Told, Verdict
from store.postgres import Connection

_RECENTLY: Final = timedelta(days=14)
"""For so long after it a fall is explained, open or closed: its course is read anew for every page."""
_MOST_TOLD: Final = 60
_BEFORE: Final = timedelta(minutes=75)
"""An alert is raised half a minute after its fall; of a long lie, up to an hour after it (devices.falls.certainty)."""
_ONE_FALL: Final = timedelta(seconds=10)
"""Two wearables that tell a fall within this tell the same one (devices.falls.certainty)."""
_MOST_FALLS: Final = 3
_ANSWERED: Final = "fall.answered"
"""The rule of a fall that needed no help: she is known to be up, or to be well."""

_SURE: Final = (
    (0.9, N_("Very likely a fall")),
    (0.7, N_("Probably a fall")),
    (0.5, N_("Perhaps a fall")),
    (0.0, N_("Probably not a fall")),
)
# Medians of the highest acceleration in staged trials on the wrist (WEDA-FALL) and at the waist (SisFall): sitting
# down 1.5 to 2.5 g, a hand on the table or clapping 3.8 g, falls 3.5 to 7.6 g.
_BLOWS: Final = (
    (6.5, N_("%(g)s g, harder than most falls")),
    (4.0, N_("%(g)s g, as hard as most falls")),
    (2.5, N_("%(g)s g, like a hand slapped on the table")),
    (0.0, N_("%(g)s g, no harder than sitting down")),
)
_TURNS: Final = (
    (60.0, N_("It turned by %(deg)s°, as from upright to lying")),
    (30.0, N_("It turned by %(deg)s°, as when one leans or sits")),
    (0.0, N_("It turned by %(deg)s°: hardly at all")),
)
_HARDLY_MS: Final = 100.0
"""An arm that is swung is as light for a moment; who falls freely for a tenth of a second has fallen 5 cm."""
_MOST: Final = MappingProxyType(
    {
        "impact_g": 60.0,
        "free_fall_ms": 2_000.0,
        "posture_change_deg": 180.0,
        "stillness_s": 600.0,
        "waited_s": 3_600.0,
        "minutes": 1_440.0,
        "pulse": 250.0,
    }
)
"""The largest value of a detail that is believed; none is below 0."""

Code = Literal[
    "fall.well", "fall.helped", "fall.doctor", "fall.hospital",
    "no_fall.sat_down", "no_fall.arm", "no_fall.dropped", "no_fall.other", "unclear",
]  # fmt: skip
CODES: Final[tuple[str, ...]] = get_args(Code)
"""What staff may find: the verdict, and after a point what came of the fall or what it was instead."""

_VERDICTS: Final = MappingProxyType(
    {"fall": N_("It was a fall"), "no_fall": N_("It was no fall"), "unclear": N_("Nobody can tell")}
)
_WHAT: Final = MappingProxyType(
    {
        "fall.well": N_("Up again, all is well"),
        "fall.helped": N_("Helped on the spot"),
        "fall.doctor": N_("Told the doctor"),
        "fall.hospital": N_("Went to hospital"),
        "no_fall.sat_down": N_("Sat or lay down hard"),
        "no_fall.arm": N_("Knocked, clapped or waved"),
        "no_fall.dropped": N_("The wearable was dropped"),
        "no_fall.other": N_("Something else"),
        "unclear": N_("It cannot be found out"),
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One button of the question whether it was a fall."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that speaks for a fall or against it, in words and figures."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The seconds around the blow, drawn and as a table."""

    drawing: Markup
    seconds: tuple[Second, ...]


@dataclass(frozen=True, slots=True)
class Fall:
    """One fall for one reader. ``name`` is unique in the page; ``after`` says what followed, in order."""

    name: str
    at: datetime
    sure: str
    facts: tuple[Fact, ...]
    after: tuple[str, ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an alert's falls; ``verdict`` is empty while staff have said nothing."""

    falls: tuple[Fall, ...]
    verdict: str


async def of_alerts(c: Connection, resident_id: int, alert_rows: Sequence[AlertRow], words: Words) -> dict[int, Known]:
    """What is known of each alert of a fall that is open or was raised recently, by its number."""
    recent = [
        row
        for row in alert_rows
        if is_fall(row.rule) and (row.resolved_at is None or row.happened_at > words.now - _RECENTLY)
    ]
    if not recent:
        return {}
    course = await falls.course(c, resident_id, min(row.happened_at for row in recent) - _BEFORE, _MOST_TOLD)
    verdicts = await falls.verdicts(c, [row.id for row in recent])
    explained = explain(recent, course, words)
    return {
        row.id: Known(explained[row.id], found(verdicts[row.id], words) if row.id in verdicts else "") for row in recent
    }


def outcome_of(code: str) -> str:
    """What an alert closed with this finding is said to have come to, as :mod:`clinicians.cases` knows it."""
    verdict, _, what = code.partition(".")
    return {"fall": what, "no_fall": "false_alarm"}.get(verdict, "unclear")


def choices(words: Words) -> dict[str, tuple[Choice, ...]]:
    """The question's buttons, by what they say of the fall."""
    found: dict[str, tuple[Choice, ...]] = {}
    for code in CODES:
        verdict = words.gettext(_VERDICTS[code.partition(".")[0]])
        found[verdict] = (*found.get(verdict, ()), Choice(code, words.gettext(_WHAT[code])))
    return found


def found(verdict: Verdict, words: Words) -> str:
    """A verdict in words, with who found it and when."""
    code = f"{verdict.verdict}.{verdict.what}" if verdict.what else verdict.verdict
    what = words.gettext(_WHAT[code]) if code in _WHAT and verdict.what else ""
    said = words.gettext(_VERDICTS[verdict.verdict])
    return words.gettext(
        "%(said)s (%(who)s, %(when)s)",
        said=words.gettext("%(said)s: %(what)s", said=said, what=what) if what else said,
        who=verdict.name_zh if words.language == "zh_Hans" else verdict.name_en,
        when=words.when(verdict.at),
    )


def explain(alert_rows: Sequence[AlertRow], course: Sequence[Told], words: Words) -> dict[int, tuple[Fall, ...]]:
    """The falls of each alert, newest last. ``course`` is in order of time."""
    return {row.id: _of_alert(row, course, words) for row in alert_rows}


def _of_alert(row: AlertRow, course: Sequence[Told], words: Words) -> tuple[Fall, ...]:
    end = row.resolved_at or words.now
    told = [t for t in course if row.happened_at - _BEFORE < t.at <= end]
    fallen = _apart([t for t in told if t.metric == "fall"])
    earlier = [t for t in fallen if t.at <= row.happened_at + timedelta(seconds=1)]
    fallen = [*earlier[-1:], *fallen[len(earlier) :]][-_MOST_FALLS:]
    ends = [*(t.at for t in fallen[1:]), end + timedelta(microseconds=1)]
    is_waited_for = row.resolved_at is None and row.rule != _ANSWERED
    return tuple(
        _fall(
            f"fall-{row.id}-{n}",
            fall,
            [t for t in told if fall.at < t.at < until and t.metric != "fall"],
            words,
            is_waited_for=is_waited_for and fall is fallen[-1],
        )
        for n, (fall, until) in enumerate(zip(fallen, ends, strict=False))
    )


def _apart(told: Sequence[Told]) -> list[Told]:
    """Each fall once, as its surest wearable told it."""
    kept: list[Told] = []
    for fall in told:
        if kept and fall.at - kept[-1].at <= _ONE_FALL:
            kept[-1] = max(kept[-1], fall, key=lambda t: t.value)
        else:
            kept.append(fall)
    return kept


def _fall(name: str, fall: Told, later: Sequence[Told], words: Words, *, is_waited_for: bool) -> Fall:
    later = _known_to_her_gateway(later)
    confirmed = next((t for t in later if t.metric == "fall_confirmed"), None)
    return Fall(
        name=name,
        at=fall.at,
        sure=_sure(fall, confirmed, words),
        facts=tuple(_facts(fall, words)),
        after=tuple(_after(later, words, is_waited_for=is_waited_for)),
        chart=_chart(name, fall, words),
    )


def _known_to_her_gateway(later: Sequence[Told]) -> list[Told]:
    """Without what was told by a gateway that did not know yet of her answer on her own page."""
    answered_at = min((t.at for t in later if t.metric == "said_well"), default=None)
    return [
        t for t in later if answered_at is None or t.at < answered_at or t.metric not in ("fall_confirmed", "long_lie")
    ]


def _sure(fall: Told, confirmed: Told | None, words: Words) -> str:
    if not fall.detail and fall.value == 1.0:
        return words.gettext("The wearable itself says that it was a fall; it gives no figures.")
    now = _likelihood(fall.value if confirmed is None else confirmed.value, words)
    if confirmed is None or _percent(confirmed.value) == _percent(fall.value):
        return now
    return words.gettext("%(now)s; %(percent)s%% by the movement alone", now=now, percent=_percent(fall.value))


def _likelihood(probability: float, words: Words) -> str:
    """Words before the figure; no detector is ever entirely sure."""
    said = next(text for least, text in _SURE if probability >= least)
    return words.gettext("%(said)s, %(percent)s%%", said=words.gettext(said), percent=_percent(probability))


def _percent(probability: float) -> int:
    return min(max(round(100 * probability), 1), 99)


def _facts(fall: Told, words: Words) -> list[Fact]:
    detail, facts = fall.detail, list[Fact]()
    if (g := _known(detail, "impact_g")) is not None:
        facts.append(Fact(words.gettext("The blow"), _blow(g, fall, words)))
    if (ms := _known(detail, "free_fall_ms")) is not None:
        facts.append(Fact(words.gettext("Weightless before it"), _weightless(ms, words)))
    if (deg := _known(detail, "posture_change_deg")) is not None:
        text = words.gettext(_word(_TURNS, deg), deg=words.number(deg))
        facts.append(Fact(words.gettext("Position of the wearable"), text))
    if (s := _known(detail, "stillness_s")) is not None:
        facts.append(Fact(words.gettext("Still in the seconds after it"), _still(s, words)))
    return facts


def _blow(g: float, fall: Told, words: Words) -> str:
    figure = words.number(g, 1)
    if fall.recording is not None and fall_chart.is_cut_off(fall.recording.samples):
        return words.gettext("%(g)s g or more: harder than its sensor can feel", g=figure)
    return words.gettext(_word(_BLOWS, g), g=figure)


def _weightless(ms: float, words: Words) -> str:
    if round(ms) == 0:
        return words.gettext("Not at all: whoever slides or sinks down does not fall freely")
    if ms < _HARDLY_MS:
        return words.gettext("%(ms)s ms: hardly", ms=words.number(ms))
    return words.gettext("%(ms)s ms: fell freely for a moment", ms=words.number(ms))


def _still(s: float, words: Words) -> str:
    if s < 0.5:
        return words.gettext("Not at all: kept moving")
    return words.gettext("%(s)s s without moving", s=words.number(s, 1))


def _word(table: Sequence[tuple[float, str]], value: float) -> str:
    return next(text for least, text in table if value >= least)


def _known(detail: Mapping[str, object], name: str) -> float | None:
    value = detail.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= _MOST[name] else None


def _after(later: Sequence[Told], words: Words, *, is_waited_for: bool) -> list[str]:
    """What followed, one sentence each; of how long she lay only the last that was told.

    ``is_waited_for``: she may still lie there, and that nothing says otherwise is said.
    """
    last_lie = max((t.at for t in later if t.metric == "long_lie"), default=None)
    said = [_said(t, words) for t in later if t.metric != "long_lie" or t.at == last_lie]
    ended = any(t.metric in ("fall_recovered", "said_well") for t in later)
    if is_waited_for and not ended:
        said.append(words.gettext("So far nothing says that she or he is up again."))
    return said


def _said(told: Told, words: Words) -> str:
    time = words.clock(told.at)
    if told.metric == "fall_recovered":
        return words.gettext("%(time)s: up again and moving, says the wearable.", time=time)
    if told.metric == "said_well":
        return words.gettext("%(time)s: said that all is well.", time=time)
    if told.metric == "long_lie":
        return _lie(time, _known(told.detail, "minutes"), words)
    return _confirmed(time, told.detail, words)


def _lie(time: str, minutes: float | None, words: Words) -> str:
    if minutes is None:
        return words.gettext("%(time)s: long after the fall, no sign of getting up.", time=time)
    return words.gettext(
        "%(time)s: %(minutes)s minutes after the fall, no sign of getting up.", time=time, minutes=round(minutes)
    )


def _confirmed(time: str, detail: Mapping[str, object], words: Words) -> str:
    waited, pulse = _known(detail, "waited_s"), _known(detail, "pulse")
    if "help_call" in detail:
        said = words.gettext("%(time)s: called for help.", time=time)
    elif waited:
        said = words.gettext("%(time)s: asked whether all is well, no answer in %(s)s s.", time=time, s=round(waited))
    else:
        said = words.gettext("%(time)s: asked whether all is well, no answer.", time=time)
    if pulse is None:
        return said
    return words.sentences([said, words.gettext("Pulse then %(pulse)s a minute.", pulse=round(pulse))])


def _chart(name: str, fall: Told, words: Words) -> Chart | None:
    if fall.recording is None:
        return None
    blow_s = (fall.measured_at - fall.recording.started_at).total_seconds()
    around = fall_chart.felt(fall.recording.samples, fall.recording.rate_hz, blow_s)
    return Chart(fall_chart.draw(around, words, name), tuple(fall_chart.seconds(around)))
