"""A policy followed on the real rota, as if everybody were silent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from alerts import escalation, reach
from alerts.escalation import Around, Plan, Skipped
from alerts.policy import Policy
from alerts.reach import Way
from alerts.whom import Whom
from clinicians.policies import form
from clinicians.policies.story import Story, story
from clinicians.rota.desk import Office
from store import residents
from store.administration import NotAllowed
from store.residents import Resident

FOLLOWED: Final = timedelta(hours=48)
"""How far a policy is followed; what is still not exhausted then goes on as it did."""


async def follow(office: Office, written: Policy | None, resident_id: int, priority: str, start: datetime) -> Story:
    """What ``written`` would do about an alert of a resident raised at ``start``; ``None``: the policy that holds for her.

    The very code of a real call answers: nothing is guessed here.
    """
    c, words, until = office.c, office.words, start + FOLLOWED
    resident = await residents.resident(c, resident_id)
    if resident is None or resident.centre_id != office.centre.id:
        raise NotAllowed(f"there is no resident {resident_id} in centre {office.centre.id}")
    whom = Whom(c, start, until=until)
    await whom.look_up([resident])
    policy = written or whom.policy(resident, priority)
    await whom.know(form.persons(policy))
    mute: tuple[Skipped, ...] = ()
    while True:
        calls = list(_calls(policy, _around_at(whom, resident, mute), start, until))
        called = {person for _, plan in calls for person in plan.persons}
        skipped = {one.person for _, plan in calls for one in plan.skipped}
        await whom.know(called | skipped)
        ways = await reach.ways(c, [whom.person(person) for person in called], priority)
        more = _mute(calls, ways) - {one.person for one in mute}
        if not more:
            break
        mute += tuple(Skipped(person, "unreachable") for person in sorted(more))
    unreached = {one.person for one in mute}
    names = {person: whom.person(person).name(words.language) for person in called | skipped | unreached}
    morning = None if priority == "high" else escalation.morning_after(start, words.zone)
    return story(policy, calls, names, ways, words, morning, unreached)


def _around_at(whom: Whom, resident: Resident, out: Collection[Skipped]) -> Callable[[datetime], Around]:
    def around_at(moment: datetime) -> Around:
        whom.now = moment
        return whom.around(resident, out)

    return around_at


def _mute(calls: Iterable[tuple[datetime, Plan]], ways: Mapping[UUID, Sequence[Way]]) -> set[UUID]:
    """Those of calls that reach nobody at all: a real call passes over them at once."""
    return {person for _, plan in calls if not any(ways.get(p) for p in plan.persons) for person in plan.persons}


def _calls(
    policy: Policy, around_at: Callable[[datetime], Around], start: datetime, until: datetime
) -> Iterator[tuple[datetime, Plan]]:
    for at, plan in escalation.simulate(policy, around_at, start):
        yield at, plan
        if plan.climb_at >= until:
            return
