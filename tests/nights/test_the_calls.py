"""Nights on which telephones ring: who sleeps through an SMS is rung up, and no machine hears a name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import contacts
from tests.nights.night import CHEN, LI, LINE, WANG, ZHOU, night, on_duty, step
from tests.nights.street import Street

pytestmark = pytest.mark.anyio

_READ_TO_LI = "您好，这里是炉望。有急事。王秀英，住9号楼5 0 2，按下了呼救按钮。能去请按1，去不了请按2。"


async def test_whom_an_sms_does_not_wake_is_rung_up_and_takes_it_by_a_key(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("answer", "1")
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        call = await n.expect_call(LI, at="03:10:45")
        assert (call.heard[0].words, call.heard[0].language) == (_READ_TO_LI, "zh-CN")
        assert call.heard[-1].words == "好的，辛苦了。王秀英，住9号楼5 0 2。请15分钟内到。再见。"
        await n.expect_sms(
            LI, exactly="好的，王秀英，9号楼502，电话+8613900000006。请15分钟内到，到了回3", at="03:10:45"
        )
        await n.quiet_until("03:20")
        await n.ends("acknowledged", by=LI, trail=["03:10 raised", "03:10 called Na Li", "03:10:45 acknowledged Na Li"])


async def test_who_answers_the_sms_is_not_rung_up(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.at("03:10:40").reply(LI, "1")
        await n.quiet_until("03:20")
        assert n.line.calls_to(LI.phone) == []
        await n.ends("acknowledged", by=LI)


async def test_the_second_is_rung_up_in_english_and_passes_it_on_by_a_key(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("no-answer")
        await n.phone(CHEN).takes_calls("answer", "2")
        await n.at("03:10").help(WANG)
        call = await n.expect_call(CHEN, at="03:12:45")
        assert call.heard[0].words == (
            "This is Hearthwatch. This is urgent. Wang Xiuying, building 9, 5 0 2: Pressed the help button. "
            "Press 1 to take it, 2 if you cannot."
        )
        assert call.heard[-1].words == "All right. For Wang Xiuying we are calling Zhou Min. Goodbye."
        await n.expect_sms(ZHOU, "王秀英", at="03:12:45")
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=ZHOU)


async def test_a_wrong_key_is_asked_for_again(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("answer", "91")
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, "这个键用不上。", "好的，辛苦了。")
        await n.ends("acknowledged", by=LI)


async def test_a_mailbox_hears_nothing_about_anybody_and_the_ladder_goes_on(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).voicemail()
        await n.at("03:10").help(WANG)
        call = await n.expect_call(LI, at="03:10:45")
        assert {said.words for said in call.heard} == {"您好，这里是炉望。有一件事请您看一下短信，或者给中心回个电话。"}
        await n.expect_sms(CHEN, at="03:12")
        await n.reply(CHEN, "1")
        assert "03:10:45 failed Na Li machine" in await n.trail(await n.ends("acknowledged", by=CHEN))


async def test_whom_neither_sms_nor_mailbox_reaches_is_passed_over_at_once(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.line.habit(LI.phone, sms="30006", calls="machine")
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, at="03:10")
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_who_has_only_a_landline_is_rung_up_at_once(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.line.habit(LI.phone, sms="30006", calls="answer", keys="1")
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, "王秀英", at="03:10")
        n.nothing_for(CHEN)
        await n.ends("acknowledged", by=LI)


@pytest.mark.parametrize("calls", ["busy", "no-answer", "hang_up", "failed"])
async def test_a_call_that_comes_to_nothing_leaves_her_the_sms_and_the_next_is_called_in_time(
    street: Street, calls: str
) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls(calls)
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, at="03:10:45")
        await n.expect_sms(LI)
        assert (await n.at("03:11:50").reply(LI, "1"))[0].startswith("好的，王秀英")
        await n.quiet_until("03:20", CHEN)
        row = await n.ends("acknowledged", by=LI)
        assert any(line.startswith("03:10:45 failed Na Li") for line in await n.trail(row))


async def test_who_hears_it_and_presses_nothing_may_still_answer_and_the_ladder_goes_on(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("answer")
        await n.at("03:10").help(WANG)
        call = await n.expect_call(LI, at="03:10:45")
        assert [said.words for said in call.heard].count(_READ_TO_LI) == 2
        assert call.heard[-1].words == "没有听到按键，我们再联系您或者别人。再见。"
        await n.expect_sms(CHEN, at="03:12")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_who_cannot_be_told_from_a_machine_hears_nothing_before_a_key(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("unknown", "11")
        await n.at("03:10").help(WANG)
        call = await n.expect_call(LI, at="03:10:45")
        heard = list(dict.fromkeys(said.words for said in call.heard))
        assert heard[:2] == ["您好，这里是炉望。有一条消息给您，现在听请按1。", _READ_TO_LI]
        await n.ends("acknowledged", by=LI)


async def test_in_the_end_the_centres_line_rings_at_once(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.policy("high", step(2, on_duty("care_worker")))
        await n.phone(LINE).takes_calls("answer", "1")
        await n.at("03:10").help(WANG)
        await n.expect_call(LINE, "王秀英", "没有人", at="03:12")
        row = await n.ends("acknowledged", by=LINE)
        assert row.exhausted_at is None


async def test_a_call_that_the_provider_refuses_for_now_is_made_a_moment_later(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.phone(LI).takes_calls("answer", "1")
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.goes_wrong("429")
        await n.expect_call(LI, "王秀英", within=timedelta(minutes=1))
        await n.ends("acknowledged", by=LI)
        assert len(n.line.calls_to(LI.phone)) == 1


async def test_who_wants_to_be_rung_up_first_is_and_the_sms_follows(street: Street) -> None:
    async with night(street, voice=True) as n:
        ways = [{"channel": "voice", "after_s": 0}, {"channel": "sms", "after_s": 30}]
        async with n.record() as c:
            await contacts.set_preference(c, await n.id(LI), "high", ways, n.clock.now)
        await n.phone(LI).takes_calls("no-answer")
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, at="03:10")
        await n.expect_sms(LI, "王秀英", within=timedelta(seconds=30))
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_the_network_loses_every_word_about_a_call_and_the_key_still_counts(street: Street) -> None:
    async with night(street, voice=True) as n:
        await n.keeps_going_wrong("lost")
        await n.phone(LI).takes_calls("answer", "1")
        await n.at("03:10").help(WANG)
        await n.expect_call(LI, "王秀英", at="03:10:45")
        await n.ends("acknowledged", by=LI)
