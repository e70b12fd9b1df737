"""What is wrong with a form of the rota, and what came of it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from clinicians.words import N_, Words

PROBLEMS: Final[Mapping[str, str]] = {
    "name": N_("Please write the name in both scripts; write the same twice if there is only one."),
    "duty": N_("Please choose a role and when it is called."),
    "no_area": N_("There is no such area any more."),
    "who": N_("Please say who is on duty, or who is not."),
    "weekdays": N_("Please tick at least one day of the week."),
    "holidays": N_("Please choose what holds on holidays."),
    "times": N_("Please say from when to when."),
    "day": N_("Please enter a day, such as 2026-12-24."),
    "backwards": N_("It ends before it begins."),
    "herself": N_("Nobody can stand in for herself."),
    "too_long": N_("A change lasts 92 days at most. For longer, enter a shift."),
    "past": N_("That time is over."),
    "why": N_("The reason is too long: 200 characters at most."),
    "left": N_("This person is not of this centre any more."),
    "no_person": N_("This person is not of this centre any more."),
    "no_phone": N_("This person has no telephone number: nobody could call her or him."),
    "turn_length": N_("A rotation hands over every 1 to 366 hours, days, weeks or months."),
    "no_turns": N_("Please choose who takes turns, at least one."),
    "rotation_in_use": N_("Shifts still go by this rotation: end them first."),
    "roster_in_policy": N_("A policy in use calls whoever is on duty by this roster, and there is no other for that duty. Change the policy first."),
    "area_has_residents": N_("Residents still live in this area: move them first."),
    "area_has_areas": N_("Other areas still lie in this one: change them first."),
    "area_has_rosters": N_("A roster still stands for this area: remove it first."),
    "area_has_policies": N_("A policy still holds for this area: change that first."),
    "within_itself": N_("An area cannot lie in itself, nor in one that lies within it."),
    "phone": N_("This is not a telephone number that can be called."),
    "phone_taken": N_("This telephone number is somebody else's."),
    "nobody": N_("Please tick whom it concerns."),
    "absence": N_("Please say why she or he is away."),
    "not_hers": N_("Whoever is to be replaced is not on duty in these hours."),
    "not_theirs": N_("These hours are not hers or his any more."),
    "both": N_("The other is on duty then herself or himself."),
    "half_swap": N_("Please say which hours are taken in return."),
    "accepted": N_("That has been accepted already."),
    "declined": N_("That has been declined already."),
    "withdrawn": N_("That is not asked any more."),
    "holiday": N_("A holiday lasts 31 days at most."),
}  # fmt: skip
"""By the code of the error."""
TOLD: Final[Mapping[str, str]] = {
    "roster_added": N_("The roster is there. Enter its shifts now."),
    "roster_changed": N_("The roster is changed."),
    "roster_removed": N_("The roster is gone. What was is still known."),
    "shift_added": N_("The shift is entered."),
    "shift_ended": N_("It is kept when the shift ends."),
    "rotation_added": N_("The rotation is there. Enter a shift that goes by it."),
    "turns_changed": N_("It is kept who takes turns from now on."),
    "rotation_removed": N_("The rotation is gone from now on."),
    "change_added": N_("The change is entered."),
    "change_cancelled": N_("The change is taken back."),
    "holiday_added": N_("The holiday is entered."),
    "holiday_removed": N_("It is a day like others again."),
    "area_added": N_("The area is there."),
    "area_changed": N_("The area is changed."),
    "area_removed": N_("The area is gone."),
    "settled": N_("It is kept who lives where."),
    "helper_added": N_("She or he can be put on duty now."),
    "described": N_("Changed."),
    "away": N_("It is kept. Whoever is away is not called."),
    "back": N_("It is kept: she or he is called again from now on."),
}
"""What came of the form just sent, by its code in the address."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong: ``part`` names the form, ``code`` the error, ``entered`` what had been typed."""

    part: str
    code: str
    entered: Mapping[str, str] = field(default_factory=dict)

    def sentence(self, words: Words) -> str:
        """In words."""
        otherwise = N_("That cannot be entered so.")
        return words.gettext(PROBLEMS.get(self.code, otherwise))


def told(code: str, words: Words) -> str:
    """What came of the form just sent."""
    return words.gettext(TOLD[code]) if code in TOLD else ""
