"""The life of one alert: said to be nothing, raised again, made worse, promised, broken, put aside, closed, too late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import alerts, late_notes
from tests.nights.night import CHEN, LI, SUN, WANG, XIAOYAN, ZHAO, ZHOU, night
from tests.nights.street import Street

pytestmark = pytest.mark.anyio


async def test_i_am_fine_on_her_page_within_thirty_seconds_calls_nobody_and_is_asked_after(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        page = await n.page(WANG)
        assert "Did you fall?" in await page.reads("/me") or "您摔倒了吗" in await page.reads("/me")
        await n.at("03:10:20")
        await page.sends("/me/answer", said="well")
        await n.quiet_until("04:00")
        assert await n.all_alerts() == [("fall.answered", "raised")]
        assert "王秀英" in await (await n.page(LI)).reads("/care")


async def test_i_am_fine_by_the_button_on_her_wrist_counts_as_well(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.at("03:10:25")
        await n.wears(WANG, said_well=1.0)
        await n.quiet_until("04:00")
        assert await n.all_alerts() == [("fall.answered", "raised")]


async def test_i_am_fine_after_somebody_has_been_called_stops_nobody(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.expect_sms(LI, "疑似跌倒", at="03:10:30")
        await n.at("03:11")
        await (await n.page(WANG)).sends("/me/answer", said="well")
        await n.expect_sms(CHEN, "Possible fall", at="03:12:30")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN, rule="fall")


async def test_i_need_help_on_her_page_calls_at_once(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.at("03:10:10")
        await (await n.page(WANG)).sends("/me/answer", said="help")
        await n.expect_sms(LI, "王秀英", at="03:10:10")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, rule="help_call")


async def test_who_presses_again_and_again_is_one_alert_and_one_call(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        for moment in ("03:10:20", "03:10:40", "03:11"):
            await n.at(moment).help(WANG)
        n.nothing_for(LI, CHEN)
        await n.reply(LI, "1")
        row = await n.ends("acknowledged", by=LI)
        assert (await n.trail(row)).count("03:11 raised_again") == 1
        assert len(await n.all_alerts()) == 1


async def test_who_presses_again_after_somebody_has_taken_it_is_heard_again(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.reply(LI, "1")
        await n.at("03:14").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:14")
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:16")
        await n.reply(LI, "1")
        await n.expect_sms(CHEN, "Na Li is going")
        await n.ends("acknowledged", by=LI)


async def test_who_presses_while_somebody_is_with_her_calls_again(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.reply(LI, "1")
        await n.at("03:15").reply(LI, "3")
        n.read_all(LI)
        await n.at("03:20").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:20")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_who_still_lies_there_makes_the_same_alert_worse_and_calls_the_next_at_once(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.expect_sms(LI, "疑似跌倒", at="03:10:30")
        await n.reply(LI, "1")
        await n.at("03:20")
        await n.wears(WANG, long_lie=1.0)
        await n.expect_sms(LI, "王秀英", "仍无起身迹象", at="03:20")
        await n.expect_sms(CHEN, "no sign of getting up", at="03:22")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)
        assert len(await n.all_alerts()) == 1


async def test_another_alert_of_hers_is_first_asked_of_her_who_is_on_her_way(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.expect_sms(LI, at="03:10:30")
        await n.reply(LI, "1")
        await n.at("03:13").help(WANG)
        await n.expect_sms(
            LI, exactly="【炉望】急：王秀英又有情况：按下了呼救按钮。能一并处理回1，不能回2（11）", at="03:13"
        )
        await n.reply(LI, "1")
        await n.quiet_until("03:20", CHEN, ZHOU)
        await n.ends("acknowledged", by=LI, rule="fall")
        await n.ends("acknowledged", by=LI, rule="help_call")


async def test_when_she_on_her_way_says_nothing_to_the_second_alert_the_others_are_called(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.expect_sms(LI)
        await n.reply(LI, "1")
        await n.at("03:13").help(WANG)
        await n.expect_sms(LI, "又有情况", at="03:13")
        await n.expect_sms(LI, "呼救", at="03:15")
        await n.expect_sms(CHEN, "help button", at="03:17")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN, rule="help_call")


async def test_one_answer_takes_all_that_is_open_about_her(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.at("03:10:40").help(WANG)
        n.read_all(LI)
        await n.reply(LI, "1")
        await n.quiet_until("03:20", CHEN)
        assert await n.all_alerts() == [("fall", "acknowledged"), ("help_call", "acknowledged")]


async def test_a_promise_that_is_not_kept_is_asked_after_and_the_others_are_called(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.reply(LI, "1")
        await n.expect_sms(
            LI,
            exactly="【炉望】您15分钟前说去看王秀英（9号楼502），到了吗？到了回3，还在路上回1，去不了回2（11）",
            at="03:25",
        )
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:27")
        assert await n.reply(LI, "3") == ["好的，您到王秀英那儿了，记下了。辛苦了。"]
        await n.expect_sms(CHEN, "Na Li is going to Wang Xiuying.")
        await n.quiet_until("04:00")
        await n.ends(
            "attended",
            by=LI,
            trail=[
                "03:10 raised", "03:10 called Na Li", "03:10 acknowledged Na Li", "03:25 lapsed Na Li",
                "03:25 climbed Na Li", "03:27 climbed Chen Jing", "03:27 attended Na Li",
            ],
        )  # fmt: skip


async def test_she_who_is_still_on_her_way_promises_anew(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.reply(LI, "1")
        await n.expect_sms(LI, "到了吗", at="03:25")
        assert "请15分钟内到" in (await n.reply(LI, "还在路上"))[0]
        await n.quiet_until("03:39", CHEN)
        await n.expect_sms(LI, "到了吗", at="03:40")
        await n.reply(LI, "到了")
        await n.ends("attended", by=LI)


async def test_what_was_closed_on_a_page_is_quiet_and_the_next_press_is_a_new_alert(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        row = await n.alert()
        await (await n.page(LI)).sends(f"/care/alerts/{row.id}/resolve", outcome="well")
        await n.quiet_until("03:30", CHEN)
        await n.at("03:30").help(WANG)
        await n.expect_sms(LI, at="03:30")
        await n.reply(LI, "1")
        assert await n.all_alerts() == [("help_call", "resolved"), ("help_call", "acknowledged")]


async def test_what_is_put_aside_for_an_hour_calls_again_by_itself(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        row = await n.alert()
        await (await n.page(LI)).sends(f"/care/alerts/{row.id}/shelve", until="1")
        await n.ends("shelved")
        await n.quiet_until("04:09")
        await n.expect_sms(LI, "王秀英", at="04:10")
        await n.reply(LI, "1")
        assert "04:10 unshelved" in await n.trail(await n.ends("acknowledged", by=LI))


async def test_a_press_while_her_alert_is_put_aside_is_heard(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await (await n.page(LI)).sends(f"/care/alerts/{(await n.alert()).id}/shelve", until="morning")
        await n.at("03:30").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:30")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_a_colleague_takes_it_on_her_page_and_whoever_was_called_is_told(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await (await n.page(ZHOU)).sends(f"/care/alerts/{(await n.alert()).id}/acknowledge")
        await n.expect_sms(LI, exactly="【炉望】周敏去看王秀英了，您不用去。")
        await (await n.page(ZHOU)).sends(f"/care/alerts/{(await n.alert()).id}/attend")
        assert await n.reply(LI, "1") == ["周敏已经在王秀英那儿了，您不用去，谢谢。"]
        await n.ends("attended", by=ZHOU)


async def test_a_fever_is_called_without_alarm_and_has_ten_minutes_a_step(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.at("15:10").measure(WANG, body_temperature=38.4)
        await n.expect_sms(LI, exactly="【炉望】王秀英（9号楼502）体温38.4°C。能去回1，去不了回2（11）", at="15:10")
        await n.expect_sms(CHEN, "Temperature 38.4 C", at="15:20")
        await n.reply(CHEN, "1")
        row = await n.ends("acknowledged", by=CHEN)
        assert row.priority == "medium"


async def test_a_fever_that_rises_calls_as_urgent_whoever_had_taken_it(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.at("15:10").measure(WANG, body_temperature=38.4)
        await n.expect_sms(LI, "体温38.4")
        await n.reply(LI, "1")
        await n.at("15:30").measure(WANG, body_temperature=39.6)
        await n.expect_sms(LI, "急：王秀英", "39.6", at="15:30")
        await n.expect_sms(CHEN, "Urgent: Wang Xiuying", within=timedelta(minutes=4))
        await n.reply(CHEN, "1")
        assert ("temperature.very_high", "acknowledged") in await n.all_alerts()


async def test_what_can_wait_waits_for_the_morning(street: Street) -> None:
    async with night(street, "22:00") as n:
        await n.at("22:30").measure(WANG, glucose=15.0)
        await n.at("03:10").measure(WANG, glucose=15.4)
        assert await n.all_alerts() == [("glucose.raised", "raised")]
        await n.quiet_until("06:59")
        await n.expect_sms(LI, "王秀英", "血糖15，又测15.4", at="07:00")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_what_was_over_before_the_morning_rings_nobody(street: Street) -> None:
    async with night(street, "22:00") as n:
        await n.at("22:30").measure(WANG, glucose=15.0)
        await n.at("03:10").measure(WANG, glucose=15.4)
        await n.at("05:00").measure(WANG, glucose=7.0)
        await n.quiet_until("09:00")
        row = await n.ends("raised")
        assert row.cleared_at is not None


async def test_a_task_rings_nobody_and_stands_on_the_board(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10")
        await n.wears(WANG, battery=9.0)
        await n.quiet_until("09:00")
        assert await n.all_alerts() == [("device.battery", "raised")]
        assert "设备电量9%" in await (await n.page(LI)).reads("/care")


async def test_a_very_high_pressure_is_first_measured_again_and_calls_when_it_is_not(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.at("15:10").measure(WANG, systolic=192, diastolic=118, pulse=88)
        await n.quiet_until("15:39")
        await n.expect_sms(LI, "急：王秀英（9号楼502）", at="15:40")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, rule="bp.severe")


async def test_a_very_high_pressure_that_is_normal_the_second_time_calls_nobody(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.at("15:10").measure(WANG, systolic=192, diastolic=118, pulse=88)
        await n.at("15:18").measure(WANG, systolic=138, diastolic=82, pulse=80)
        await n.quiet_until("16:30")
        assert await n.all_alerts() == []


async def test_a_gateway_that_falls_silent_at_night_wakes_nobody_and_in_the_morning_somebody_rings(
    street: Street,
) -> None:
    async with night(street, "23:00") as n:
        n.listens_for_silence = True
        await n.gateway_beats()
        for _ in range(17):
            await n.until(n.clock.now + timedelta(minutes=15))
        n.listens_for_silence = False
        assert await n.all_alerts() == [("gateway.silent", "raised"), ("gateway.unwatched", "raised")]
        await n.quiet_until("06:59")
        await n.expect_sms(LI, "网关4小时没有联系，请电话问候", at="07:00")
        n.nothing_for(LI)  # two homes stand behind it, and one call is enough
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, rule="gateway.unwatched")


async def test_while_somebody_works_on_her_devices_their_faults_are_kept_and_told_afterwards(street: Street) -> None:
    async with night(street, "10:00") as n:
        page = await n.page(SUN)
        await page.sends(f"/admin/residents/{n.home.wang}/maintenance", hours="1", why="更换手环")
        await n.at("10:10")
        await n.wears(WANG, battery=9.0)
        assert await n.all_alerts() == []
        await n.at("10:59")
        assert await n.all_alerts() == []
        await n.at("11:01")
        assert await n.all_alerts() == [("device.battery", "raised")]


async def test_while_somebody_works_on_her_devices_a_call_for_help_is_still_heard(street: Street) -> None:
    async with night(street, "10:00") as n:
        await (await n.page(SUN)).sends(f"/admin/residents/{n.home.wang}/maintenance", hours="1", why="更换手环")
        await n.at("10:10").help(WANG)
        await n.expect_sms(LI, "王秀英", at="10:10")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_a_fall_that_a_gateway_tells_of_two_days_later_calls_nobody_and_is_noted_for_the_doctor(
    street: Street,
) -> None:
    async with night(street) as n:
        then = n.clock.now - timedelta(days=2)
        await n.fall(WANG, measured_at=then.isoformat().replace("+00:00", "Z"))
        await n.quiet_until("04:00")
        assert await n.all_alerts() == []
        async with n.record() as c:
            noted = await late_notes.of_resident(c, n.home.wang, then - timedelta(days=1))
        assert [note.rule for note in noted] == ["fall"]


async def test_the_family_sees_who_is_coming_and_no_telephone_number(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.reply(LI, "1")
        page = await (await n.page(XIAOYAN)).reads("/family")
        assert "Na Li" in page
        assert LI.phone not in page


async def test_two_residents_are_told_apart_by_the_name_in_an_answer(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.at("03:10").help(ZHAO)
        n.read_all(LI)
        assert (await n.reply(LI, "我去赵德明家"))[0].startswith("好的，赵德明")
        async with n.record() as c:
            [wang] = await alerts.open_alerts(c, n.home.wang)
        assert wang.state == "notifying"
        await n.ends("acknowledged", by=LI, who=ZHAO)
