"""The service itself on a bad night: stopped in the middle, killed while sending, twice at once, without its record."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from alerts.channels import Channel, ChannelName
from alerts.channels.email import EmailChannel, MailServer
from alerts.channels.push import PushChannel
from alerts.heartbeat import Heartbeat
from store import contacts, self_watch
from tests.alerts.browsers import push_service
from tests.alerts.clock import Clock
from tests.alerts.test_email import post
from tests.nights.night import CHEN, LI, WANG, ZHAO, ZHOU, Who, night
from tests.nights.street import OFFICE, PUSH_KEYS, Street

pytestmark = pytest.mark.anyio

PROBE = Who("probe", "", "the probe", "+8613900000099")


async def test_a_service_that_was_stopped_for_five_minutes_goes_on_where_it_stood(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        await n.stops()
        await n.at("03:15")
        n.nothing_for(CHEN)
        await n.starts()
        await n.expect_sms(CHEN, "Wang Xiuying", at="03:15")
        await n.expect_sms(ZHOU, at="03:17")
        await n.reply(ZHOU, "1")
        await n.ends("acknowledged", by=ZHOU)


async def test_what_falls_while_the_service_is_away_is_judged_when_it_is_back(street: Street) -> None:
    async with night(street) as n:
        for worker in n.workers:
            await worker.watch.leave()
        n.workers.clear()  # the door still takes readings
        await n.at("03:10").fall(WANG)
        assert await n.all_alerts() == []
        await n.at("03:14")
        await n.starts()
        await n.expect_sms(LI, "疑似跌倒", within=timedelta(seconds=40))
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_a_reading_that_found_no_door_is_handed_over_again_and_counts(street: Street) -> None:
    async with night(street) as n:
        await n.stops()
        then = n.clock.now
        with pytest.raises(AssertionError, match="nobody is there"):
            await n.help(WANG)
        await n.at("03:04")
        await n.starts()
        await n.fall(WANG, measured_at=then.isoformat().replace("+00:00", "Z"))
        await n.expect_sms(LI, "疑似跌倒", within=timedelta(minutes=1))
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_service_that_dies_while_sending_calls_her_once_and_never_not_at_all(
    street: Street, *, taken: bool
) -> None:
    async with night(street) as n:
        await n.at("03:09")
        dispatchers, n.workers[0].dispatcher = n.workers[0].dispatcher, _Asleep()  # type: ignore[assignment]
        await n.at("03:10").help(WANG)
        n.workers[0].dispatcher = dispatchers
        await n.dies_while_sending(taken_by_network=taken)
        await n.at("03:10:10")
        await n.starts()
        await n.at("03:11")
        assert len(n.line.said_to(LI.phone)) == 1
        await n.expect_sms(LI, "王秀英")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


class _Asleep:
    """A dispatcher that does not get to anything."""

    async def climb(self) -> float:
        return 1.0

    async def send_due(self) -> float:
        return 1.0

    async def sent_all(self) -> None:
        pass

    async def look_up(self) -> float:
        return 1.0

    async def ask_after(self) -> float:
        return 1.0


async def test_two_services_over_one_record_call_everybody_once(street: Street) -> None:
    async with night(street, processes=2) as n:
        await n.at("03:10").help(WANG)
        await n.help(ZHAO)
        await n.expect_sms(LI)
        await n.expect_sms(LI)
        await n.expect_sms(CHEN, at="03:12")
        await n.expect_sms(CHEN, at="03:12")
        await n.at("03:13")
        n.nothing_for(LI, CHEN, ZHOU)
        await n.reply(CHEN, "都去")
        for who in (WANG, ZHAO):
            row = await n.ends("acknowledged", by=CHEN, who=who)
            assert len([line for line in await n.trail(row) if "climbed" in line]) == 1


async def test_one_of_two_services_dies_and_the_other_climbs_on(street: Street) -> None:
    async with night(street, processes=2) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.workers.pop().watch.leave()
        await n.expect_sms(CHEN, at="03:12")
        await n.at("03:12:30").help(ZHAO)
        await n.expect_sms(LI, "赵德明", at="03:12:30")
        await n.reply(CHEN, "1 11")
        await n.reply(LI, "1 12")
        await n.ends("acknowledged", by=CHEN, who=WANG)
        await n.ends("acknowledged", by=LI, who=ZHAO)


async def test_a_reply_that_comes_while_the_record_is_away_counts_when_it_is_back(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await record_of(street, is_there=False)
        answer = asyncio.create_task(n.line.reply(LI.phone, "1"))
        await asyncio.sleep(0.15)
        await record_of(street, is_there=True)
        assert (await answer)[0].startswith("好的，王秀英")
        assert "王秀英" in await (await n.page(LI)).reads("/care")
        await n.quiet_until("03:20")
        await n.ends("acknowledged", by=LI)


async def record_of(street: Street, *, is_there: bool) -> None:
    """Let the database in, or turn everybody out of it."""
    dsn = psycopg.conninfo.conninfo_to_dict(street.database.dsn)
    name = str(dsn["dbname"])
    other = psycopg.conninfo.make_conninfo(street.database.dsn, dbname="postgres")
    async with await psycopg.AsyncConnection.connect(other, autocommit=True) as c:
        await c.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {is_there}'.encode())
        if not is_there:
            await c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


async def test_what_can_wait_is_also_mailed_to_whoever_has_an_address(street: Street) -> None:
    async with post() as server:

        async def mail(channels: dict[ChannelName, Channel], clock: Clock) -> None:
            sends_by = MailServer("127.0.0.1", server.port, "none")
            channels["email"] = EmailChannel(sends_by, "炉望 <alerts@centre.example>", clock=clock)

        async with night(street, "15:00", change=mail) as n:
            async with n.record() as c:
                await contacts.set_email(c, await n.id(LI), "li.na@centre.example", n.clock.now)
            await n.at("15:10").measure(WANG, body_temperature=38.4)
            await n.expect_sms(LI, "体温38.4")
            [(envelope, sent)] = server.got
            assert envelope.rcpt_tos == ["li.na@centre.example"]
            assert "王秀英" not in str(sent["Subject"])
            assert "体温38.4" in sent.get_content()
            await n.reply(LI, "1")
            await n.ends("acknowledged", by=LI)


async def test_her_browser_shows_a_fall_and_takes_it_by_its_button(street: Street) -> None:
    async with push_service(PUSH_KEYS.public) as service:

        async def push(channels: dict[ChannelName, Channel], clock: Clock) -> None:
            channels["push"] = PushChannel(street.database, PUSH_KEYS, OFFICE, ["127.0.0.1"], clock=clock)

        async with night(street, change=push) as n:
            browser = service.browser()
            await browser.listen(street.database, await n.id(LI), n.clock.now)
            await n.at("03:10").fall(WANG)
            await n.expect_sms(LI, at="03:10:30")
            [(_, shown)] = service.got_by(browser)
            assert "王秀英" in shown["title"]
            assert "疑似跌倒" in shown["body"]
            said = await street.client.post(f"{street.door_url}{shown['answer']}/1")
            assert said.json()["said"].startswith("好的，王秀英")
            await n.quiet_until("03:20")
            await n.ends("acknowledged", by=LI)
            await n.channels["push"].close()


async def test_the_heartbeat_proves_the_whole_way_and_no_one_sees_it(street: Street) -> None:
    async with night(street) as n:
        heart = Heartbeat(street.database, PROBE.phone, timedelta(minutes=5), clock=n.clock)
        await heart.round()
        await n.is_told()
        await n.expect_sms(PROBE, exactly="Hearthwatch: Self-test. No need to reply.")
        await heart.round()
        async with n.record() as c:
            assert await self_watch.last_proof(c) == n.clock.now
        await n.quiet_until("03:04")
        assert "自检" not in await (await n.page(LI)).reads("/care")


async def test_when_the_network_takes_nothing_the_heartbeat_is_not_proved_and_says_where_it_is_stuck(
    street: Street,
) -> None:
    async with night(street) as n:
        heart = Heartbeat(street.database, PROBE.phone, timedelta(minutes=1), clock=n.clock)
        await n.keeps_going_wrong("500")
        for _ in range(4):
            await heart.round()
            await n.is_told()
            await n.until(n.clock.now + timedelta(minutes=1))
        async with n.record() as c:
            chain = await self_watch.standing(c, n.clock.now)
        assert chain.is_broken(n.clock.now)
        assert chain.stuck == "not_sent"
        n.nothing_for(LI, CHEN, ZHOU)


async def test_a_promise_outlives_a_restart_of_the_service(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        await n.reply(LI, "1")
        await n.stops()
        await n.at("03:20")
        await n.starts()
        await n.expect_sms(LI, "您15分钟前说去看王秀英", at="03:25")
        await n.reply(LI, "3")
        await n.ends("attended", by=LI)


async def test_a_question_outlives_a_restart_and_whoever_does_not_answer_it_is_helped(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").fall(WANG)
        await n.stops()
        await n.at("03:10:20")
        await n.starts()
        await n.expect_sms(LI, "疑似跌倒", at="03:10:30")
        await n.reply(LI, "1")
        await n.ends("acknowledged", by=LI)


async def test_the_same_reading_handed_over_twice_is_one_alert(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI)
        assert await n.hands_over_again(WANG) == "duplicate"
        n.nothing_for(LI, CHEN)
        await n.reply(LI, "1")
        row = await n.ends("acknowledged", by=LI)
        assert await n.all_alerts() == [("help_call", "acknowledged")]
        assert "03:10 raised_again" not in await n.trail(row)


async def test_a_clock_that_is_put_back_while_a_call_is_on_its_way_does_not_hold_it_up(street: Street) -> None:
    async with night(street) as n:
        await n.at("03:10").help(WANG)
        await n.expect_sms(LI, at="03:10")
        n.clock.go_on(minutes=-10)
        await n.expect_sms(CHEN, "Wang Xiuying", within=timedelta(minutes=13))
        await n.reply(CHEN, "1")
        await n.ends("acknowledged", by=CHEN)
