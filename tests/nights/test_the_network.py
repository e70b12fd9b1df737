"""The telephone network on a bad night: dead phones, refusals, lost answers, callbacks twice, late or never."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.channels import Channel, ChannelName, twilio_account
from alerts.channels.fallback import WithFallback
from alerts.channels.gateway_sms import GatewaySms
from tests.alerts.clock import Clock
from tests.alerts.test_gateway_sms import FILE, gateway
from tests.nights.night import CHEN, LI, SUN, WANG, ZHAO, ZHOU, night
from tests.nights.street import Street

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service waits for an answer of the provider's only so long that it is known to have been lost."""
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.4)


async def test_a_phone_that_is_off_is_given_a_minute_and_then_the_next_is_called(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).off()
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:11")
        await n.reply(CHEN, "1")
        n.nothing_for(LI)
        trail = await n.trail(await n.ends("acknowledged", by=CHEN))
        assert trail[2:4] == ["03:11 failed Na Li unheard", "03:11 climbed Chen Jing"]


async def test_a_phone_that_is_turned_on_later_gets_its_call_and_her_answer_still_counts(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).off()
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, at="03:11")
        await n.at("03:11:30")
        await n.phone(LI).on()
        await n.expect_sms(LI, "王秀英")
        assert (await n.reply(LI, "1"))[0].startswith("好的，王秀英")
        await n.expect_sms(CHEN, exactly="Hearthwatch: Na Li is going to Wang Xiuying. You need not come.")
        await n.ends("acknowledged", by=LI)


async def test_a_message_that_lay_at_a_phone_that_was_off_until_it_was_stale_never_arrives(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).off()
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN)
        await n.deals_with(CHEN, WANG)
        await n.at("07:00")
        await n.phone(LI).on()
        n.nothing_for(LI)
        await n.ends("resolved", by=CHEN)


async def test_an_undelivered_message_brings_the_next_person_in_the_same_moment(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).loses_sms(30003)
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:10")
        await n.reply(CHEN, "1")
        await n.ends(
            "acknowledged",
            by=CHEN,
            trail=[
                "03:10 raised", "03:10 called Na Li", "03:10 failed Na Li 30003",
                "03:10 climbed Chen Jing", "03:10 acknowledged Chen Jing",
            ],
        )  # fmt: skip


async def test_a_number_that_does_not_exist_is_passed_over_and_is_a_task_for_the_administrator(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).dead()
        await n.at("03:10").help(WANG)
        await n.expect_sms(CHEN, at="03:10")
        await n.deals_with(CHEN, WANG)
        page = await (await n.page(SUN)).reads("/admin/reach")
        assert "1人有消息收不到" in page, page


async def test_when_every_telephone_is_dead_it_is_loud_at_once_and_goes_on_trying(street: Street) -> None:
    async with night(street) as n:
        await n.keeps_going_wrong("undelivered")
        await n.at("03:10").help(WANG)
        await n.at("03:11")
        row = await n.ends("notifying")
        assert row.exhausted_at is not None
        await n.is_mended()
        await n.expect_sms(ZHOU, "还没有人去", within=timedelta(minutes=6))
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=ZHOU)


async def test_a_provider_that_has_too_much_to_do_is_asked_again_in_a_second(street: Street) -> None:
    async with night(street) as n:
        await n.goes_wrong("429", 2)
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", within=timedelta(seconds=10))
        await n.reply(LI, "1")
        assert len(n.line.said_to(LI.phone)) == 1
        await n.ends("acknowledged", by=LI)


async def test_a_provider_that_is_ill_is_asked_again_and_she_is_called_once(street: Street) -> None:
    async with night(street) as n:
        await n.goes_wrong("500", 3)
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", within=timedelta(seconds=30))
        await n.reply(LI, "1")
        assert len(n.line.said_to(LI.phone)) == 1
        await n.ends("acknowledged", by=LI)


async def test_while_the_provider_stays_ill_the_ladder_climbs_on_and_all_is_sent_when_it_is_well(
    street: Street,
) -> None:
    async with night(street) as n:
        await n.keeps_going_wrong("500")
        await n.at("03:10").help(WANG)
        await n.at("03:13")
        n.nothing_for(LI, CHEN)
        await n.is_mended()
        for who in (LI, CHEN):
            await n.expect_sms(who, within=timedelta(seconds=10))
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


@pytest.mark.usefixtures("impatient")
async def test_a_send_whose_answer_is_lost_is_found_again_and_not_repeated(street: Street) -> None:
    async with night(street) as n:
        await n.goes_wrong("timeout_after_send", to=LI)
        await n.goes_wrong("lost", to=LI)
        await n.at("03:10").help(WANG)
        await n.at("03:10:30")
        assert len(n.line.said_to(LI.phone)) == 1
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


@pytest.mark.usefixtures("impatient")
async def test_a_send_that_never_arrived_is_repeated_when_the_provider_does_not_have_it(street: Street) -> None:
    async with night(street) as n:
        await n.goes_wrong("timeout_before_send", to=LI)
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, "王秀英", within=timedelta(seconds=10))
        assert len(n.line.said_to(LI.phone)) == 1
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_lost_callbacks_are_asked_for_and_nobody_is_called_too_early(street: Street) -> None:
    async with night(street) as n:
        await n.keeps_going_wrong("lost")
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        await n.expect_sms(CHEN, at="03:12")
        trail = await n.trail(await n.alert(), deliveries=True)
        assert "03:10:20 delivered Na Li" in trail
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


@pytest.mark.parametrize("kind", ["duplicate", "reordered"])
async def test_callbacks_that_come_twice_or_last_first_change_nothing(street: Street, kind: str) -> None:
    async with night(street) as n:
        await n.keeps_going_wrong(kind)
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        row = await n.alert()
        assert [(m.state, m.error) for m in await n.messages(row)] == [("delivered", None)]
        assert (await n.trail(row, deliveries=True)).count("03:10 delivered Na Li") == 1
        await n.expect_sms(CHEN, at="03:12")
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)


async def test_a_message_that_fails_after_its_alert_was_taken_calls_nobody(street: Street) -> None:
    async with night(street) as n:
        await n.phone(LI).off()
        await n.at("03:10").help(WANG)
        await (await n.page(ZHOU)).sends(f"/care/alerts/{(await n.alert()).id}/acknowledge")
        await n.phone(LI).loses_sms(30003)
        await n.line.habit(LI.phone, sms="30003", calls="ring")
        await n.quiet_until("03:20", CHEN)
        await n.ends("acknowledged", by=ZHOU)


async def test_when_the_provider_fails_the_second_provider_sends_what_is_urgent_in_the_same_breath(
    street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_KEY", "s3cret")
    monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_SENDER", "Huaishu")
    async with gateway() as north:
        file = tmp_path / "north.toml"
        file.write_text(FILE.format(url=north.url))

        async def second(channels: dict[ChannelName, Channel], clock: Clock) -> None:
            channels["sms"] = WithFallback(channels["sms"], GatewaySms.read(file, clock=clock), clock=clock)

        async with night(street, change=second) as n:
            await n.keeps_going_wrong("500")
            await n.at("03:10").help(WANG)
            assert north.texts == ["【炉望】急：王秀英（9号楼502）按下了呼救按钮。能去回1，去不了回2（11）"]
            assert n.local(n.clock.now) == "03:10"
            [message] = await n.messages(await n.alert())
            assert (message.state, message.provider) == ("sent", "north")
            await n.reply(LI, "1")
            await n.ends("acknowledged", by=LI)
            assert json.dumps(north.asked, ensure_ascii=False).count("王秀英") == 1
            await n.channels["sms"].close()


async def test_two_messages_in_doubt_to_one_phone_are_told_apart(street: Street, impatient: None) -> None:
    async with night(street) as n:
        await n.goes_wrong("timeout_after_send", 2, to=LI)
        await n.keeps_going_wrong("lost", to=LI)
        await n.at("03:10").help(WANG)
        await n.help(ZHAO)
        await n.at("03:10:40")
        assert sorted(text[:9] for text in n.line.said_to(LI.phone)) == [
            "【炉望】急：王秀英"[:9],
            "【炉望】急：赵德明"[:9],
        ]
        states = [m.state for who in (WANG, ZHAO) for m in await n.messages(await n.alert(who))]
        assert states == ["delivered", "delivered"]
        await n.reply(LI, "都去")
        for who in (WANG, ZHAO):
            await n.ends("acknowledged", by=LI, who=who)
