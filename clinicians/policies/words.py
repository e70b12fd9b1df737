"""Policies, their steps and what is wrong with them, in the reader's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from alerts.policy import Fault, Policy, PolicyError, Step, Target
from clinicians.cases import PRIORITIES
from clinicians.policies.form import StepError
from clinicians.rota.roles import duty
from clinicians.words import N_, Words

_FAULTS: Final[Mapping[str, str]] = {
    "no_steps": N_("The policy has no step: nobody would be called."),
    "no_staff": N_("No step calls those on duty or everybody of the centre. One person may be asleep or ill, and a relative far away: nobody might come."),
    "no_fallback": N_("The centre has no last line yet: who is called when nobody else answers? Set its number under Who is called."),
    "empty_step": N_("Step %(step)s calls nobody."),
    "no_roster": N_("Step %(step)s calls a duty for which there is no roster."),
    "no_phone": N_("Step %(step)s calls somebody who has no telephone or has left."),
    "too_slow": N_("Step %(step)s waits longer than 10 minutes. For an urgent alert that is too long."),
}  # fmt: skip
_ERRORS: Final[Mapping[str, str]] = {
    "wait": N_("A step waits between 30 seconds and 24 hours."),
    "number": N_("Please write every length of time as a number, such as 2 or 0.5."),
    "target": N_("Please choose whom it calls from the list."),
    "repeats": N_("It can be begun anew 0 to 9 times."),
    "again": N_("After the last step everybody is called again every 1 minute to 12 hours."),
    "attend": N_("Whoever takes it has between 5 minutes and 2 days to be there."),
    "too_many_steps": N_("A policy has at most 10 steps."),
}


def fault(found: Fault, words: Words) -> str:
    """Why a policy is refused."""
    return words.gettext(_FAULTS[found.code], step=found.step)


def error(found: PolicyError, words: Words) -> str:
    """What cannot be read in a form."""
    unreadable = N_("This policy cannot be read.")
    sentence = words.gettext(_ERRORS.get(found.code, unreadable))
    if isinstance(found, StepError):
        return words.sentences([words.gettext("Step %(step)s:", step=found.step), sentence])
    return sentence


def target(one: Target, names: Mapping[UUID, str], words: Words) -> str:
    """Whom a target names."""
    if one.kind == "duty":
        assert one.role is not None, "a duty has a role"
        return words.gettext("on duty: %(duty)s", duty=duty(one.role, one.line, words))
    if one.kind == "person":
        assert one.person is not None, "a person is named"
        return names.get(one.person) or words.gettext("somebody no longer here")
    return words.gettext(N_("the family")) if one.kind == "family" else words.gettext(N_("everybody of the centre"))


def step(one: Step, names: Mapping[UUID, str], words: Words) -> str:
    """Whom a step calls and how long they have."""
    who = words.gettext(", ").join(target(t, names, words) for t in one.targets) or words.gettext("nobody")
    sentence = N_("%(who)s; one after the other, %(span)s each") if one.in_turn else N_("%(who)s; %(span)s")
    return words.gettext(sentence, who=who, span=words.span(one.wait))


def ending(written: Policy, words: Words) -> str:
    """What comes after the last step."""
    begun = words.ngettext(
        "Then %(n)s time more from the start.", "Then %(n)s times more from the start.", written.repeats
    )
    last = words.gettext("In the end the last line and everybody, every %(span)s.", span=words.span(written.again))
    attend = words.gettext("Whoever takes it must be there within %(span)s.", span=words.span(written.attend))
    return words.sentences([begun, last, attend] if written.repeats else [last, attend])


def priority(code: str, words: Words) -> str:
    """A priority as the board calls it."""
    return words.gettext(PRIORITIES[code])
