"""Residents: who they are, what they have, which instruments they own, and what is usual for each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Floats

GROUPS: Final = (
    "hypertension",
    "diabetes",
    "insulin",
    "sulfonylurea",
    "copd",
    "hypercapnic",
    "home_oxygen",
    "heart_failure",
    "atrial_fibrillation",
)
"""What a doctor can have noted of a resident, by the code a protocol's group would bear."""

INSTRUMENTS: Final = ("cuff", "oximeter", "thermometer", "scale", "meter", "wearable")
"""What she can own; the number in this row is that of the device, too."""

USUAL: Final = (
    "systolic",
    "diastolic",
    "pulse",
    "spo2",
    "body_temperature",
    "body_weight",
    "glucose",
    "respiratory_rate",
)
"""The metrics of which each resident has a usual value, in the morning and between seasons."""


@dataclass(frozen=True, slots=True)
class People:
    """Residents in columns of shape ``(n,)``: ``has`` by group, ``owns`` by instrument, ``usual`` by metric.

    ``daily_sd`` is the spread of her own systolic from day to day, ``measures`` the share of occasions on which she
    does. ``evening`` is how far her evening's systolic lies from the morning's, ``rate`` how many times more often than
    her age's something befalls her.
    """

    number: NDArray[np.int32]
    age: Floats
    woman: Bools
    has: dict[str, Bools]
    treated: Bools
    permanent: Bools
    orthostatic: Bools
    stands: Bools
    armpit: Bools
    with_others: Bools
    owns: dict[str, Bools]
    usual: dict[str, Floats]
    daily_sd: Floats
    evening: Floats
    measures: Floats
    rate: Floats

    def __len__(self) -> int:
        return len(self.number)

    def groups(self) -> Iterator[frozenset[str]]:
        """Each resident's groups."""
        held = np.column_stack([self.has[code] for code in GROUPS])
        for row in held.tolist():
            yield frozenset(code for code, has in zip(GROUPS, row, strict=True) if has)


def people(draws: Draws, number: NDArray[np.int32]) -> People:
    """The residents with these numbers."""
    n = len(number)
    age, woman = _age(draws), draws.true("woman", f.WOMEN)
    has = _conditions(draws, age)
    treated = has["hypertension"] & draws.true("treated", f.TREATED)
    logit = np.log(f.MEASURES / (1 - f.MEASURES)) + f.MEASURES_SPREAD * draws.normal("measures")
    evening = np.where(treated, f.EVENING_TREATED, f.EVENING_NORMAL) + f.EVENING_SD * draws.normal("evening")
    spread = np.sqrt(np.log1p((f.SYSTOLIC_DAILY_SD_SD / f.SYSTOLIC_DAILY_SD) ** 2))
    usual = _usual(draws, age, woman, has, treated)
    return People(
        number=number,
        age=age,
        woman=woman,
        has=has,
        treated=treated,
        permanent=has["atrial_fibrillation"] & draws.true("permanent", f.PERMANENT),
        orthostatic=draws.true("orthostatic", f.ORTHOSTATIC),
        stands=treated & draws.true("stands", f.STANDS),
        armpit=draws.true("armpit", f.ARMPIT),
        with_others=draws.true("with others", f.LIVES_WITH_OTHERS),
        owns=_instruments(draws, has, n),
        usual=usual,
        daily_sd=draws.lognormal("daily sd", f.SYSTOLIC_DAILY_SD * np.exp(-(spread**2) / 2), float(spread)),
        evening=evening,
        measures=1 / (1 + np.exp(-logit)),
        rate=draws.gamma2("rate"),
    )


def between(age: Floats, at: tuple[float, float], value: tuple[float, float]) -> Floats:
    """A figure at two ages, and in proportion in between; the same below and above."""
    return np.asarray(np.interp(age, at, value))


def _age(draws: Draws) -> Floats:
    shares = np.array([f.AGED_65, f.AGED_70, f.AGED_75, f.AGED_80])
    edges = np.concatenate(([0.0], np.cumsum(shares), [1.0]))
    return np.asarray(np.interp(draws.uniform("age"), edges, (65.0, 70.0, 75.0, 80.0, 85.0, 95.0)))


def _conditions(draws: Draws, age: Floats) -> dict[str, Bools]:
    old, oldest = age >= 75, age >= 85
    hypertension = draws.true("hypertension", f.HYPERTENSION)
    diabetes = draws.true("diabetes", f.DIABETES)
    copd = draws.true("copd", f.COPD)
    regime = draws.uniform("regime")
    failing = np.where(oldest, f.HEART_FAILURE_85, np.where(old, f.HEART_FAILURE_75, f.HEART_FAILURE_65))
    fibrillating = np.where(oldest, f.FIBRILLATION_85, np.where(old, f.FIBRILLATION_75, f.FIBRILLATION_65))
    severe = draws.uniform("severe copd")
    keeps, oxygen = severe < f.HYPERCAPNIC, (severe >= f.HYPERCAPNIC / 2) & (severe < f.HYPERCAPNIC / 2 + f.HOME_OXYGEN)
    found = {
        "hypertension": hypertension,
        "diabetes": diabetes,
        "insulin": diabetes & (regime < f.ON_INSULIN),
        "sulfonylurea": diabetes & (regime >= f.ON_INSULIN) & (regime < f.ON_INSULIN + f.ON_SULFONYLUREA),
        "copd": copd,
        "hypercapnic": copd & keeps,
        "home_oxygen": copd & oxygen,
        "heart_failure": draws.true("heart failure", failing),
        "atrial_fibrillation": draws.true("atrial fibrillation", fibrillating),
    }
    return {code: found[code] for code in GROUPS}


def _instruments(draws: Draws, has: dict[str, Bools], n: int) -> dict[str, Bools]:
    also = {name: draws.true(f"owns {name}", f.SCALE_AND_OTHERS) for name in ("oximeter", "scale")}
    return {
        "cuff": np.ones(n, np.bool_),
        "oximeter": has["copd"] | has["heart_failure"] | also["oximeter"],
        "thermometer": np.ones(n, np.bool_),
        "scale": has["heart_failure"] | also["scale"],
        "meter": has["diabetes"],
        "wearable": draws.true("owns wearable", f.WEARS),
    }


def _usual(draws: Draws, age: Floats, woman: Bools, has: dict[str, Bools], treated: Bools) -> dict[str, Floats]:
    systolic = _usual_systolic(draws, has, treated)
    diastolic = f.DIASTOLIC + f.DIASTOLIC_SHARE * (systolic - 130) + f.DIASTOLIC_AGEING * (age - 70)
    pulse = f.PULSE + f.PULSE_WOMEN * woman + f.PULSE_SD * draws.normal("usual pulse")
    pulse += f.PULSE_BLOCKER * (has["hypertension"] & draws.true("blocker", f.PULSE_SLOWED))
    deficit = np.where(has["copd"], f.OXYGEN_DEFICIT_COPD, f.OXYGEN_DEFICIT) * draws.gamma2("usual spo2")
    deficit += f.OXYGEN_DEFICIT_SEVERE * (has["hypercapnic"] | has["home_oxygen"])
    weight = np.where(woman, f.WEIGHT_WOMEN, f.WEIGHT_MEN) + f.WEIGHT_SD * draws.normal("usual weight")
    glucose = np.where(has["insulin"], f.GLUCOSE_INSULIN, f.GLUCOSE)
    breathing = f.BREATHING + f.BREATHING_COPD * has["copd"] + f.BREATHING_SD * draws.normal("usual breathing")
    return {
        "systolic": systolic,
        "diastolic": np.clip(diastolic + f.DIASTOLIC_SD * draws.normal("usual diastolic"), 48, systolic - 25),
        "pulse": np.clip(pulse, 46, 105),
        "spo2": np.maximum(f.OXYGEN_TOP - deficit, 84),
        "body_temperature": f.TEMPERATURE + f.TEMPERATURE_SD * draws.normal("usual temperature"),
        "body_weight": np.clip(weight, 36, 120),
        "glucose": glucose * np.exp(f.GLUCOSE_SPREAD * draws.normal("usual glucose")),
        "respiratory_rate": np.clip(breathing, 10, 26),
    }


def _usual_systolic(draws: Draws, has: dict[str, Bools], treated: Bools) -> Floats:
    which = np.where(treated, 1, np.where(has["hypertension"], 2, 0))
    mean = np.array([f.SYSTOLIC_NORMAL, f.SYSTOLIC_TREATED, f.SYSTOLIC_UNTREATED])[which]
    spread = np.array([f.SYSTOLIC_NORMAL_SD, f.SYSTOLIC_TREATED_SD, f.SYSTOLIC_UNTREATED_SD])[which]
    return np.asarray(np.clip(mean + spread * draws.normal("usual systolic"), 92, 185))
