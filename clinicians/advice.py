"""What a care worker does next about an alert, in the order of doing. Pure.

The longest matching beginning of a rule's name counts: ``pulse`` is for ``pulse.high`` and ``pulse.low``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from clinicians.words import N_, Words

_RING: Final = N_("Ring. Ask: any chest pain, breathlessness, weakness, trouble speaking?")
_EMERGENCY: Final = N_("If yes, or if nobody answers: call 120 and go there.")

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
        "bp.severe": (_RING, _EMERGENCY, N_("If well: rest, measure again in half an hour, tell the doctor today.")),
        "bp.low": (
            N_("Ring. Ask: dizzy, faint, drinking enough?"),
            N_("Let her or him lie down; tell the doctor today."),
        ),
        "bp.missing": (N_("Ring when it suits: is the monitor within reach, does it work?"),),
        "spo2": (N_("Ring. Ask: short of breath? Are the fingers warm, is the clip on well?"), _EMERGENCY),
        "pulse": (_RING, _EMERGENCY),
        "temperature": (N_("Ring. Ask: shivering, cough, drinking enough?"), N_("Tell the doctor today.")),
        "glucose": (N_("Ring. If low: something sweet now, measure again in 15 minutes."), _EMERGENCY),
        "device.battery": (N_("Bring a battery on the next visit."),),
        "device": (N_("Look at the device on the next visit."),),
        "": (N_("Ring and ask how things are."), N_("Tell the doctor what you found.")),
    }
)


def next_steps(rule: str, words: Words) -> list[str]:
    """What to do about an alert of this rule."""
    matching = max((name for name in _STEPS if rule == name or rule.startswith(f"{name}.") or not name), key=len)
    return [words.gettext(step) for step in _STEPS[matching]]
