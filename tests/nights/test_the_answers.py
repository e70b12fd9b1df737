"""What is answered by SMS: in other words, late, twice, by two at once, by strangers, to the wrong alert."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.nights.night import CHEN, LI, LIU, SUN, WANG, ZHAO, ZHOU, Night, night
from tests.nights.street import Street

pytestmark = pytest.mark.anyio


async def called(n: Night) -> None:
    """Mrs Wang has called for help, and Li Na has been called."""
    await n.at("03:10").help(WANG)
    await n.expect_sms(LI, "王秀英", "（11）", at="03:10")


@pytest.mark.parametrize("words", ["收到，马上到", "１", "好的", "我去王秀英家", "1 11", "111", "👍", "10分钟到"])
async def test_whoever_says_in_her_own_words_that_she_comes_has_taken_it(street: Street, words: str) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.reply(LI, words) == ["好的，王秀英，9号楼502，电话+8613900000006。请15分钟内到，到了回3"]
        await n.ends("acknowledged", by=LI)


@pytest.mark.parametrize("words", ["老公说明天下雨", "？？1不1", "1 2"])
async def test_what_is_not_understood_is_asked_about_and_takes_nothing(street: Street, words: str) -> None:
    async with night(street) as n:
        await called(n)
        [said] = await n.reply(LI, words)
        assert said.startswith("没看懂，抱歉。能去回1，去不了回2，到了回3。等您的：11 王秀英")
        await n.expect_sms(CHEN, at="03:12")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_whoever_asks_for_help_is_told_how_to_answer_and_what_waits(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        [said] = await n.reply(LI, "帮助")
        assert said == "能去回1，去不了回2，到了回3；几家都有事就加编号，如1 27。等您的：11 王秀英。有危险请打120。"
        await n.expect_sms(CHEN, at="03:12")
        [said] = await n.reply(CHEN, "?")
        assert said.startswith("1 to take, 2 if you cannot come, 3 when you are there")
        await n.ends("notifying")


async def test_a_reply_to_a_number_that_names_no_alert_takes_nothing_and_says_what_waits(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.reply(LI, "1 98") == ["没有编号98的警报。等您的：11 王秀英。"]
        await n.ends("notifying")


async def test_a_stranger_learns_nothing_and_is_answered_once_a_day(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.stranger_writes("+8613811112222", "1") == ["这个号码没有登记，我们不知道您是谁。有危险请打120。"]
        assert await n.stranger_writes("+8613811112222", "1") == []
        assert await n.stranger_writes("+4917012345678", "1 11") == ["We do not know this number. In danger ring 120."]
        assert await n.stranger_writes("10086", "您的余额不足") == []
        await n.ends("notifying")


async def test_a_colleague_who_was_not_called_takes_nothing_by_sms(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.reply(LIU, "1") == ["现在没有等您的警报，谢谢。"]
        await n.ends("notifying")


async def test_a_late_reply_hears_who_was_first(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.expect_sms(CHEN, at="03:12")
        await n.reply(CHEN, "1")
        assert await n.at("03:13").reply(LI, "1") == ["陈静已经去看王秀英了，您不用去，谢谢。"]
        assert (await n.at("03:20").reply(CHEN, "arrived")) == ["Noted: you are with Wang Xiuying. Thank you."]
        assert await n.reply(LI, "1") == ["陈静已经在王秀英那儿了，您不用去，谢谢。"]
        await n.deals_with(CHEN, WANG)
        assert await n.at("05:00").reply(LI, "1") == ["王秀英的警报已经结束，您不用去了，谢谢。"]
        await n.ends("resolved", by=CHEN)


async def test_to_say_it_twice_changes_nothing_and_puts_off_no_promise(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.at("03:11").reply(LI, "1")
        first = (await n.alert()).climb_at
        assert "请10分钟内到" in (await n.at("03:16").reply(LI, "1"))[0]
        row = await n.ends(
            "acknowledged", by=LI, trail=["03:10 raised", "03:10 called Na Li", "03:11 acknowledged Na Li"]
        )
        assert row.climb_at == first


async def test_a_reply_that_the_network_brings_twice_counts_once(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.goes_wrong("duplicate", to=LI)
        assert len(await n.reply(LI, "2")) == 1
        trail = await n.trail(await n.alert())
        assert trail.count("03:10 declined Na Li") == 1


async def test_of_two_who_answer_at_the_same_moment_one_is_first_and_both_hear_who(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.expect_sms(CHEN, at="03:12")
        li, chen = await n.replies((LI, "1"), (CHEN, "1"))
        row = await n.ends("acknowledged")
        is_li = row.acknowledged_by == await n.id(LI)
        assert li[0].startswith("好的，王秀英" if is_li else "陈静已经去看王秀英了")
        assert chen[0].startswith("Na Li is already going" if is_li else "Thank you. Wang Xiuying")
        assert [line for line in await n.trail(row) if "acknowledged" in line] == [
            f"03:12 acknowledged {'Na Li' if is_li else 'Chen Jing'}"
        ]


async def test_to_take_it_at_the_moment_of_the_next_step_is_before_or_after_it_and_never_both(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        n.clock.go_on(minutes=2)
        await n.replies((LI, "1"))
        trail = await n.trail(await n.ends("acknowledged", by=LI))
        assert trail[-1].endswith("acknowledged Na Li")
        await n.quiet_until("03:20", CHEN, ZHOU)


async def test_a_taker_who_gives_it_back_is_followed_at_once(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.reply(LI, "1")
        assert await n.at("03:14").reply(LI, "2") == ["好的。王秀英那边在叫陈静。"]
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:14")
        await n.reply(CHEN, "ok")
        await n.ends(
            "acknowledged",
            by=CHEN,
            trail=[
                "03:10 raised", "03:10 called Na Li", "03:10 acknowledged Na Li", "03:14 declined Na Li",
                "03:14 climbed Chen Jing", "03:14 acknowledged Chen Jing",
            ],
        )  # fmt: skip


async def test_who_says_only_that_she_has_arrived_has_taken_it_too(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.at("03:11").reply(LI, "到了") == ["好的，您到王秀英那儿了，记下了。辛苦了。"]
        await n.quiet_until("03:40", CHEN, ZHOU)
        await n.ends("attended", by=LI, trail=["03:10 raised", "03:10 called Na Li", "03:11 attended Na Li"])


async def test_several_alerts_are_answered_in_one_message(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.help(ZHAO)
        await n.expect_sms(LI, "赵德明", "（12）")
        said = await n.reply(LI, "1 11，2 12")
        assert [text[:8] for text in said] == ["好的，王秀英，9", "好的。赵德明那边"]
        await n.ends("acknowledged", by=LI, who=WANG)
        await n.expect_sms(CHEN, "Zhao Deming")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN, who=ZHAO)


async def test_a_one_meant_for_the_latest_call_does_not_take_an_older_one(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        await n.at("03:11").help(ZHAO)
        await n.expect_sms(LI, "赵德明")
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:12")
        await n.expect_sms(CHEN, "Zhao Deming", at="03:13")
        await n.reply(CHEN, "1 12")
        await n.expect_sms(LI, exactly="【炉望】陈静去看赵德明了，您不用去。")
        assert await n.reply(LI, "1") == ["赵德明那边陈静去了。王秀英还在等，能去请回1 11"]
        assert (await n.reply(LI, "1 11"))[0].startswith("好的，王秀英")
        await n.ends("acknowledged", by=LI, who=WANG)


async def test_a_code_alone_is_asked_about(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        assert await n.reply(LI, "11") == ["11是王秀英。能去回1 11，去不了回2 11，到了回3 11"]
        await n.ends("notifying")


async def test_who_has_said_stop_is_passed_over_is_a_task_for_the_administrator_and_start_brings_her_back(
    street: Street,
) -> None:
    async with night(street) as n:
        await n.reply(LI, "STOP")
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.deals_with(CHEN, WANG)
        assert "1人有消息收不到" in await (await n.page(SUN)).reads("/admin/reach")
        await n.at("04:00").reply(LI, "START")
        await n.help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="04:00")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI, who=ZHAO)
        assert "人有消息收不到" not in await (await n.page(SUN)).reads("/admin/reach")


async def test_a_telephone_that_answers_by_itself_is_not_answered_for_ever(street: Street) -> None:
    async with night(street) as n:
        await called(n)
        answers = [len(await n.reply(LI, "【自动回复】我在开会，稍后联系您")) for _ in range(7)]
        assert answers == [1, 1, 1, 1, 1, 0, 0]
        await n.expect_sms(CHEN, within=timedelta(minutes=3))
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)
