"""What befalls residents: illnesses, falls, calls, and the faults of their devices, each with a label. Pure.

Times are whole seconds since the cohort began. An illness comes to its worst between ``onset`` and ``peak``, stays
there until ``fading``, and is over at ``end``; in between its course is a straight line. Who goes to hospital is away
from ``end`` on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Floats, Ints
from alerts.cohort.kinds import CODES, DAY, HOUR
from alerts.cohort.people import INSTRUMENTS, People, between

MOVED: Final = (
    "systolic",
    "diastolic",
    "pulse",
    "spo2",
    "body_temperature",
    "body_weight",
    "glucose",
    "respiratory_rate",
    "irregular",
)
"""What an illness moves, in the unit of the metric; ``irregular`` is 1 where the pulse is."""

NO_DEVICE: Final = -1
IN_HOSPITAL: Final = 7 * DAY
"""Who is admitted comes home after a week. Assumed."""
_YEAR: Final = 365.25 * DAY
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episodes in columns of shape ``(m,)``, and how far each moves what (``moves``, shape ``(m, len(MOVED))``).

    ``row`` is the resident's place among those made together, ``kind`` the place in ``CODES``. ``device`` is the place
    in ``INSTRUMENTS`` of the one at fault. ``admitted`` says that it ends in hospital.
    """

    row: NDArray[np.intp]
    kind: NDArray[np.int8]
    onset: Ints
    peak: Ints
    fading: Ints
    end: Ints
    device: NDArray[np.int8]
    admitted: Bools
    moves: Floats

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: Bools | NDArray[np.intp]) -> Episodes:
        return Episodes(*(getattr(self, field.name)[which] for field in fields(self)))

    def of(self, *kinds: str) -> Episodes:
        """Those of these kinds."""
        return self[np.isin(self.kind, [CODES.index(kind) for kind in kinds])]

    def course(self, which: NDArray[np.intp], at: Floats) -> Floats:
        """How far these episodes have come at these seconds: 0 outside, 1 at the worst. Shapes are broadcast."""
        rise = (at - self.onset[which]) / np.maximum(self.peak - self.onset, 1)[which]
        fall = (self.end[which] - at) / np.maximum(self.end - self.fading, 1)[which]
        return np.asarray(np.clip(np.minimum(rise, fall), 0.0, 1.0))


def episodes(draws: Draws, who: People, days: int) -> Episodes:
    """All that befalls these residents within so many days, sorted by resident and onset."""
    found = joined(
        (
            _crises(draws, who, days),
            _overtreated(draws, who, days),
            _decompensations(draws, who, days),
            _exacerbations(draws, who, days),
            _infections(draws, who, days),
            _hypoglycaemias(draws, who, days),
            _hyperglycaemias(draws, who, days),
            _fibrillations(draws, who, days),
            _bare(np.flatnonzero(who.orthostatic), "orthostatic", NO_DEVICE, *_always(who, days), days),
            *_falls(draws, who, days),
            _plain(draws, who, days, "call", f.CALLS_TRUE * np.ones(len(who)), 20 * _MINUTE),
            *_batteries(draws, who, days),
            _outages(draws, who, days),
            _unworn(draws, who, days),
        )
    )
    return found[np.lexsort((found.kind, found.onset, found.row))]


def joined(parts: Iterable[Episodes]) -> Episodes:
    """Episodes of one people as one."""
    every = list(parts)
    return Episodes(*(np.concatenate([getattr(one, field.name) for one in every]) for field in fields(Episodes)))


class _Comings:
    """When something comes to whom, drawn evenly over the days: places of shape ``(m,)`` among residents and slots."""

    def __init__(self, draws: Draws, who: People, days: int, kind: str, yearly: Floats, most: int) -> None:
        self.draws, self.who, self.kind, self.most, self.until = draws, who, kind, most, days * DAY
        count = draws.poisson(f"{kind} count", yearly * days * DAY / _YEAR, most)
        self.row, self._slot = np.nonzero(np.arange(most) < count[:, None])
        self.onset = self._at(draws.uniform(f"{kind} onset", most)) * self.until

    def _at(self, drawn: Floats) -> Floats:
        return drawn[self.row, self._slot]

    def uniform(self, what: str) -> Floats:
        return self._at(self.draws.uniform(f"{self.kind} {what}", self.most))

    def normal(self, what: str) -> Floats:
        return self._at(self.draws.normal(f"{self.kind} {what}", self.most))

    def lognormal(self, what: str, median: float, spread: float) -> Floats:
        return np.asarray(median * np.exp(spread * self.normal(what)))

    def usual(self, metric: str) -> Floats:
        return self.who.usual[metric][self.row]

    def made(
        self,
        worst: Floats,
        stays: Floats,
        fades: Floats,
        moves: Mapping[str, Floats],
        *,
        admitted: Bools | None = None,
    ) -> Episodes:
        """Episodes: seconds until the worst, at the worst, and fading; cut at the end of the cohort's days."""
        peak, m = self.onset + worst, len(self.row)
        fading = peak + stays
        end = np.where(admitted, fading, fading + fades) if admitted is not None else fading + fades
        matrix = np.zeros((m, len(MOVED)))
        for metric, by in moves.items():
            matrix[:, MOVED.index(metric)] = by
        cut = [np.minimum(np.rint(times), self.until).astype(np.int64) for times in (self.onset, peak, fading, end)]
        taken = np.zeros(m, np.bool_) if admitted is None else admitted & (fading < self.until)
        number, devices = np.full(m, CODES.index(self.kind), np.int8), np.full(m, NO_DEVICE, np.int8)
        return Episodes(self.row, number, cut[0], cut[1], cut[2], cut[3], devices, taken, matrix)


def _crises(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "crisis", f.CRISIS * who.has["hypertension"] * who.rate, 3)
    peak = f.CRISIS_SYSTOLIC + f.CRISIS_SYSTOLIC_SD * c.normal("systolic")
    rise = np.maximum(peak - c.usual("systolic"), 25)
    moves = {"systolic": rise, "diastolic": f.CRISIS_DIASTOLIC * rise, "pulse": f.CRISIS_PULSE + 5 * c.normal("pulse")}
    worst, stays = c.lognormal("worst", f.CRISIS_WORST * HOUR, 0.6), c.lognormal("stays", f.CRISIS_STAYS * HOUR, 0.7)
    return c.made(worst, stays, c.lognormal("fades", f.CRISIS_FADES * HOUR, 0.5), moves)


def _overtreated(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "overtreated", f.OVERTREATED * who.treated * who.rate, 3)
    fall = np.minimum(f.OVERTREATED_FALL + 9 * c.normal("systolic"), -12)
    fall = np.maximum(fall, 68 - c.usual("systolic"))
    moves = {
        "systolic": fall,
        "diastolic": f.OVERTREATED_DIASTOLIC * fall,
        "pulse": f.OVERTREATED_PULSE + 3 * c.normal("pulse"),
    }
    worst, stays = (
        c.lognormal("worst", f.OVERTREATED_WORST * DAY, 0.5),
        c.lognormal("stays", f.OVERTREATED_STAYS * DAY, 0.6),
    )
    return c.made(worst, stays, c.lognormal("fades", f.OVERTREATED_FADES * DAY, 0.4), moves)


def _decompensations(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "decompensation", f.DECOMPENSATION * who.has["heart_failure"] * who.rate, 4)
    moves = {
        "body_weight": f.DECOMPENSATION_WEIGHT + f.DECOMPENSATION_WEIGHT_SD * c.normal("weight"),
        "pulse": f.DECOMPENSATION_PULSE + 7 * c.normal("pulse"),
        "spo2": np.minimum(f.DECOMPENSATION_OXYGEN + 1.5 * c.normal("spo2"), 0),
        "respiratory_rate": f.DECOMPENSATION_BREATHING + 2 * c.normal("breathing"),
    }
    worst, stays = (
        c.lognormal("worst", f.DECOMPENSATION_WORST * DAY, 0.5),
        c.lognormal("stays", f.DECOMPENSATION_STAYS * DAY, 0.4),
    )
    fades = c.lognormal("fades", f.DECOMPENSATION_FADES * DAY, 0.4)
    admitted = c.uniform("admitted") < f.DECOMPENSATION_ADMITTED
    return c.made(worst, stays, fades, moves, admitted=admitted)


def _exacerbations(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "exacerbation", f.EXACERBATION * who.has["copd"] * who.rate, 8)
    severe = c.uniform("severe") < f.EXACERBATION_SEVERE
    size = np.where(severe, 2.2, 1.0) * c.lognormal("size", 1.0, 0.45)
    moves = {
        "spo2": f.EXACERBATION_OXYGEN * size,
        "pulse": f.EXACERBATION_PULSE * size,
        "respiratory_rate": f.EXACERBATION_BREATHING * size,
        "body_temperature": np.where(c.uniform("fever") < f.EXACERBATION_FEVER, 0.7, 0.1) * size,
    }
    worst, stays = (
        c.lognormal("worst", f.EXACERBATION_WORST * DAY, 0.4),
        c.lognormal("stays", f.EXACERBATION_STAYS * DAY, 0.4),
    )
    fades, admitted = c.lognormal("fades", f.EXACERBATION_FADES * DAY, 0.5), c.uniform("in") < f.EXACERBATION_ADMITTED
    return c.made(worst, stays, fades, moves, admitted=severe & admitted)


def _infections(draws: Draws, who: People, days: int) -> Episodes:
    yearly = between(who.age, (65, 90), (f.INFECTION_65, f.INFECTION_90)) * who.rate
    c = _Comings(draws, who, days, "infection", yearly, 5)
    how, fever = c.uniform("fever"), c.lognormal("height", f.FEVER, 0.35)
    warmer = np.where(how < f.COOLED, -0.9, np.where(how < f.COOLED + f.BLUNTED, 0.35, fever))
    severe, chest = c.uniform("severe") < f.INFECTION_SEVERE, c.uniform("chest") < f.INFECTION_CHEST
    size = np.where(severe, 2.0, 1.0)
    faster = np.maximum(f.INFECTION_PULSE * np.maximum(warmer, 0), c.lognormal("pulse", f.INFECTION_PULSE_LEAST, 0.4))
    moves = {
        "body_temperature": warmer,
        "pulse": faster * np.where(severe, 1.4, 1.0),
        "spo2": -np.where(chest, c.lognormal("spo2", -f.INFECTION_OXYGEN, 0.6), 0.3) * size,
        "respiratory_rate": np.where(chest, 3.0, 1.0) * size,
        "systolic": np.where(severe, f.INFECTION_SYSTOLIC, -4.0),
        "diastolic": np.where(severe, -9.0, -2.0),
        "glucose": np.where(who.has["diabetes"][c.row], 2.0, 0.0),
    }
    worst, stays = (
        c.lognormal("worst", f.INFECTION_WORST * DAY, 0.5),
        c.lognormal("stays", f.INFECTION_STAYS * DAY, 0.4),
    )
    fades, admitted = c.lognormal("fades", f.INFECTION_FADES * DAY, 0.4), severe & (c.uniform("in") < 0.8)
    return c.made(worst, stays, fades, moves, admitted=admitted)


def _hypoglycaemias(draws: Draws, who: People, days: int) -> Episodes:
    yearly = f.HYPOGLYCAEMIA_INSULIN * who.has["insulin"] + f.HYPOGLYCAEMIA_SULFONYLUREA * who.has["sulfonylurea"]
    c = _Comings(draws, who, days, "hypoglycaemia", yearly * who.rate, 30)
    lowest = np.clip(f.HYPOGLYCAEMIA_DEPTH + 0.45 * c.normal("depth"), 1.2, f.GLUCOSE_LEAST - 0.1)
    moves = {"glucose": lowest - c.usual("glucose")}
    worst, stays = (
        c.lognormal("worst", f.HYPOGLYCAEMIA_WORST * _MINUTE, 0.4),
        c.lognormal("stays", f.HYPOGLYCAEMIA_STAYS * _MINUTE, 0.5),
    )
    return c.made(worst, stays, c.lognormal("fades", f.HYPOGLYCAEMIA_FADES * _MINUTE, 0.4), moves)


def _hyperglycaemias(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "hyperglycaemia", f.HYPERGLYCAEMIA * who.has["diabetes"] * who.rate, 4)
    moves = {"glucose": c.lognormal("rise", f.HYPERGLYCAEMIA_RISE, 0.35)}
    worst, stays = (
        c.lognormal("worst", f.HYPERGLYCAEMIA_WORST * DAY, 0.5),
        c.lognormal("stays", f.HYPERGLYCAEMIA_STAYS * DAY, 0.6),
    )
    return c.made(worst, stays, c.lognormal("fades", f.HYPERGLYCAEMIA_FADES * DAY, 0.4), moves)


def _fibrillations(draws: Draws, who: People, days: int) -> Episodes:
    rate = between(who.age, (65, 80), (f.FIBRILLATION_NEW_65, f.FIBRILLATION_NEW_80))
    c = _Comings(draws, who, days, "fibrillation", rate * ~who.has["atrial_fibrillation"] * who.rate, 2)
    moves = {"pulse": c.lognormal("pulse", f.FIBRILLATION_NEW_PULSE, 0.5), "irregular": np.ones(len(c.row))}
    stays = np.where(
        c.uniform("stays") < f.FIBRILLATION_STAYS, c.until, c.lognormal("lasts", f.FIBRILLATION_LASTS * HOUR, 0.8)
    )
    return c.made(np.full(len(c.row), 10.0 * _MINUTE), stays, np.full(len(c.row), 1.0 * _MINUTE), moves)


def _falls(draws: Draws, who: People, days: int) -> tuple[Episodes, Episodes]:
    c = _Comings(draws, who, days, "fall", between(who.age, (65, 90), (f.FALLS_65, f.FALLS_90)) * who.rate, 8)
    share = between(who.age[c.row], (65, 90), (f.DOWN_65, f.DOWN_90))
    down = c.uniform("down") < share
    on_floor = np.where(down, c.lognormal("on floor", f.DOWN_TIME * _MINUTE, 1.2), 20 + 20 * c.uniform("up"))
    none = np.zeros(len(c.row))
    every = c.made(none, on_floor, none, {})
    lying = every[down]
    return every[~down], replace(lying, kind=np.full(len(lying), CODES.index("fall_down"), np.int8))


def _always(who: People, days: int) -> tuple[Floats, Floats]:
    """The whole time, for those whose pressure falls when they stand: a condition, to be found out once."""
    none = np.zeros(who.orthostatic.sum())
    return none, none + days * DAY


def _plain(draws: Draws, who: People, days: int, kind: str, yearly: Floats, lasts: float, most: int = 6) -> Episodes:
    c = _Comings(draws, who, days, kind, yearly, most)
    none = np.zeros(len(c.row))
    return c.made(none, none + lasts, none, {})


@dataclass(frozen=True, slots=True)
class Battery:
    """The first battery of one kind of instrument, in seconds of shape ``(n,)``: its life, when it would be empty, and
    when there is a new one. ``changed`` says that this comes before."""

    life: Floats
    empty: Floats
    new: Floats
    changed: Bools

    def level(self, row: NDArray[np.intp], at: Ints) -> Floats:
        """Its charge in % at these seconds. The one after it is changed when it is half empty, of which nothing is told."""
        left = (self.empty[row] - at) / self.life[row]
        renewed = 1 - ((at - self.new[row]) / self.life[row]) % 0.5
        return np.asarray(100 * np.clip(np.where(at >= self.new[row], renewed, left), 0, 1))


def battery(draws: Draws, instrument: str) -> Battery:
    """The batteries of one kind of instrument; a quarter of the charge is when its end can be seen coming."""
    life = DAY * draws.lognormal(f"{instrument} battery", f.BATTERY, 0.3)
    empty = draws.uniform(f"{instrument} battery age") * life
    changed = draws.true(f"{instrument} battery changed", 1 - f.BATTERY_UNCHANGED)
    seen = empty - 0.25 * life * draws.uniform(f"{instrument} battery seen")
    mended = empty + DAY * draws.lognormal(f"{instrument} battery mended", 5, 0.6)
    return Battery(life, empty, np.where(changed, seen, mended), changed)


def _batteries(draws: Draws, who: People, days: int) -> list[Episodes]:
    """Each instrument's battery running down from a quarter on, and its silence when nobody changes it in time."""
    found = []
    for place, instrument in enumerate(INSTRUMENTS):
        if instrument != "wearable":
            one = battery(draws, instrument)
            low, over = one.empty - 0.25 * one.life, np.minimum(one.new, one.empty)
            owned = who.owns[instrument] & (low < days * DAY) & (over > 0)
            found.append(_of_device(owned, "battery", place, low, over, days))
            dead = owned & ~one.changed & (one.empty < days * DAY)
            found.append(_of_device(dead, f"{instrument}_empty", place, one.empty, one.new, days))
    return found


def _outages(draws: Draws, who: People, days: int) -> Episodes:
    c = _Comings(draws, who, days, "outage", f.OUTAGES * who.rate, 8)
    none = np.zeros(len(c.row))
    return _apart(c.made(none, c.lognormal("lasts", f.OUTAGE * HOUR, 1.2), none, {}))


def _apart(found: Episodes) -> Episodes:
    """Without those that begin before the one before has ended."""
    found = found[np.lexsort((found.onset, found.row))]
    ended = np.zeros(len(found), np.int64)
    for i in range(1, len(found)):
        if found.row[i] == found.row[i - 1]:
            ended[i] = max(ended[i - 1], found.end[i - 1])
    return found[found.onset >= ended]


def _unworn(draws: Draws, who: People, days: int) -> Episodes:
    """Days on which the wearable lies on the table from some hour of the waking day on."""
    off = draws.true("left off", f.LEAVES_OFF, days) & who.owns["wearable"][:, None]
    row, day = np.nonzero(off)
    begin = day * DAY + (8 + 8 * draws.uniform("left off at", days)[off]) * HOUR
    end = np.minimum(begin + draws.lognormal("left off for", 3 * HOUR, 0.7, days)[off], (day + 1) * DAY - 3 * HOUR)
    return _bare(row, "unworn", INSTRUMENTS.index("wearable"), begin, np.maximum(end, begin + 600), days)


def _of_device(whose: Bools, kind: str, device: int, begin: Floats, end: Floats, days: int) -> Episodes:
    row = np.flatnonzero(whose)
    return _bare(row, kind, device, begin[row], end[row], days)


def _bare(row: NDArray[np.intp], kind: str, device: int, begin: Floats, end: Floats, days: int) -> Episodes:
    """Episodes that move nothing a body has."""
    m = len(row)
    onset, over = (np.clip(np.rint(times), 0, days * DAY).astype(np.int64) for times in (begin, end))
    number = np.full(m, CODES.index(kind), np.int8)
    devices = np.full(m, device, np.int8)
    return Episodes(
        row, number, onset, onset.copy(), over.copy(), over, devices, np.zeros(m, np.bool_), np.zeros((m, len(MOVED)))
    )
