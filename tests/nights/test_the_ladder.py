"""The ladder: who is called at night, when and in which words, until a person comes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import policies, rosters
from tests.nights.night import CHEN, EVERYBODY, FAMILY, LI, LINE, LIU, WANG, XIAOYAN, ZHAO, ZHOU, night, on_duty, step
from tests.nights.street import Street

pytestmark = pytest.mark.anyio


async def test_a_fall_at_night_is_taken_by_whoever_is_called_first(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.expect_sms(
            LI,
            exactly="【炉望】急：王秀英（9号楼502）疑似跌倒，30秒内无回应。能去回1，去不了回2（11）",
            at="03:10:30",
        )
        said = await n.at("03:11").reply(LI, "1")
        assert said == ["好的，王秀英，9号楼502，电话+8613900000006。请15分钟内到，到了回3"]
        await n.quiet_until("03:20")
        await n.ends(
            "acknowledged", by=LI, trail=["03:10:30 raised", "03:10:30 called Na Li", "03:11 acknowledged Na Li"]
        )


async def test_who_sleeps_is_followed_by_the_second_in_her_own_language_and_hears_that_it_is_taken(
    street: Street,
) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(
            LI, exactly="【炉望】急：王秀英（9号楼502）按下了呼救按钮。能去回1，去不了回2（11）", at="03:10"
        )
        await n.expect_sms(
            CHEN,
            exactly="Hearthwatch: Urgent: Wang Xiuying, Bldg 9-502: Pressed the help button. Reply 1 yes, 2 no (11)",
            at="03:12",
        )
        said = await n.reply(CHEN, "on my way")
        assert said == [
            (
                "Thank you. Wang Xiuying, Bldg 9-502, phone +8613900000006. Please be there within 15 min. "
                "Reply 3 when you are there"
            )
        ]
        await n.expect_sms(LI, exactly="【炉望】陈静去看王秀英了，您不用去。", at="03:12")
        n.nothing_for(CHEN, ZHOU, LINE)
        await n.ends(
            "acknowledged",
            by=CHEN,
            trail=["03:10 raised", "03:10 called Na Li", "03:12 climbed Chen Jing", "03:12 acknowledged Chen Jing"],
        )


async def test_when_everybody_sleeps_all_are_called_again_then_the_centres_line_and_every_screen_is_red(
    street: Street,
) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        for minute in (10, 16):
            await n.expect_sms(LI, "能去回1", at=f"03:{minute}")
            await n.expect_sms(CHEN, "Reply 1 yes", at=f"03:{minute + 2}")
            await n.expect_sms(ZHOU, "能去回1", at=f"03:{minute + 4}")
        await n.expect_sms(LINE, "王秀英", "还没有人去", at="03:22")
        await n.expect_sms(CHEN, "Nobody is going, called: Na Li, Chen Jing, Zhou Min", at="03:22")
        for who in (LI, ZHOU, LIU):
            await n.expect_sms(who, "急：王秀英（9号楼502）按下了呼救按钮", "还没有人去", at="03:22")
        await n.expect_sms(LINE, "还没有人去", at="03:27")
        row = await n.alert()
        assert row.exhausted_at is not None
        assert "Nobody has come: Wang Xiuying, Bldg 9-502." in await (await n.page(CHEN)).reads("/care")
        assert "Nobody has come" not in await (await n.page(XIAOYAN)).reads("/family")
        await n.reply(ZHOU, "1")
        row = await n.ends("acknowledged", by=ZHOU)
        assert row.exhausted_at is None
        trail = await n.trail(row)
        assert trail[:8] == [
            "03:10 raised", "03:10 called Na Li", "03:12 climbed Chen Jing", "03:14 climbed Zhou Min",
            "03:16 climbed Na Li", "03:18 climbed Chen Jing", "03:20 climbed Zhou Min", "03:22 exhausted",
        ]  # fmt: skip
        assert trail[-1] == "03:27 acknowledged Zhou Min"


async def test_a_night_in_which_nobody_ever_answers_never_falls_silent(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.at("03:45")
        calls = [text for text in n.read_all(LINE) if "还没有人去" in text]
        assert len(calls) == 5  # 03:22, and every five minutes until 03:42
        row = await n.ends("notifying")
        assert row.exhausted_at is not None


async def test_she_who_cannot_come_is_followed_at_once(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英")
        assert await n.at("03:10:40").reply(LI, "2") == ["好的。王秀英那边在叫陈静。"]
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10:40")
        await n.reply(CHEN, "no, busy")
        await n.expect_sms(ZHOU, "王秀英", at="03:10:40")
        await n.reply(ZHOU, "好")
        await n.ends(
            "acknowledged",
            by=ZHOU,
            trail=[
                "03:10 raised", "03:10 called Na Li", "03:10:40 declined Na Li", "03:10:40 climbed Chen Jing",
                "03:10:40 declined Chen Jing", "03:10:40 climbed Zhou Min", "03:10:40 acknowledged Zhou Min",
            ],
        )  # fmt: skip


async def test_when_nobody_can_come_everybody_is_called_at_once(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        for who in (LI, CHEN, ZHOU):
            await n.expect_sms(who, at="03:10")
            await n.reply(who, "2")
        await n.expect_sms(LIU, "王秀英", within=timedelta(minutes=3))
        await n.reply(LIU, "1")
        await n.ends("acknowledged", by=LIU)


async def test_a_step_in_turn_calls_one_after_the_other(street: Street) -> None:
    async with night(street) as n:
        await n.policy(
            "high", step(1, on_duty("care_worker"), on_duty("care_worker", 2), in_turn=True), step(2, EVERYBODY)
        )
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:10")
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:11")
        await n.expect_sms(ZHOU, "王秀英", at="03:12")
        await n.expect_sms(LIU, "王秀英", at="03:12")
        await n.reply(LIU, "1")
        await n.ends("acknowledged", by=LIU)


async def test_a_step_calls_several_at_once_and_the_first_to_answer_has_it(street: Street) -> None:
    async with night(street) as n:
        await n.policy("high", step(2, on_duty("care_worker"), on_duty("care_worker", 2), on_duty("supervisor")))
        await n.at("03:10").help(WANG)
        for who in (LI, CHEN, ZHOU):
            await n.expect_sms(who, at="03:10")
        await n.reply(CHEN, "ok")
        await n.expect_sms(LI, exactly="【炉望】陈静去看王秀英了，您不用去。")
        await n.expect_sms(ZHOU, exactly="【炉望】陈静去看王秀英了，您不用去。")
        assert await n.reply(ZHOU, "1") == ["陈静已经去看王秀英了，您不用去，谢谢。"]
        await n.ends("acknowledged", by=CHEN)


async def test_a_resident_may_have_a_ladder_of_her_own(street: Street) -> None:
    async with night(street) as n:
        await n.policy("high", step(2, on_duty("supervisor")), resident=ZHAO)
        await n.at("03:10").help(ZHAO)
        await n.expect_sms(ZHOU, "赵德明", at="03:10")
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:10")
        n.nothing_for(ZHOU, CHEN)
        await n.reply(ZHOU, "1")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=ZHOU, who=ZHAO)
        await n.ends("acknowledged", by=LI, who=WANG)


async def test_a_building_has_its_own_ladder_and_the_courtyard_around_it_another(street: Street) -> None:
    async with night(street) as n:
        async with n.record() as c:
            court = await rosters.add_area(c, n.home.centre, "东院", "East court")
            house = await rosters.add_area(c, n.home.centre, "9号楼", "Building 9", within=court)
            await c.execute("UPDATE resident SET area_id = %s WHERE id = %s", [house, n.home.wang])
            await c.execute("UPDATE resident SET area_id = %s WHERE id = %s", [court, n.home.zhao])
        await n.policy("high", step(2, on_duty("supervisor")), area=court)
        await n.policy("high", step(2, on_duty("care_worker", 2)), area=house)
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.at("03:10").help(ZHAO)
        await n.expect_sms(ZHOU, "赵德明", at="03:10")
        n.nothing_for(LI, LIU)
        await n.reply(CHEN, "1")
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=CHEN, who=WANG)
        await n.ends("acknowledged", by=ZHOU, who=ZHAO)


async def test_a_policy_edited_while_an_alert_climbs_holds_from_the_next_step(street: Street) -> None:
    async with night(street) as n:
        number = await n.policy("high", step(2, on_duty("care_worker")), step(2, on_duty("supervisor")))
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        await n.at("03:11")
        async with n.record() as c:
            await policies.remove(c, n.home.centre, number, n.clock.now)
        await n.policy("high", step(2, on_duty("care_worker")), step(2, on_duty("care_worker", 2)))
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:12")
        n.nothing_for(ZHOU)
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_a_policy_made_shorter_than_where_its_alert_stands_still_ends_loudly(street: Street) -> None:
    async with night(street) as n:
        long = [step(2, on_duty("care_worker")), step(2, on_duty("care_worker", 2)), step(2, on_duty("supervisor"))]
        await n.policy("high", *long)
        await n.at("03:10").help(WANG)
        await n.expect_sms(ZHOU, at="03:14")
        await n.policy("high", step(2, on_duty("care_worker")))
        await n.expect_sms(LINE, "还没有人去", at="03:16")
        assert (await n.ends("notifying")).exhausted_at is not None


async def test_the_daughter_is_called_if_her_mother_agrees_in_her_words_and_without_an_address(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.policy("high", step(2, on_duty("care_worker"), FAMILY), step(2, on_duty("supervisor")))
        await n.lets_call(XIAOYAN, WANG, "22:00-07:00")
        await n.at("15:10").fall(WANG)
        await n.expect_sms(
            XIAOYAN,
            exactly="Hearthwatch: Urgent: Mum: There may have been a fall. We have called a care worker. Can you go? "
            "Reply 1, if not 2 (11)",
            at="15:10:30",
        )
        said = await n.reply(XIAOYAN, "ok")
        assert said[0].startswith("Thank you. Mum")
        assert "Bldg" not in said[0]
        await n.expect_sms(LI, "疑似跌倒")
        await n.expect_sms(LI, "张晓燕去看")
        await n.ends("acknowledged", by=XIAOYAN)


async def test_without_her_mothers_consent_the_daughter_is_never_called(street: Street) -> None:
    async with night(street, "15:00") as n:
        await n.policy("high", step(2, on_duty("care_worker"), FAMILY))
        await n.at("15:10").help(WANG)
        await n.at("15:40")
        n.nothing_for(XIAOYAN)
        assert (await n.ends("notifying")).exhausted_at is not None


async def test_in_her_quiet_hours_the_daughter_sleeps_and_the_trail_says_why(street: Street) -> None:
    async with night(street) as n:
        await n.policy("high", step(2, FAMILY), step(2, on_duty("care_worker")))
        await n.lets_call(XIAOYAN, WANG, "22:00-07:00")
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", at="03:10")
        await n.reply(LI, "1")
        n.nothing_for(XIAOYAN)
        trail = await n.trail(await n.ends("acknowledged", by=LI))
        assert "03:10 skipped Zhang Xiaoyan quiet" in trail


async def test_a_consent_that_was_taken_back_at_noon_counts_no_more_in_the_evening(street: Street) -> None:
    async with night(street, "11:00") as n:
        await n.policy("high", step(2, FAMILY, on_duty("care_worker")))
        await n.lets_call(XIAOYAN, WANG)
        await n.at("12:00")
        async with n.record() as c:
            await policies.stop_calling(c, await n.id(XIAOYAN), n.home.wang, n.clock.now)
        await n.at("19:00").help(WANG)
        await n.expect_sms(LI, at="19:00")
        await n.reply(LI, "1")
        n.nothing_for(XIAOYAN)
        await n.ends("acknowledged", by=LI)


async def test_nobody_is_called_any_more_about_a_resident_who_has_left(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        async with n.record() as c:
            await c.execute(
                "UPDATE resident SET left_at = %s WHERE id = %s", [n.clock.now + timedelta(seconds=30), n.home.wang]
            )
        await n.quiet_until("03:30", LI, CHEN, ZHOU, LINE)
        row = await n.ends("resolved", trail=["03:10 raised", "03:10 called Na Li", "03:10:30 resolved left"])
        assert row.outcome == "left"


async def test_two_residents_at_once_are_two_conversations(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.at("03:10").help(ZHAO)
        await n.expect_sms(LI, "王秀英", "（11）")
        await n.expect_sms(LI, "赵德明", "（12）")
        assert await n.reply(LI, "1") == ["11 王秀英，12 赵德明：去哪家？回1加编号，如1 11"]
        assert (await n.reply(LI, "1 12"))[0].startswith("好的，赵德明")
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:12")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=LI, who=ZHAO)
        await n.ends("acknowledged", by=CHEN, who=WANG)
