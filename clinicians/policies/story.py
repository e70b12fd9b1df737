"""What a policy would do if everybody were silent, call by call, in the reader's words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Protocol
from uuid import UUID

from alerts.escalation import Plan, Skipped
from alerts.policy import Policy
from clinicians.rota import times
from clinicians.words import N_, Words

CALLS: Final = {
    "sms": N_("SMS to %(name)s"),
    "voice": N_("call to %(name)s"),
    "push": N_("push message to %(name)s"),
    "email": N_("e-mail to %(name)s"),
}
"""How a call is told, by its channel."""
WHY_SKIPPED: Final = {
    "sick": N_("%(name)s is off sick and is passed over."),
    "leave": N_("%(name)s is on leave and is passed over."),
    "on_visit": N_("%(name)s is on a visit and is passed over."),
    "unreachable": N_("%(name)s cannot be reached and is passed over."),
    "declined": N_("%(name)s cannot come and is passed over."),
    "quiet": N_("%(name)s is not called: these are her or his quiet hours."),
    "no_phone": N_("%(name)s has no telephone and is passed over."),
    "left": N_("%(name)s has left and is passed over."),
}
"""Why somebody whom a step names is not called."""


class Way(Protocol):
    """One way on which somebody is reached, ``after`` she is called."""

    @property
    def channel(self) -> str: ...
    @property
    def after(self) -> timedelta: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happens: ``clock`` is its time of day, with seconds where they count."""

    at: datetime
    clock: str
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """One call of the policy: its ``title``, what it does, who is passed over. ``loud``: something is wrong, or all is in vain."""

    title: str
    lines: tuple[Line, ...]
    skipped: tuple[str, ...]
    day: str = ""
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """The first round, the rounds after it, and the end, in words. ``end`` is ``None`` when it was not followed so far."""

    first: tuple[Act, ...]
    again: tuple[Act, ...]
    end: Act | None
    summary: str
    remarks: tuple[str, ...] = ()

    @property
    def unmanned(self) -> bool:
        """Whether at some moment no step names anybody who could be called."""
        return any(act.loud for act in (*self.first, *self.again))


def story(
    policy: Policy,
    calls: Sequence[tuple[datetime, Plan]],
    names: Mapping[UUID, str],
    ways: Mapping[UUID, Sequence[Way]],
    words: Words,
    morning: datetime | None = None,
    unreached: Collection[UUID] = (),
) -> Story:
    """The calls of :func:`alerts.escalation.simulate` told one after the other. Everybody called has a name in ``names``.

    ``morning``: when those alerts are called that can wait, if it is night; ``None``: none waits. ``unreached``: whom no way
    of this service reaches.
    """
    tell = _Teller(policy, names, ways, words)
    before: list[datetime | None] = [None, *(at for at, _ in calls)]
    acts = [(plan, tell.act(at, plan, last)) for (at, plan), last in zip(calls, before, strict=False)]
    goes_on = [(plan, act) for plan, act in acts if not plan.exhausted]
    end = next((act for plan, act in acts if plan.exhausted), None)
    return Story(
        first=tuple(act for plan, act in goes_on if plan.rounds == 0),
        again=tuple(act for plan, act in goes_on if plan.rounds),
        end=end,
        summary=tell.summary(calls),
        remarks=tuple(tell.remarks(morning, unreached)),
    )


@dataclass(frozen=True, slots=True)
class _Teller:
    policy: Policy
    names: Mapping[UUID, str]
    ways: Mapping[UUID, Sequence[Way]]
    words: Words

    def act(self, at: datetime, plan: Plan, last: datetime | None) -> Act:
        """One call; the day is named where it is another than at the call before."""
        day = self.words.local(at).date()
        is_new = last is None or self.words.local(last).date() != day
        return Act(
            title=self._title(plan),
            lines=tuple(self._lines(at, plan)),
            skipped=tuple(self._skipped(plan.skipped)),
            day=times.day(day, self.words) if is_new else "",
            loud=plan.unmanned or plan.exhausted,
        )

    def _title(self, plan: Plan) -> str:
        gettext = self.words.gettext
        if plan.exhausted:
            sentence = gettext("Everybody has been called in vain. Every screen turns red, and from now on all are called again every %(span)s until somebody takes it:")  # fmt: skip
            return sentence % {"span": self.words.span(self.policy.again)}
        if plan.unmanned:
            return gettext("No step names anybody who can be called. So everybody of the centre is:")
        if plan.rounds:
            return gettext("Step %(step)s, round %(round)s", step=plan.step, round=plan.rounds + 1)
        return gettext("Step %(step)s", step=plan.step)

    def _lines(self, at: datetime, plan: Plan) -> Iterator[Line]:
        """What goes out at one moment by one channel, as one line."""
        found: dict[tuple[datetime, str], list[str]] = {}
        for person in plan.persons:
            for way in self.ways.get(person, ()):
                if at + way.after < plan.climb_at or plan.exhausted:
                    found.setdefault((at + way.after, way.channel), []).append(self.names[person])
        for (moment, channel), names in sorted(found.items(), key=lambda one: one[0][0]):
            who = self.words.gettext(", ").join(names)
            yield Line(moment, self.clock(moment), self.words.gettext(CALLS[channel], name=who))

    def _skipped(self, passed_over: Iterable[Skipped]) -> Iterator[str]:
        for one in passed_over:
            sentence = WHY_SKIPPED.get(one.why, N_("%(name)s is passed over."))
            yield self.words.gettext(sentence, name=self.names.get(one.person, "?"))

    def clock(self, moment: datetime) -> str:
        """Hours and minutes, and seconds where they are not nought."""
        local = self.words.local(moment)
        return local.strftime("%H:%M:%S" if local.second else "%H:%M")

    def remarks(self, morning: datetime | None, unreached: Collection[UUID]) -> Iterator[str]:
        """What the calls alone do not show."""
        gettext = self.words.gettext
        if unreached:
            names = gettext(", ").join(sorted(self.names[person] for person in unreached))
            yield gettext("By no way of this service can be reached: %(names)s.", names=names)
        if morning is not None:
            waits = N_("This is an alert that cannot wait. At night most of this priority are called only at %(time)s.")
            yield gettext(waits, time=self.words.clock(morning))

    def summary(self, calls: Sequence[tuple[datetime, Plan]]) -> str:
        """How soon a second person is called, and when everybody has been: the two figures that matter."""
        gettext, words = self.words.gettext, self.words
        if not calls:
            return ""
        start = calls[0][0]
        second = next((b for (_, one), (b, two) in pairwise(calls) if set(two.persons) - set(one.persons)), None)
        parts = []
        if second is not None:
            parts.append(gettext("Somebody else is called after %(span)s.", span=words.span(second - start)))
        if calls[-1][1].exhausted:
            sentence = gettext("If everybody is silent, the last line and all others are called after %(span)s.")
            parts.append(sentence % {"span": words.span(calls[-1][0] - start)})
        return words.sentences(parts)
