"""What a care worker does next about an alert, in the order of doing. Pure.

The longest matching beginning of a rule's name counts: ``pulse`` is for ``pulse.high`` and ``pulse.low``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from clinicians.words import N_, Words

_EMERGENCY: Final = N_("If any of these, or nobody answers: call 120 and go there.")
_LOW_PRESSURE: Final = (
    N_("Ring. Ask: any chest pain, fainting, confusion, bleeding?"),
    _EMERGENCY,
    N_("If none of these: lie down, get up slowly, tell the doctor today."),
)
_FOR_THE_DOCTOR: Final = (N_("Nothing is urgent: pass it on to the doctor, with the latest readings."),)
_NOT_MEASURED: Final = (N_("Ring when it suits: is the device within reach, does it work, is anything the matter?"),)

_STEPS: Final = MappingProxyType(
    {
        "help_call": (
            N_("Ring at once and ask what is wrong."),
            N_("No answer within a minute: go there. In danger: call 120."),
        ),
        "fall": (
            N_("Ring at once. Nobody answers: go there now."),
            N_("Do not lift somebody in pain. Head hurt, strong pain or confusion: call 120."),
        ),
        "fall.long_lie": (
            N_("Go there now, or send whoever is nearest. Ring on the way."),
            N_("After a long time on the floor: do not pull her or him up, keep warm, call 120."),
        ),
        "fall.answered": (
            N_("Ring today. Ask: was it a fall, how did it happen, any pain, did the head hit anything?"),
            N_("Head hit or new pain: tell the doctor today. Confused, drowsy or in danger: call 120."),
        ),
        "bp.severe": (
            N_("Ring. Ask: any chest pain, breathlessness, weakness on one side, trouble speaking?"),
            _EMERGENCY,
            N_("If none of these: rest, measure again in half an hour, tell the doctor today."),
        ),
        "fall.fast_pulse": (
            N_("Ring at once. Ask: where does it hurt, did the head hit anything, short of breath, dizzy?"),
            _EMERGENCY,
            N_("If none of these: rest, measure again in half an hour, tell the doctor today."),
        ),
        "bp.low": _LOW_PRESSURE,
        "bp.low_after_fall": _LOW_PRESSURE,
        "bp.drop": _LOW_PRESSURE,
        "bp.average": _FOR_THE_DOCTOR,
        "bp.pulse_pressure": _FOR_THE_DOCTOR,
        "bp.variability": _FOR_THE_DOCTOR,
        "bp.standing": (
            N_("Ring when it suits: dizzy on getting up? Say: sit first, hold on, then walk."),
            N_("Tell the doctor: it may be a medicine."),
        ),
        "bp.missing": (N_("Ring when it suits: is the monitor within reach, does it work?"),),
        "spo2": (
            N_("Ring. Ask: short of breath, confused, blue lips?"),
            _EMERGENCY,
            N_("If none of these: warm the hand, put the clip on again, measure once more, tell the doctor today."),
        ),
        "spo2.too_high": (
            N_("Ring. Ask: headache, very drowsy, confused?"),
            _EMERGENCY,
            N_(
                "If none of these: set the oxygen to the doctor's flow, measure again in half an hour, tell the doctor today."
            ),
        ),
        "spo2.missing": _NOT_MEASURED,
        "respiration": (
            N_("Ring. Ask: short of breath, confused, blue lips?"),
            _EMERGENCY,
            N_("If none of these: sit up, measure once more, tell the doctor today."),
        ),
        "points": (
            N_("Ring at once. Ask: short of breath, chest pain, confused, hard to wake?"),
            _EMERGENCY,
            N_("If none of these: measure everything again in half an hour, tell the doctor today."),
        ),
        "pulse": (
            N_("Ring. Ask: any chest pain, breathlessness, fainting, confusion?"),
            _EMERGENCY,
            N_("If none of these: rest, measure again in half an hour, tell the doctor today."),
        ),
        "pulse.irregular": (N_("Nothing is urgent: ask the doctor whether an ECG is needed."),),
        "heart_failure": (
            N_("Ring. Ask: short of breath, more pillows at night, swollen legs, chest pain?"),
            N_("Short of breath at rest, chest pain, or nobody answers: call 120 and go there."),
            N_("Otherwise: weigh again tomorrow morning, tell the doctor today."),
        ),
        "heart_failure.pulse": _FOR_THE_DOCTOR,
        "weight": (
            N_("Ring. Ask: short of breath, more pillows at night, swollen legs, chest pain?"),
            N_("Short of breath at rest, chest pain, or nobody answers: call 120 and go there."),
            N_("Otherwise: weigh again tomorrow morning, tell the doctor today."),
        ),
        "weight.day": (
            N_("Ring when it suits: short of breath, swollen legs? If so, tell the doctor today."),
            N_("If not: weigh again tomorrow morning."),
        ),
        "weight.missing": _NOT_MEASURED,
        "infection": (
            N_("Ring. Ask: confused, short of breath, hard to wake?"),
            _EMERGENCY,
            N_("If none of these: ask about cough and drinking, tell the doctor today."),
        ),
        "temperature": (
            N_("Ring. Ask: confused, short of breath, hard to wake?"),
            _EMERGENCY,
            N_("If none of these: ask about cough and drinking, tell the doctor today."),
        ),
        "temperature.low": (
            N_("Ring. Ask: confused, slurred speech, hard to wake?"),
            _EMERGENCY,
            N_("If none of these: warm room, dry clothes, measure again in half an hour, tell the doctor today."),
        ),
        "glucose": (
            N_("Ring. Ask: confused, hard to wake, cannot swallow?"),
            _EMERGENCY,
            N_("If none of these and low: something sweet now, measure again in 15 minutes."),
        ),
        "glucose.missing": _NOT_MEASURED,
        "device.battery": (N_("Bring a battery on the next visit."),),
        "device.silent": (
            N_("Ring when it suits: is the device in use, charged, and near the gateway?"),
            N_("If it stays silent: look at it on the next visit."),
        ),
        "gateway": (
            N_("Ring. Ask how she or he is, and whether the gateway's light and the internet are on."),
            N_("Have the plug pulled and put in again. Still silent: go there, or tell the administrator."),
        ),
        "gateway.unwatched": (
            N_("Ring now: the gateway is deaf, and nobody would hear a fall or a call for help."),
            N_("Nobody answers: go there."),
            N_("Have the plug pulled and put in again. Still silent: tell the administrator, and ring again tonight."),
        ),
        "inactivity": (
            N_("Ring at once. Nobody answers: go there now."),
            N_("Ask: slept long, unwell, fallen? In danger: call 120."),
        ),
        "device.unworn": (
            N_("Ring when it suits: is it uncomfortable, forgotten, or broken? A fall would go unnoticed."),
        ),
        "device": (N_("Look at the device on the next visit."),),
        "": (N_("Ring and ask how things are."), N_("Tell the doctor what you found.")),
    }
)


def next_steps(rule: str, words: Words) -> list[str]:
    """What to do about an alert of this rule."""
    matching = max((name for name in _STEPS if rule == name or rule.startswith(f"{name}.") or not name), key=len)
    return [words.gettext(step) for step in _STEPS[matching]]
