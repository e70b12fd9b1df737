"""The rota under way: gaps, changes, swaps, holidays, handover, areas, and the nights on which clocks are put back or forward."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from alerts import duty
from store import duty_changes, rosters
from store.duty_changes import NewSwap
from tests.nights.night import CHEN, LI, LINE, LIU, WANG, ZHAO, ZHOU, Night, Who, night, on_duty, step
from tests.nights.street import Street

pytestmark = pytest.mark.anyio


async def day_and_night(n: Night) -> None:
    """Li Na by day, Chen Jing by night, in the first line; Zhou Min behind both."""
    await n.nobody_on_duty()
    await n.shift("care_worker_1", LI, "08:00-20:00")
    await n.shift("care_worker_1", CHEN, "20:00-08:00")
    await n.shift("supervisor", ZHOU)


async def test_at_night_the_night_shift_is_called_and_by_day_the_day_shift(street: Street) -> None:
    async with night(street) as n:
        await day_and_night(n)
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.deals_with(CHEN, WANG)
        await n.at("08:10").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="08:10")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, who=ZHAO)


async def test_handover_in_the_middle_of_an_alert_the_next_round_goes_to_whoever_is_on_duty_then(
    street: Street,
) -> None:
    async with night(street, "07:50") as n:
        await day_and_night(n)
        await n.at("07:57").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="07:57")
        await n.expect_sms(ZHOU, "王秀英", at="07:59")
        await n.expect_sms(LI, "王秀英", at="08:01")
        await n.reply(LI, "1")
        await n.ends(
            "acknowledged",
            by=LI,
            trail=[
                "07:57 raised", "07:57 called Chen Jing", "07:59 climbed Zhou Min", "08:01 climbed Na Li",
                "08:01 acknowledged Na Li",
            ],
        )  # fmt: skip


async def test_she_whose_shift_has_just_ended_may_still_answer(street: Street) -> None:
    async with night(street, "07:50") as n:
        await day_and_night(n)
        await n.at("07:59").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="07:59")
        await n.at("08:00:30").reply(CHEN, "1")
        await n.quiet_until("08:10")
        await n.ends("acknowledged", by=CHEN)


async def test_a_gap_in_the_first_line_calls_the_second_at_once(street: Street) -> None:
    async with night(street) as n:
        await n.nobody_on_duty()
        await n.shift("care_worker_1", LI, "08:00-20:00")
        await n.shift("care_worker_2", CHEN)
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        n.nothing_for(LI)
        await n.ends("acknowledged", by=CHEN)


async def test_when_nobody_at_all_is_on_duty_everybody_is_called_and_the_trail_says_that_nobody_was(
    street: Street,
) -> None:
    async with night(street) as n:
        await n.nobody_on_duty()
        await n.at("03:10").help(WANG)
        for who in (LI, CHEN, ZHOU, LIU):
            await n.expect_sms(who, at="03:10")
        await n.reply(LIU, "1")
        trail = await n.trail(await n.ends("acknowledged", by=LIU))
        assert "03:10 unmanned" in trail


async def test_a_colleague_stands_in_for_one_night(street: Street) -> None:
    async with night(street, "22:00") as n:
        await n.stands_in("care_worker_1", ZHOU, LI, "23:00-06:00")
        await n.at("22:30").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="22:30")
        await n.deals_with(LI, ZHAO)
        await n.at("03:10").help(WANG)
        await n.expect_sms(ZHOU, "王秀英", at="03:10")
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=ZHOU)


async def test_a_change_that_was_taken_back_is_none(street: Street) -> None:
    async with night(street, "22:00") as n:
        number = await n.stands_in("care_worker_1", ZHOU, LI, "23:00-06:00")
        await n.at("02:00")
        async with n.record() as c:
            await duty_changes.cancel_change(c, n.home.centre, number, n.clock.now)
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:10")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_a_swap_counts_from_the_moment_it_is_accepted_on_the_colleagues_page(street: Street) -> None:
    async with night(street, "22:00") as n:
        await n.nobody_on_duty()
        await n.shift("care_worker_1", LI)
        async with n.record() as c:
            swap = await duty_changes.ask_swap(
                c,
                n.home.centre,
                NewSwap(
                    n.home.rosters["care_worker_1"],
                    await n.id(LI),
                    await n.id(CHEN),
                    n.clock.now + timedelta(hours=2),
                    n.clock.now + timedelta(hours=9),
                ),
                n.clock.now,
            )
        await n.at("01:00").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="01:00")
        await n.deals_with(LI, ZHAO)
        await (await n.page(CHEN)).sends(f"/care/duty/swaps/{swap}/accept")
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_on_a_holiday_the_holiday_shift_is_called(street: Street) -> None:
    async with night(street, "22:00", day=date(2026, 12, 31)) as n:
        await n.nobody_on_duty()
        await n.shift("care_worker_1", LI, holidays="not")
        await n.shift("care_worker_1", CHEN, holidays="only")
        async with n.record() as c:
            await rosters.set_holiday(c, n.home.centre, date(2027, 1, 1), "元旦", "New Year's Day")
        await n.at("23:50").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="23:50")
        await n.deals_with(LI, ZHAO)
        await n.at("00:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="00:10")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_when_clocks_are_put_back_the_hour_that_comes_twice_is_one_shift_and_the_ladder_keeps_its_pace(
    street: Street,
) -> None:
    async with night(street, "01:00", day=date(2026, 10, 25), zone="Europe/Berlin") as n:
        await n.nobody_on_duty()
        await n.shift("care_worker_1", LI, "22:00-02:30")
        await n.shift("care_worker_1", CHEN, "02:30-08:00")
        await n.shift("supervisor", ZHOU)
        await n.at("02:29").help(WANG)
        await n.expect_sms(LI, "王秀英", at="02:29")
        await n.expect_sms(ZHOU, at="02:31")
        await n.expect_sms(CHEN, "Wang Xiuying", at="02:33")
        raised = (await n.alert()).raised_at
        assert n.clock.now - raised == timedelta(minutes=4)
        await n.deals_with(CHEN, WANG)
        await n.until(raised + timedelta(minutes=61))
        assert n.local(n.clock.now) == "02:30"  # for the second time
        await n.help(ZHAO)
        await n.expect_sms(CHEN, "Zhao Deming")
        await n.reply(CHEN, "1")
        n.nothing_for(LI)


async def test_when_clocks_are_put_forward_a_shift_in_the_hour_that_is_not_begins_where_it_ends(street: Street) -> None:
    async with night(street, "01:00", day=date(2027, 3, 28), zone="Europe/Berlin") as n:
        await n.nobody_on_duty()
        await n.shift("care_worker_1", LI, "22:00-02:30")
        await n.shift("care_worker_1", CHEN, "02:30-08:00")
        await n.shift("supervisor", ZHOU)
        await n.at("01:58").help(WANG)
        await n.expect_sms(LI, "王秀英", at="01:58")
        await n.expect_sms(ZHOU, at="03:00")  # two minutes later
        await n.expect_sms(LI, at="03:02")
        await n.deals_with(LI, WANG)
        await n.at("03:31").help(ZHAO)
        await n.expect_sms(CHEN, "Zhao Deming", at="03:31")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN, who=ZHAO)


async def test_who_reports_sick_on_her_page_is_passed_over_and_the_trail_says_so(street: Street) -> None:
    async with night(street) as n:
        page = await n.page(LI)
        await page.sends("/care/duty/away", kind="sick")
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        n.nothing_for(LI)
        assert "03:10 skipped Na Li sick" in await n.trail(await n.ends("acknowledged", by=CHEN))
        await page.sends("/care/duty/back")
        await n.at("03:12").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="03:12")
        await n.reply(LI, "1")


async def test_she_who_is_with_one_resident_is_not_called_to_another_until_she_is_back(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        await n.reply(LI, "1")
        assert await n.at("03:15").reply(LI, "到了") == ["好的，您到王秀英那儿了，记下了。辛苦了。"]
        await n.at("03:16").help(ZHAO)
        await n.expect_sms(CHEN, "Zhao Deming", at="03:16")
        assert "03:16 skipped Na Li on_visit" in await n.trail(await n.alert(ZHAO))
        await n.deals_with(CHEN, ZHAO)
        wang = await n.ends("attended", by=LI)
        await (await n.page(LI)).sends(f"/care/alerts/{wang.id}/resolve", outcome="well")
        await n.ends("resolved", by=LI)
        await n.at("03:40").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="03:40")
        await n.reply(LI, "1")


async def test_a_visit_that_nobody_ended_ends_by_itself(street: Street) -> None:
    async with night(street, "00:00") as n:
        await n.is_away(LI, "on_visit")
        await n.until(n.clock.now + duty.LONGEST_VISIT + timedelta(minutes=1))
        await n.help(WANG)
        await n.expect_sms(LI, "王秀英")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_the_buildings_own_care_worker_comes_before_the_centres_and_when_she_cannot_the_courtyards(
    street: Street,
) -> None:
    async with night(street) as n:
        async with n.record() as c:
            court = await rosters.add_area(c, n.home.centre, "东院", "East court")
            house = await rosters.add_area(c, n.home.centre, "9号楼", "Building 9", within=court)
            await c.execute("UPDATE resident SET area_id = %s WHERE id = %s", [house, n.home.wang])
        await n.shift(await n.roster("care_worker", area=house, name="house"), CHEN)
        await n.shift(await n.roster("care_worker", area=court, name="court"), ZHOU)
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "2")
        await n.expect_sms(ZHOU, "王秀英", at="03:10")
        n.nothing_for(LI)
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=ZHOU)


async def test_whose_account_is_closed_is_called_no_more_and_cannot_take_what_she_was_called_to(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        async with n.record() as c:
            await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [n.clock.now, await n.id(LI)])
        assert await n.reply(LI, "1") == ["您的账号已经停用，这边不再叫您了。有疑问请找中心。"]
        await n.expect_sms(CHEN, at="03:12")
        await n.expect_sms(ZHOU, at="03:14")
        await n.expect_sms(CHEN, at="03:16")
        await n.reply(CHEN, "1")
        n.nothing_for(LI)
        await n.ends("acknowledged", by=CHEN)


async def test_somebody_without_a_telephone_is_passed_over(street: Street) -> None:
    async with night(street) as n:
        async with n.record() as c:
            await c.execute("UPDATE person SET phone = NULL WHERE id = %s", [await n.id(LI)])
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_a_volunteer_is_called_when_the_policy_names_her_and_sees_the_alert_through(street: Street) -> None:
    async with night(street, "15:00") as n:
        he = Who("he", "何师傅", "He Shifu", "+8613900000021")
        await n.hires(he)
        await n.shift(await n.roster("volunteer"), he)
        await n.policy("high", step(2, on_duty("volunteer"), on_duty("care_worker")))
        await n.at("15:10").help(WANG)
        await n.expect_sms(he, "王秀英", at="15:10")
        assert (await n.reply(he, "收到，马上到"))[0].startswith("好的，王秀英")
        await n.expect_sms(LI, "王秀英")
        await n.expect_sms(LI, exactly="【炉望】何师傅去看王秀英了，您不用去。")
        await n.ends("acknowledged", by=he)


async def test_a_change_of_telephone_in_the_middle_reaches_the_new_one(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        async with n.record() as c:
            await c.execute("UPDATE person SET phone = '+8613900000022' WHERE id = %s", [await n.id(LI)])
        await n.at("03:16:30")
        assert any("王秀英" in text for text in n.line.said_to("+8613900000022"))
        n.nothing_for(LINE)
        await n.ends("notifying")


async def test_a_rotation_hands_over_at_its_hour_from_one_to_the_next(street: Street) -> None:
    async with night(street, "07:00") as n:
        await n.nobody_on_duty()
        roster = n.home.rosters["care_worker_1"]
        began = datetime(2026, 11, 28, 8)  # noqa: DTZ001 - by the centre's clocks: Li Na has this day, Chen Jing the next
        async with n.record() as c:
            turns = [await n.id(LI), await n.id(CHEN)]
            new = rosters.NewRotation(roster, "轮班", "Turns", "days", 1, began, turns)
            rotation = await rosters.add_rotation(c, n.home.centre, new)
            shift = rosters.NewShift(roster, range(1, 8), time(0), time(0), date(2026, 11, 1), rotation_id=rotation)
            await rosters.add_shift(c, n.home.centre, shift)
        await n.at("07:59").help(WANG)
        await n.expect_sms(LI, "王秀英", at="07:59")
        await n.reply(LI, "1")
        await n.at("08:01").help(ZHAO)
        await n.expect_sms(CHEN, "Zhao Deming", at="08:01")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN, who=ZHAO)


async def test_who_goes_on_a_visit_by_her_page_for_half_an_hour_is_called_again_afterwards(street: Street) -> None:
    async with night(street) as n:
        await (await n.page(LI)).sends("/care/duty/away", **{"kind": "on_visit", "for": "30"})
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.deals_with(CHEN, WANG)
        await n.at("03:31").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="03:31")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, who=ZHAO)
