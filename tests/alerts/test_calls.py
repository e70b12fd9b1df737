"""Whom an alert calls: by policy, rota, consent and availability; and that a promise has a deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import time, timedelta
from uuid import UUID

import pytest

from alerts import actions
from alerts.policy import SHIPPED, Policy, Step, Target, content
from store import alerts, duty_changes, policies, rosters, team
from store.alerts import AlertRow
from store.people import Person
from store.postgres import Database
from tests.alerts.service import Service, at_work
from tests.household import put_on_duty

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FIRST, SUPERVISOR = Target("duty", "care_worker", 1), Target("duty", "supervisor", 1)
FALLBACK = "+8610555500"


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with at_work(database) as working:
        yield working


def policy(*steps: Step, repeats: int = 0) -> Policy:
    return replace(SHIPPED["high"], steps=steps, repeats=repeats)


async def holds(service: Service, written: Policy, *, area: int | None = None, resident: int | None = None) -> None:
    home = service.home
    async with service.database.service() as c:
        number = await policies.save(
            c, home.centre, "规则", "Rule", content(written), home.administrator.id, service.clock.now
        )
        await policies.use(c, home.centre, "high", number, area_id=area, resident_id=resident)


async def names(service: Service, row: AlertRow) -> list[str]:
    """Who has been called to an alert, in order."""
    known = {p.id: p.name_en for p in [*service.staff, service.home.daughter]}
    return [known[m.person_id] for m in await service.messages(row.id) if m.purpose in ("alert", "also")]


async def why_skipped(service: Service, row: AlertRow) -> list[tuple[UUID | None, str]]:
    async with service.database.service() as c:
        trail = (await alerts.trail(c, [row.id]))[row.id]
    return [(step.person_id, step.detail["why"]) for step in trail if step.kind == "skipped"]


async def act(service: Service, verb: str, row: AlertRow, person: Person) -> None:
    async with service.database.service() as c:
        await getattr(actions, verb)(c, row.id, person.id, service.clock.now, "page")


async def later(service: Service, **by: float) -> None:
    service.clock.go_on(**by)
    await service.work()


async def test_the_nearer_policy_holds_the_residents_before_her_areas_before_the_centres(service: Service) -> None:
    async with service.database.service() as c:
        yard = await rosters.add_area(c, service.home.centre, "大院", "Yard")
        house = await rosters.add_area(c, service.home.centre, "9号楼", "Building 9", within=yard)
        await c.execute("UPDATE resident SET area_id = %s WHERE id = %s", [house, service.home.wang])
    of = {
        name: policy(Step((Target("person", person=person.id),), MINUTE))
        for name, person in (
            ("yard", service.home.chen),
            ("house", service.home.supervisor),
            ("own", service.home.li_na),
        )
    }
    await holds(service, of["yard"], area=yard)
    assert await names(service, await service.raised()) == ["Chen Jing"]
    await holds(service, of["house"], area=house)
    await holds(service, policy(Step((Target("person", person=service.home.doctor.id),), MINUTE)))
    assert await names(service, await service.raised("fall")) == ["Zhou Min"]
    await holds(service, of["own"], resident=service.home.wang)
    assert await names(service, await service.raised("bp.severe")) == ["Na Li"]
    assert await names(service, await service.raised(resident=service.home.zhao)) == ["Liu Jianguo"]


async def test_in_turn_each_has_her_time(service: Service) -> None:
    both = (Target("duty", "care_worker", 1), Target("duty", "care_worker", 2))
    await holds(service, policy(Step(both, MINUTE, in_turn=True), Step((SUPERVISOR,), MINUTE)))
    row = await service.raised()
    called = [await names(service, row)]
    for _ in range(2):
        await later(service, minutes=1)
        called.append(await names(service, row))
    assert called == [["Na Li"], ["Na Li", "Chen Jing"], ["Na Li", "Chen Jing", "Zhou Min"]]


async def test_of_several_on_duty_she_is_first_who_speaks_the_residents_language(service: Service) -> None:
    home = service.home
    both = (Target("duty", "care_worker", 1), Target("duty", "care_worker", 2))
    async with service.database.service() as c:
        await put_on_duty(c, home.centre, "care_worker", 1, home.doctor, service.clock.now)
        await team.describe(c, home.centre, home.li_na.id, [], ["en"])
    await holds(service, policy(Step(both, MINUTE, in_turn=True)))
    assert await names(service, await service.raised()) == ["Liu Jianguo"]


@pytest.mark.parametrize("kind", ["sick", "leave", "on_visit"])
async def test_who_is_away_is_passed_over_at_once_and_the_trail_says_why(service: Service, kind: str) -> None:
    li_na = service.home.li_na
    async with service.database.service() as c:
        now = service.clock.now
        await duty_changes.begin_absence(c, service.home.centre, li_na.id, kind, now, None, now)
    row = await service.raised()
    assert await names(service, row) == ["Chen Jing"]
    assert await why_skipped(service, row) == [(li_na.id, kind)]


async def test_a_relative_is_called_only_when_the_resident_lets_her_be_and_not_in_her_quiet_hours(
    service: Service,
) -> None:
    home = service.home
    await holds(service, policy(Step((Target("family"), FIRST), MINUTE)))
    assert await names(service, await service.raised()) == ["Na Li"]
    async with service.database.service() as c:
        await policies.let_call(c, home.daughter.id, home.wang, home.wang_person, service.clock.now, (time(0), time(0)))
    row = await service.raised("fall")
    assert await names(service, row) == ["Zhang Xiaoyan", "Na Li"]
    [to_daughter] = [m.body for m in await service.messages(row.id) if m.person_id == home.daughter.id]
    assert "Mum" in to_daughter
    assert "9-502" not in to_daughter
    async with service.database.service() as c:
        await policies.set_quiet_hours(c, home.daughter.id, home.wang, (time(0), time(23, 59, 59)))
    row = await service.raised("bp.severe")
    assert await names(service, row) == ["Na Li"]
    assert await why_skipped(service, row) == [(home.daughter.id, "quiet")]
    async with service.database.service() as c:
        await policies.stop_calling(c, home.daughter.id, home.wang, service.clock.now)
    assert "Zhang Xiaoyan" not in await names(service, await service.raised("spo2.low"))


async def test_a_promise_that_is_not_kept_calls_again_and_reminds_her_who_made_it(service: Service) -> None:
    row = await service.raised()
    await later(service, minutes=2)
    await act(service, "acknowledge", row, service.home.chen)
    promised = await service.alert(row.id)
    assert promised.climb_at == service.clock.now + SHIPPED["high"].attend
    await later(service, minutes=14)
    assert len(await names(service, row)) == 2
    await later(service, minutes=1)
    assert await names(service, row) == ["Na Li", "Chen Jing", "Chen Jing", "Na Li"]
    assert (await service.alert(row.id)).state == "notifying"
    assert "lapsed" in await service.trail(row.id)


async def test_who_is_there_is_on_a_visit_until_the_alert_is_closed(service: Service) -> None:
    row = await service.raised()
    await act(service, "attend", row, service.home.li_na)
    await later(service, hours=1)
    assert (await service.alert(row.id)).state == "attended"
    other = await service.raised(resident=service.home.zhao)
    assert await names(service, other) == ["Chen Jing"]
    async with service.database.service() as c:
        await actions.resolve(c, row.id, service.home.li_na.id, service.clock.now, "helped")
        await actions.resolve(c, other.id, service.home.chen.id, service.clock.now, "well")
    service.clock.go_on(seconds=1)
    assert await names(service, await service.raised(resident=service.home.zhao)) == ["Na Li"]


async def test_what_happens_beside_what_somebody_has_taken_asks_her_first_and_then_everybody(service: Service) -> None:
    row = await service.raised()
    await later(service, minutes=2)
    await act(service, "acknowledge", row, service.home.chen)
    beside = await service.raised("bp.severe", pulse=50.0)
    assert await names(service, beside) == ["Chen Jing"]
    assert [m.purpose for m in await service.messages(beside.id)] == ["also"]
    await later(service, minutes=2)
    assert await names(service, beside) == ["Chen Jing", "Na Li"]


async def test_several_alerts_of_one_resident_bear_one_number_and_are_taken_together(service: Service) -> None:
    one, two = await service.raised(), await service.raised("fall")
    stranger = await service.raised(resident=service.home.zhao)
    codes = [(await service.alert(row.id)).reply_code for row in (one, two, stranger)]
    assert codes[0] == codes[1] != codes[2]
    await act(service, "acknowledge", two, service.home.li_na)
    states = [(await service.alert(row.id)).state for row in (one, two, stranger)]
    assert states == ["acknowledged", "acknowledged", "notifying"]
    await act(service, "attend", one, service.home.li_na)
    assert [(await service.alert(row.id)).state for row in (one, two)] == ["attended", "attended"]


async def test_when_everybody_was_called_in_vain_the_last_line_rings_and_it_is_red_until_somebody_takes_it(
    service: Service,
) -> None:
    row = await service.raised()
    for _ in range(5):
        await later(service, minutes=2)
    assert (await service.alert(row.id)).exhausted_at is None
    await later(service, minutes=2)
    in_vain = await service.alert(row.id)
    assert in_vain.exhausted_at == service.clock.now
    assert FALLBACK in {m.address for m in await service.messages(row.id)}
    assert (await service.trail(row.id)).count("exhausted") == 1
    before = len(await service.messages(row.id))
    await later(service, minutes=5)
    assert len(await service.messages(row.id)) > before
    assert (await service.trail(row.id)).count("exhausted") == 1
    await act(service, "acknowledge", row, service.home.doctor)
    assert (await service.alert(row.id)).exhausted_at is None


async def test_who_has_no_way_to_be_reached_is_passed_over_at_once(service: Service) -> None:
    async with service.database.service() as c:
        await c.execute("UPDATE person SET phone = NULL WHERE id = %s", [service.home.li_na.id])
    row = await service.raised()
    assert await names(service, row) == ["Chen Jing"]


async def test_of_two_policies_for_one_area_none_is_lost_when_one_is_taken_back(service: Service) -> None:
    await holds(service, policy(Step((SUPERVISOR,), MINUTE)))
    async with service.database.service() as c:
        await policies.use(c, service.home.centre, "high", None)
    assert await names(service, await service.raised()) == ["Na Li"]


async def test_a_calmer_alert_that_grows_worse_calls_at_the_worse_ones_pace(service: Service) -> None:
    row = await service.raised("fall")
    async with service.database.service() as c:
        await c.execute("UPDATE alert SET priority = 'medium' WHERE id = %s", [row.id])
    await service.raised_joined("fall.long_lie", minutes=10.0)
    worse = await service.alert(row.id)
    assert worse.priority == "high"
    assert worse.climb_at == service.clock.now + SHIPPED["high"].steps[0].wait


async def test_the_resident_takes_back_what_asked_her_while_nobody_has_been_called(service: Service) -> None:
    home = service.home
    row = await service.raised("fall")
    async with service.database.service() as c:
        assert await actions.cancel(c, home.wang, home.wang_person, service.clock.now) == 0
        soon = service.clock.now + 30 * MINUTE
        await alerts.update(c, row.id, {"state": "raised", "call": 0, "step": 0, "climb_at": soon})
        assert await actions.cancel(c, home.wang, home.wang_person, service.clock.now) == 1
    assert (await service.alert(row.id)).state == "cancelled"
    await later(service, hours=1)
    assert await names(service, row) == ["Na Li"]


async def test_a_task_whose_reason_is_over_for_a_week_expires(service: Service) -> None:
    row = await service.raised("fall.answered")
    async with service.database.service() as c:
        await alerts.update(c, row.id, {"cleared_at": service.clock.now})
        await actions.expire(c, service.clock.now + timedelta(days=6), 10)
        await actions.expire(c, service.clock.now + timedelta(days=7), 10)
    assert (await service.alert(row.id)).state == "expired"
    assert (await service.trail(row.id))[-1] == "expired"


async def test_whoever_still_thinks_of_going_is_told_that_it_is_closed_and_nobody_else(service: Service) -> None:
    async def told(row: AlertRow) -> list[tuple[str, str]]:
        return await service.states(row.id, "closed")

    waiting = await service.raised()
    await service.work()
    async with service.database.service() as c:
        await actions.resolve(c, waiting.id, service.home.doctor.id, service.clock.now, "well")
    assert [name for name, _ in await told(waiting)] == ["Na Li"]
    taken = await service.raised("fall")
    await later(service, minutes=2)
    await act(service, "acknowledge", taken, service.home.chen)
    async with service.database.service() as c:
        await actions.resolve(c, taken.id, service.home.chen.id, service.clock.now, "helped")
    assert await told(taken) == []


async def test_a_relative_reads_in_the_news_what_she_calls_her(service: Service) -> None:
    home = service.home
    await holds(service, policy(Step((Target("family"), FIRST), MINUTE)))
    async with service.database.service() as c:
        await policies.let_call(c, home.daughter.id, home.wang, home.wang_person, service.clock.now, (time(0), time(0)))
    row = await service.raised()
    await service.work()
    await act(service, "acknowledge", row, home.li_na)
    [news] = [m.body for m in await service.messages(row.id) if m.purpose == "taken"]
    assert "Mum" in news
    assert "Wang" not in news


async def nobody_called_yet(service: Service, row: AlertRow, **columns: object) -> None:
    """As it stands at night: somebody will be called to it in the morning."""
    async with service.database.service() as c:
        await c.execute("DELETE FROM message WHERE alert_id = %s", [row.id])
        await alerts.update(c, row.id, {"state": "raised", "call": 0, "step": 0, **columns})


async def test_a_fall_after_one_that_the_resident_took_back_calls(service: Service) -> None:
    row = await service.raised("fall")
    await nobody_called_yet(service, row, state="cancelled", climb_at=None, cancelled_at=service.clock.now)
    service.clock.go_on(hours=1)
    again = await service.raised("fall")
    assert again.id == row.id
    assert again.state == "notifying"
    assert await names(service, row) == ["Na Li"]


async def test_what_would_be_called_about_in_the_morning_calls_when_it_is_taken_from_the_shelf(
    service: Service,
) -> None:
    row = await service.raised("fall")
    await nobody_called_yet(service, row, climb_at=service.clock.now + timedelta(hours=5))
    async with service.database.service() as c:
        chen, now = service.home.chen.id, service.clock.now
        await actions.shelve(c, row.id, chen, now, now + timedelta(hours=1))
        await actions.unshelve(c, row.id, chen, now)
    await service.work()
    assert await names(service, row) == ["Na Li"]


async def test_a_task_taken_from_the_shelf_calls_nobody_and_is_not_asked_about_again(service: Service) -> None:
    row = await service.raised("fall.answered")
    async with service.database.service() as c:
        chen, now = service.home.chen.id, service.clock.now
        await actions.shelve(c, row.id, chen, now, now + timedelta(hours=1))
        await actions.unshelve(c, row.id, chen, now)
    await service.work()
    rested = await service.alert(row.id)
    assert (rested.state, rested.climb_at, await names(service, row)) == ("raised", None, [])


async def test_a_crisis_hours_after_a_visit_that_nobody_closed_calls(service: Service) -> None:
    row = await service.raised("bp.severe", pulse=50.0)
    await act(service, "attend", row, service.home.li_na)
    service.clock.go_on(hours=6)
    again = await service.raised("bp.severe", pulse=52.0)
    assert (again.id, again.state) == (row.id, "notifying")


async def unreadable(service: Service, content: str = "{}") -> None:
    """A policy of the centre that no release can read: a hand has been at the record."""
    await holds(service, policy(Step((SUPERVISOR,), MINUTE)))
    async with service.database.service() as c:
        await c.execute("UPDATE policy SET content = %s::jsonb", [content])


@pytest.mark.parametrize("content", ["{}", "[]", '{"steps": [{"wait_s": 1e300}]}', '{"steps": [7]}', "null"])
async def test_for_a_policy_that_cannot_be_read_the_shipped_one_holds(service: Service, content: str) -> None:
    await unreadable(service, content)
    assert await names(service, await service.raised()) == ["Na Li"]


async def close_account(service: Service, person: Person) -> None:
    async with service.database.service() as c:
        await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [service.clock.now, person.id])


async def test_whom_a_policy_names_is_passed_over_when_she_has_left_or_is_away(service: Service) -> None:
    home = service.home
    await holds(
        service, policy(*(Step((Target("person", person=p.id),), MINUTE) for p in (home.doctor, home.chen, home.li_na)))
    )
    async with service.database.service() as c:
        now = service.clock.now
        await duty_changes.begin_absence(c, home.centre, home.chen.id, "sick", now, None, now)
    await close_account(service, home.doctor)
    row = await service.raised()
    assert await names(service, row) == ["Na Li"]
    assert await why_skipped(service, row) == [(home.doctor.id, "left"), (home.chen.id, "sick")]


async def test_a_promise_of_who_has_left_calls_the_others_and_not_her(service: Service) -> None:
    row = await service.raised()
    await act(service, "acknowledge", row, service.home.chen)
    await close_account(service, service.home.chen)
    await later(service, minutes=15)
    assert await names(service, row) == ["Na Li", "Na Li"]


async def test_whose_account_is_closed_can_do_nothing_though_she_was_called(service: Service) -> None:
    row = await service.raised()
    await close_account(service, service.home.li_na)
    with pytest.raises(actions.NotAllowed):
        await act(service, "acknowledge", row, service.home.li_na)


async def test_a_relation_ends_by_the_clock_of_the_service(service: Service) -> None:
    row = await service.raised()
    async with service.database.service() as c:
        await c.execute("UPDATE relation SET valid_until = %s", [service.clock.now + timedelta(days=30)])
    await act(service, "acknowledge", row, service.home.doctor)
    service.clock.go_on(days=31)
    with pytest.raises(actions.NotAllowed):
        await act(service, "attend", row, service.home.doctor)


async def beside(service: Service, *, attended: bool, hours: float = 0) -> tuple[AlertRow, AlertRow]:
    """One alert that Chen Jing has taken or attended, and ``hours`` later another of the same resident."""
    one = await service.raised()
    await act(service, "attend" if attended else "acknowledge", one, service.home.chen)
    service.clock.go_on(hours=hours)
    return one, await service.raised("fall")


async def test_who_came_hours_ago_is_not_asked_alone(service: Service) -> None:
    _, soon = await beside(service, attended=True)
    assert await names(service, soon) == ["Chen Jing"]
    service.clock.go_on(hours=3)
    assert await names(service, await service.raised("bp.severe", pulse=50.0)) == ["Na Li"]


async def test_who_has_left_or_said_that_she_is_back_is_not_asked_alone(service: Service) -> None:
    await beside(service, attended=True)
    async with service.database.service() as c:
        service.clock.go_on(minutes=1)
        await duty_changes.end_absence(c, service.home.centre, service.home.chen.id, service.clock.now)
    service.clock.go_on(minutes=1)
    assert await names(service, await service.raised("bp.severe", pulse=50.0)) == ["Na Li"]


async def test_who_has_promised_to_come_tomorrow_is_not_asked_alone_about_a_fall(service: Service) -> None:
    one = await service.raised()
    async with service.database.service() as c:
        await alerts.update(c, one.id, {"priority": "low"})
    await act(service, "acknowledge", one, service.home.chen)
    assert await names(service, await service.raised("fall")) == ["Na Li"]


async def test_in_turn_each_has_her_time_again_after_a_promise_that_was_not_kept(service: Service) -> None:
    both = (Target("duty", "care_worker", 1), Target("duty", "care_worker", 2))
    await holds(service, policy(Step(both, MINUTE, in_turn=True), Step((SUPERVISOR,), MINUTE)))
    row = await service.raised()
    await later(service, minutes=1)
    await act(service, "acknowledge", row, service.home.li_na)
    await later(service, minutes=15)
    await later(service, minutes=1)
    assert await names(service, row) == ["Na Li", "Chen Jing", "Na Li", "Chen Jing"]


async def test_who_gives_back_what_she_attended_is_on_a_visit_no_more(service: Service) -> None:
    row = await service.raised()
    await act(service, "attend", row, service.home.li_na)
    service.clock.go_on(minutes=5)
    await act(service, "decline", row, service.home.li_na)
    service.clock.go_on(minutes=1)
    assert await names(service, await service.raised(resident=service.home.zhao)) == ["Na Li"]


async def test_when_every_telephone_is_dead_the_last_line_rings_at_once(service: Service) -> None:
    for person in service.staff:
        assert person.phone is not None
        await service.line.habit(person.phone, "dead")
    row = await service.raised()
    for _ in range(8):
        await service.work()
        await service.hear()
        service.clock.go_on(seconds=1)
    assert (await service.alert(row.id)).exhausted_at is not None
    assert FALLBACK in {m.address for m in await service.messages(row.id)}


async def mangled(service: Service) -> None:
    """What Na Li has chosen cannot be read: every call that is hers fails."""
    async with service.database.service() as c:
        await c.execute(
            "INSERT INTO contact_preference (person_id, priority, ways, saved_at) VALUES (%s, 'high', '[{}]', %s)",
            [service.home.li_na.id, service.clock.now],
        )


async def test_a_call_that_cannot_be_made_keeps_no_alert_from_being_raised_and_everybody_is_told(
    service: Service,
) -> None:
    await mangled(service)
    row = await service.raised()
    await service.work()
    loud = await service.alert(row.id)
    assert (loud.state, loud.exhausted_at) == ("notifying", service.clock.now)
    called = {m.address for m in await service.messages(row.id)}
    assert called == {person.phone for person in service.staff} | {FALLBACK}
    assert "exhausted" in await service.trail(row.id)


async def test_after_a_call_that_could_not_be_made_the_ladder_goes_on_once_it_can(service: Service) -> None:
    await mangled(service)
    row = await service.raised()
    await service.work()
    async with service.database.service() as c:
        await c.execute("DELETE FROM contact_preference")
    before = len(await service.messages(row.id))
    await later(service, minutes=2)
    assert len(await service.messages(row.id)) > before


async def test_a_promise_that_cannot_be_followed_up_is_loud_too(service: Service) -> None:
    row = await service.raised()
    await act(service, "acknowledge", row, service.home.chen)
    await mangled(service)
    await later(service, minutes=15)
    assert (await service.alert(row.id)).exhausted_at == service.clock.now


async def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_its_old_time(service: Service) -> None:
    waiting, taken = await service.raised(), await service.raised(resident=service.home.zhao)
    await act(service, "acknowledge", taken, service.home.chen)
    service.clock.go_on(hours=-3)
    await service.dispatcher.look_up()
    await service.dispatcher.look_up()
    assert (await service.alert(waiting.id)).climb_at == service.clock.now
    assert (await service.alert(taken.id)).climb_at == service.clock.now + SHIPPED["high"].attend
    await later(service, minutes=1)
    assert (await service.alert(waiting.id)).call == 2
