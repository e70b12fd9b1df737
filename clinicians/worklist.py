"""Who needs the doctor, and why: residents sorted by need, each with its reasons in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from alerts.judging import Target
from clinicians.cases import Case
from clinicians.late import Late, worst_first
from clinicians.vitals import SILENT, Vital
from clinicians.words import N_, Words
from store.portal import PressureSummary
from store.residents import Resident

Group = Literal["today", "week", "silent", "well"]

GROUPS: Final[tuple[tuple[Group, str, str], ...]] = (
    (
        "today",
        N_("Needs you today"),
        N_("An alert is open, something serious was learned late, or blood pressure is far from target."),
    ),
    ("week", N_("Look at this week"), N_("Blood pressure has left the target or is on its way out.")),
    ("silent", N_("Nothing measured"), N_("No blood pressure for three days or more: ring, or ask the care worker.")),
    ("well", N_("As planned"), N_("Within target, measuring, no alert.")),
)

FAR_ABOVE_MMHG: Final = 20
"""So far above the target, the weekly mean is a reason for today: one grade of hypertension (ESH 2023)."""
RISE_MMHG: Final = 8
"""A weekly mean that rises by this much is more than chance: day-to-day SD is 7-12 mmHg, a week holds 12 readings
and more, so the standard error of the difference of two weeks is about 4."""
ENOUGH: Final = 4
"""Fewer measurements in seven days make no mean to act on (home protocol "722": at least four days)."""

_URGENCY: Final = {"high": 1000, "medium": 600, "low": 0}
_LEARNED_LATE: Final = {"high": 250, "medium": 40, "low": 20}
"""What would have been an emergency is for today, though it is over: nobody has looked after it yet."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody is on the list. ``mark`` names the sign beside the words: high, medium, low, up, down, above, below, silent, late."""

    mark: str
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One resident on the list. ``mean`` is that of the last seven days, as text."""

    resident: Resident
    target: Target
    age: int
    group: Group
    weight: float
    reasons: tuple[Reason, ...]
    mean: str
    count: int
    last: Vital | None


def entry(
    resident: Resident,
    target: Target,
    cases: Sequence[Case],
    summary: PressureSummary | None,
    last: Vital | None,
    words: Words,
    late: Sequence[Late] = (),
) -> Entry:
    """One resident's place on the list."""
    reasons = [
        *_alerts(cases, words),
        *_late(late, words),
        *_pressure(target, summary, words),
        *_silence(summary, last, words),
    ]
    reasons.sort(key=lambda reason: -reason.weight)
    mean = ""
    if summary and summary.systolic_7d is not None and summary.diastolic_7d is not None:
        mean = f"{words.number(summary.systolic_7d)}/{words.number(summary.diastolic_7d)}"
    return Entry(
        resident=resident,
        target=target,
        age=resident.age(words.today),
        group=_group(reasons),
        weight=sum(reason.weight for reason in reasons),
        reasons=tuple(reasons),
        mean=mean,
        count=summary.measurements_7d if summary else 0,
        last=last,
    )


def grouped(entries: Sequence[Entry]) -> list[tuple[Group, str, str, list[Entry]]]:
    """The groups in order of need, each sorted by need and then by name, empty ones left out."""
    found = []
    for group, title, meaning in GROUPS:
        members = sorted(
            (e for e in entries if e.group == group), key=lambda e: (-e.weight, e.resident.name_en, e.resident.id)
        )
        if members:
            found.append((group, title, meaning, members))
    return found


def _group(reasons: Sequence[Reason]) -> Group:
    weight = max((reason.weight for reason in reasons), default=0.0)
    if weight >= 200:
        return "today"
    if any(reason.mark == "silent" for reason in reasons):
        return "silent"
    return "week" if weight >= 20 else "well"


def _alerts(cases: Sequence[Case], words: Words) -> list[Reason]:
    found = []
    for case in cases:
        weight = 10.0 if case.is_task else float(_URGENCY[case.priority])
        text = case.sentence.rstrip(".。")
        if case.standing == "taken" and case.taken_by:
            weight *= 0.5
            text = words.gettext("%(what)s (taken by %(who)s)", what=text, who=case.taken_by)
        elif case.standing == "attended":
            weight *= 0.5
            text = words.gettext("%(what)s (%(who)s is there)", what=text, who=case.taken_by)
        elif case.standing == "cancelled":
            weight *= 0.5
            text = words.gettext("%(what)s (taken back: to be asked after)", what=text)
        elif case.exhausted_at:
            text = words.gettext("%(what)s (nobody has come)", what=text)
        found.append(Reason("low" if case.is_task else case.priority, text, weight))
    return found


def _late(notes: Sequence[Late], words: Words) -> list[Reason]:
    """The worst of what was learned late, and how many more."""
    if not notes:
        return []
    worst, *others = worst_first(notes)
    what, when = worst.sentence.rstrip(".。"), words.when(worst.happened_at)
    text = words.gettext("learned late, of %(when)s: %(what)s", when=when, what=what)
    if others:
        more = words.ngettext("and %(n)s more", "and %(n)s more", len(others))
        text = words.gettext("%(what)s, %(more)s", what=text, more=more)
    return [Reason("late", text, float(_LEARNED_LATE[worst.priority]))]


def _pressure(target: Target, summary: PressureSummary | None, words: Words) -> list[Reason]:
    if summary is None or summary.systolic_7d is None or summary.measurements_7d < ENOUGH:
        return []
    found = _against_target(target, summary, words)
    rise = summary.systolic_7d - summary.systolic_before if summary.systolic_before is not None else 0.0
    if abs(rise) >= RISE_MMHG:
        text = (
            words.gettext("systolic up %(rise)s mmHg in a week", rise=words.number(rise))
            if rise > 0
            else words.gettext("systolic down %(fall)s mmHg in a week", fall=words.number(-rise))
        )
        found.append(Reason("up" if rise > 0 else "down", text, 20.0 + abs(rise)))
    return found


def _against_target(target: Target, summary: PressureSummary, words: Words) -> list[Reason]:
    assert summary.systolic_7d is not None
    upper = round(summary.systolic_7d) - target.systolic_high
    lower = round(summary.diastolic_7d) - target.diastolic_high if summary.diastolic_7d is not None else 0
    under = target.systolic_low - round(summary.systolic_7d)
    found = []
    if upper > 0:
        weight = (200.0 if upper >= FAR_ABOVE_MMHG else 20.0) + upper
        found.append(
            Reason(
                "above",
                words.gettext("week's mean systolic %(mmhg)s mmHg above target", mmhg=words.number(upper)),
                weight,
            )
        )
    if lower > 0:
        found.append(
            Reason(
                "above",
                words.gettext("week's mean diastolic %(mmhg)s mmHg above target", mmhg=words.number(lower)),
                20.0 + lower,
            )
        )
    if under > 0:
        found.append(
            Reason(
                "below",
                words.gettext("week's mean systolic %(mmhg)s mmHg below target", mmhg=words.number(under)),
                40.0 + under,
            )
        )
    return found


def _silence(summary: PressureSummary | None, last: Vital | None, words: Words) -> list[Reason]:
    at = max(
        (moment for moment in (summary.last_at if summary else None, last.at if last else None) if moment), default=None
    )
    if at is None:
        return [Reason("silent", words.gettext("blood pressure has never been measured"), 100.0)]
    silence = words.now - at
    if silence < SILENT:
        return []
    days = silence // timedelta(days=1)
    text = words.ngettext("no blood pressure for %(n)s day", "no blood pressure for %(n)s days", days)
    return [Reason("silent", text, min(60.0 + days, 150.0))]


def headline(entries: Sequence[Entry], words: Words) -> str:
    """The whole list in one sentence."""
    counts: Mapping[Group, int] = {group: sum(e.group == group for e in entries) for group, _, _ in GROUPS}
    if not entries:
        return words.gettext("Nobody is in your care yet.")
    if counts["today"]:
        return words.ngettext("%(n)s resident needs you today.", "%(n)s residents need you today.", counts["today"])
    if counts["week"] or counts["silent"]:
        return words.gettext("Nobody needs you today; a few want a look this week.")
    return words.gettext("All is as planned.")
