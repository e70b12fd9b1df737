"""What is done about an answer, and what whoever gave it hears back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import numpy as np
import pytest

from alerts import actions, answers, protocol, wording
from alerts.answers import Heard
from alerts.calls import Caller
from alerts.engine import Firing
from alerts.verdicts import Verdicts
from store import alerts, messages, residents
from store.alerts import AlertRow
from store.messages import MessageRow, NewMessage
from store.people import Person
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio

RULES = protocol.load()
STRANGER = "+8613911111111"


@dataclass
class Desk:
    """A household, a clock, and people who answer; nothing is sent."""

    database: Database
    home: Household
    clock: Clock
    sids: count[int] = field(default_factory=count)

    async def raised(self, resident: int | None = None, rule: str = "help_call") -> AlertRow:
        """An alert to which the first on duty has been called."""
        at = np.datetime64(self.clock.now.replace(tzinfo=None), "us")
        resident = resident or self.home.wang
        async with self.database.service() as c:
            await Verdicts(c, RULES, self.clock.now).carry_out(
                [Firing(resident, rule, "raise", at, None, {"probability": 1.0})]
            )
            row = await alerts.open_of(c, resident, rule)
        assert row is not None
        await self.sent()
        return row

    async def sent(self) -> None:
        """What is due has gone out."""
        async with self.database.service() as c:
            await c.execute("UPDATE message SET state = 'delivered' WHERE due_at <= %s", [self.clock.now])

    async def climbs(self, row: AlertRow) -> None:
        """Nobody has answered in time: the next are called."""
        self.clock.go_on(minutes=2)
        async with self.database.service() as c:
            locked = await alerts.for_update(c, row.id)
            assert locked is not None
            await Caller(c, self.clock.now).go_on([locked])
        await self.sent()

    async def go_on(self) -> None:
        """Whatever is due by now is called."""
        async with self.database.service() as c:
            await Caller(c, self.clock.now).go_on(await alerts.due_to_climb(c, self.clock.now, 10))
        await self.sent()

    async def open(self) -> list[AlertRow]:
        async with self.database.service() as c:
            return await alerts.open_alerts(c)

    async def closed(self, row: AlertRow) -> None:
        async with self.database.service() as c:
            await actions.resolve(c, row.id, self.home.doctor.id, self.clock.now, "well")

    async def says(self, who: Person | str, body: str, sid: str | None = None) -> list[str]:
        """What somebody hears back who sends this by SMS."""
        phone = who if isinstance(who, str) else who.phone
        assert phone is not None
        self.clock.go_on(seconds=1)
        async with self.database.service() as c:
            said = await answers.answer_sms(c, sid or f"SM{next(self.sids)}", phone, body, self.clock.now)
        for words in said:
            assert any(wording.one_segment(words, language) for language in wording.LANGUAGES), words
        return list(said)

    async def presses(self, message: MessageRow, digits: str) -> Heard:
        async with self.database.service() as c:
            return await answers.answer_key(c, message.id, digits, self.clock.now)

    async def call_to(self, row: AlertRow, person: Person) -> MessageRow:
        """The newest call of this alert to a person."""
        async with self.database.service() as c:
            return [m for m in await messages.of_alert(c, row.id) if m.person_id == person.id][-1]

    async def messages(self, row: AlertRow) -> list[MessageRow]:
        async with self.database.service() as c:
            return await messages.of_alert(c, row.id)

    async def ringing(self, row: AlertRow, person: Person) -> MessageRow:
        """The same by voice."""
        called = await self.call_to(row, person)
        async with self.database.service() as c:
            await c.execute("UPDATE message SET channel = 'voice' WHERE id = %s", [called.id])
        return await self.call_to(row, person)

    async def now(self, row: AlertRow) -> tuple[str, str | None]:
        """An alert's state and who has it."""
        names = {p.id: p.name_en for p in (self.home.li_na, self.home.chen, self.home.supervisor, self.home.daughter)}
        async with self.database.service() as c:
            found = await alerts.alert(c, row.id)
        assert found is not None
        return found.state, names.get(found.acknowledged_by) if found.acknowledged_by else None

    async def outcomes(self) -> list[str]:
        async with self.database.service() as c:
            cursor = await c.execute("SELECT outcome FROM inbound ORDER BY received_at")
            return [row[0] for row in await cursor.fetchall()]

    async def trail(self, row: AlertRow) -> list[str]:
        async with self.database.service() as c:
            return [step.kind for step in (await alerts.trail(c, [row.id]))[row.id]]


@pytest.fixture
async def desk(database: Database) -> Desk:
    clock = Clock(NOW)
    async with database.service() as c:
        home = await furnish(c, clock.now - timedelta(hours=1))
    return Desk(database, home, clock)


RECEIPT = "好的，王秀英，9号楼502，电话+8613900000006。请15分钟内到，到了回3"


async def test_1_takes_it_and_is_answered_with_where_to_go_and_until_when(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, "收到，马上到") == [RECEIPT]
    assert await desk.now(row) == ("acknowledged", "Na Li")


async def test_taking_twice_is_taken_once_and_the_promise_is_not_put_off(desk: Desk) -> None:
    row = await desk.raised()
    await desk.says(desk.home.li_na, "1")
    desk.clock.go_on(minutes=5)
    [again] = await desk.says(desk.home.li_na, "1")
    assert "请10分钟内到" in again
    assert (await desk.trail(row)).count("acknowledged") == 1


async def test_she_who_answers_second_is_thanked_and_told_who_was_first(desk: Desk) -> None:
    row = await desk.raised()
    await desk.climbs(row)
    await desk.says(desk.home.li_na, "1")
    for answer in ("ok", "2"):
        assert await desk.says(desk.home.chen, answer) == [
            "Na Li is already going to Wang Xiuying. You need not come, thank you."
        ]
    assert await desk.now(row) == ("acknowledged", "Na Li")


async def test_of_two_who_take_it_at_the_same_moment_one_is_first_and_both_know(desk: Desk) -> None:
    row = await desk.raised()
    await desk.climbs(row)
    heard = await asyncio.gather(desk.says(desk.home.li_na, "1"), desk.says(desk.home.chen, "1"))
    assert sorted("already" in text or "已经去看" in text for [text] in heard) == [False, True]
    assert (await desk.trail(row)).count("acknowledged") == 1


async def test_a_reply_that_is_delivered_twice_counts_once(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, "2", "SM-same") != []
    assert await desk.says(desk.home.li_na, "2", "SM-same") == []
    assert (await desk.trail(row)).count("declined") == 1


async def test_2_calls_the_next_at_once_says_whom_and_is_said_once(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, "去不了") == ["好的。王秀英那边在叫陈静。"]
    assert await desk.says(desk.home.li_na, "2") == ["好的。王秀英那边我们再叫别人。"]
    assert (await desk.trail(row)).count("declined") == 1


async def test_she_who_changes_her_mind_can_take_what_she_declined_and_give_back_what_she_took(desk: Desk) -> None:
    row = await desk.raised()
    await desk.says(desk.home.li_na, "2")
    await desk.says(desk.home.li_na, "我去")
    assert await desk.now(row) == ("acknowledged", "Na Li")
    await desk.says(desk.home.li_na, "2")
    assert await desk.now(row) == ("raised", None)


async def test_3_says_that_she_is_there_with_or_without_a_promise(desk: Desk) -> None:
    row, other = await desk.raised(), await desk.raised(desk.home.zhao)
    await desk.says(desk.home.li_na, f"1 {row.reply_code}")
    assert await desk.says(desk.home.li_na, "到了") == ["好的，您到王秀英那儿了，记下了。辛苦了。"]
    assert await desk.says(desk.home.li_na, "3") == ["好的，您到赵德明那儿了，记下了。辛苦了。"]
    assert [await desk.now(one) for one in (row, other)] == [("attended", "Na Li")] * 2
    assert await desk.says(desk.home.li_na, f"3 {row.reply_code}") == ["好的，您到王秀英那儿了，记下了。辛苦了。"]


async def test_who_comes_when_somebody_is_there_is_told_so(desk: Desk) -> None:
    row = await desk.raised()
    await desk.climbs(row)
    await desk.says(desk.home.li_na, "3")
    assert await desk.says(desk.home.chen, "1") == ["Na Li is already with Wang Xiuying. You need not come, thank you."]


async def test_several_alerts_of_one_resident_are_taken_together(desk: Desk) -> None:
    one, two = await desk.raised(), await desk.raised(rule="fall")
    assert one.reply_code == two.reply_code
    assert await desk.says(desk.home.li_na, "1") == [RECEIPT]
    assert [await desk.now(row) for row in (one, two)] == [("acknowledged", "Na Li")] * 2


async def test_what_comes_after_she_has_taken_it_is_hers_to_refuse_with_the_rest(desk: Desk) -> None:
    one = await desk.raised()
    await desk.says(desk.home.li_na, "1")
    two = await desk.raised(rule="fall")
    assert (await desk.call_to(two, desk.home.li_na)).purpose == "also"
    await desk.says(desk.home.li_na, "2")
    assert [await desk.now(row) for row in (one, two)] == [("raised", None), ("notifying", None)]


async def test_with_several_residents_she_is_asked_which_and_may_answer_with_the_number_alone(desk: Desk) -> None:
    one, two = await desk.raised(), await desk.raised(desk.home.zhao)
    [question] = await desk.says(desk.home.li_na, "好")
    assert question == "11 王秀英，12 赵德明：去哪家？回1加编号，如1 11"
    [answer] = await desk.says(desk.home.li_na, str(two.reply_code))
    assert answer.startswith("好的，赵德明，3号楼101")
    assert await desk.now(one) == ("notifying", None)
    assert await desk.says(desk.home.li_na, "1") == [RECEIPT]


async def test_a_name_says_which_and_one_sms_may_say_several_things(desk: Desk) -> None:
    one, two = await desk.raised(), await desk.raised(desk.home.zhao)
    heard = await desk.says(desk.home.li_na, f"王秀英我去，2 {two.reply_code}")
    assert heard == [RECEIPT, "好的。赵德明那边在叫陈静。"]
    assert [await desk.now(row) for row in (one, two)] == [("acknowledged", "Na Li"), ("notifying", None)]


async def test_all_that_wait_can_be_refused_or_taken_with_one_word(desk: Desk) -> None:
    rows = [await desk.raised(), await desk.raised(desk.home.zhao)]
    assert await desk.says(desk.home.li_na, "都去不了") == ["好的。王秀英那边在叫陈静。", "好的。赵德明那边在叫陈静。"]
    heard = await desk.says(desk.home.li_na, "都去")
    assert [words[:6] for words in heard] == ["好的，王秀英", "好的，赵德明"]
    assert [await desk.now(row) for row in rows] == [("acknowledged", "Na Li")] * 2


async def test_thanks_for_news_of_one_take_no_other(desk: Desk) -> None:
    older = await desk.raised()
    newer = await desk.raised(desk.home.zhao)
    desk.clock.go_on(seconds=30)
    async with desk.database.service() as c:
        await actions.acknowledge(c, older.id, desk.home.chen.id, desk.clock.now, "page")
    assert (await desk.call_to(older, desk.home.li_na)).purpose == "taken"
    assert await desk.says(desk.home.li_na, "好的，谢谢") == ["王秀英那边陈静去了。赵德明还在等，能去请回1 12"]
    assert await desk.now(newer) == ("notifying", None)


async def test_a_number_alone_that_was_not_asked_for_is_asked_about(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, str(row.reply_code)) == ["11是王秀英。能去回1 11，去不了回2 11，到了回3 11"]
    assert await desk.now(row) == ("notifying", None)


async def test_the_wrong_number_is_said_to_be_none_of_hers_and_what_waits_is_named(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, "1 98") == ["没有编号98的警报。等您的：11 王秀英。"]
    assert await desk.says(desk.home.supervisor, "1 11") == ["没有编号11的警报。"]
    assert await desk.now(row) == ("notifying", None)


async def test_a_1_that_comes_after_another_has_taken_the_latest_is_not_taken_for_an_older_one(desk: Desk) -> None:
    older = await desk.raised()
    desk.clock.go_on(seconds=30)
    newer = await desk.raised(desk.home.zhao)
    async with desk.database.service() as c:
        await actions.acknowledge(c, newer.id, desk.home.chen.id, desk.clock.now, "page")
    assert await desk.says(desk.home.li_na, "1") == ["赵德明那边陈静去了。王秀英还在等，能去请回1 11"]
    assert await desk.now(older) == ("notifying", None)


async def test_a_late_reply_to_what_is_closed_says_so(desk: Desk) -> None:
    row = await desk.raised()
    await desk.closed(row)
    for late in ("1", "2", "3", f"1 {row.reply_code}"):
        assert await desk.says(desk.home.li_na, late) == ["王秀英的警报已经结束，您不用去了，谢谢。"]
    desk.clock.go_on(days=2)
    assert await desk.says(desk.home.li_na, "1") == ["现在没有等您的警报，谢谢。"]


async def test_a_number_that_has_passed_to_another_resident_means_her_and_the_name_the_one_before(desk: Desk) -> None:
    before = await desk.raised()
    await desk.closed(before)
    now = await desk.raised(desk.home.zhao)
    assert now.reply_code == before.reply_code
    assert await desk.says(desk.home.li_na, "1 王秀英") == ["王秀英的警报已经结束，您不用去了，谢谢。"]
    assert await desk.now(now) == ("notifying", None)
    [answer] = await desk.says(desk.home.li_na, f"1 {now.reply_code}")
    assert answer.startswith("好的，赵德明")


async def test_a_promise_that_has_lapsed_can_be_given_again(desk: Desk) -> None:
    row = await desk.raised()
    await desk.says(desk.home.li_na, "1")
    desk.clock.go_on(minutes=15)
    await desk.climbs(row)
    assert await desk.now(row) == ("notifying", None)
    assert (await desk.call_to(row, desk.home.li_na)).body.startswith("【炉望】您15分钟前说去看王秀英")
    assert await desk.says(desk.home.li_na, "1") == [RECEIPT]


async def test_what_is_put_aside_can_be_taken_all_the_same(desk: Desk) -> None:
    row = await desk.raised()
    async with desk.database.service() as c:
        await actions.shelve(c, row.id, desk.home.doctor.id, desk.clock.now, desk.clock.now + timedelta(hours=1))
    await desk.says(desk.home.li_na, "1")
    assert await desk.now(row) == ("acknowledged", "Na Li")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [("我在路上堵车", "not_understood"), ("1", "nothing_waits"), ("2", "nothing_waits"), ("帮助", "help")],
)
async def test_what_means_nothing_now_gets_a_sensible_answer(desk: Desk, body: str, outcome: str) -> None:
    [answer] = await desk.says(desk.home.li_na, body)
    assert answer
    assert await desk.outcomes() == [outcome]


async def test_help_names_what_waits(desk: Desk) -> None:
    await desk.raised()
    [answer] = await desk.says(desk.home.li_na, "？")
    assert answer == "能去回1，去不了回2，到了回3；几家都有事就加编号，如1 27。等您的：11 王秀英。有危险请打120。"


async def test_a_telephone_that_answers_by_itself_is_not_answered_for_ever(desk: Desk) -> None:
    heard = [await desk.says(desk.home.li_na, "自动回复：我正在开车") for _ in range(7)]
    assert [len(said) for said in heard] == [1, 1, 1, 1, 1, 0, 0]
    desk.clock.go_on(minutes=11)
    assert len(await desk.says(desk.home.li_na, "自动回复：我正在开车")) == 1


async def test_an_unknown_number_learns_nothing_and_is_told_so_once_a_day(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(STRANGER, f"1 {row.reply_code}") == ["这个号码没有登记，我们不知道您是谁。有危险请打120。"]
    assert await desk.says(STRANGER, "1") == []
    assert await desk.says("+447700900123", "1") == ["We do not know this number. In danger ring 120."]
    assert await desk.says("10086", "您的余额不足") == []
    assert await desk.outcomes() == ["unknown_number"] * 4
    assert await desk.now(row) == ("notifying", None)


async def test_somebody_who_has_left_takes_nothing(desk: Desk) -> None:
    row = await desk.raised()
    async with desk.database.service() as c:
        await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [NOW, desk.home.li_na.id])
    assert await desk.says(desk.home.li_na, "1") == ["您的账号已经停用，这边不再叫您了。有疑问请找中心。"]
    assert (await desk.presses(await desk.call_to(row, desk.home.li_na), "1")).said.startswith("您的账号已经停用")
    assert await desk.now(row) == ("notifying", None)


async def test_who_was_called_may_answer_though_she_does_not_care_for_the_resident_any_more(desk: Desk) -> None:
    await desk.raised()
    async with desk.database.service() as c:
        await residents.end_relation(c, desk.home.li_na.id, desk.home.wang, "care_worker")
    assert await desk.says(desk.home.li_na, "1") == [RECEIPT]


async def test_the_carriers_words_are_left_to_the_carrier(desk: Desk) -> None:
    row = await desk.raised()
    assert await desk.says(desk.home.li_na, "STOP") == []
    assert await desk.says(STRANGER, "Start") == []
    assert await desk.outcomes() == ["carrier_word"] * 2
    assert await desk.now(row) == ("notifying", None)


SAYINGS = (
    "1", "好的", "ok", "2", "去不了", "3", "到了", "帮助", "？", "11", "1 11", "2 12", "3 11", "1 11 12", "都去", "都去不了", "王秀英我去",
    "赵德明去不了", "1 王秀英，2 赵德明", "on my way", "1 98", "今天天气不错", "1 2", "Yes, going",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_said_in_whatever_order_everybody_is_answered_and_no_alert_is_forgotten(
    desk: Desk, seed: int
) -> None:
    chance, home = random.Random(seed), desk.home
    for _ in range(40):
        desk.clock.go_on(seconds=chance.choice((5, 60, 200)))
        match chance.randrange(6):
            case 0:
                await desk.raised(chance.choice((home.wang, home.zhao)), chance.choice(("help_call", "fall")))
            case 1:
                await desk.go_on()
            case _:
                who = chance.choice((home.li_na, home.chen, home.supervisor))
                said = chance.choice(SAYINGS)
                heard = await desk.says(who, said)
                assert heard or (await desk.outcomes())[-1] == "not_understood", said
        for row in await desk.open():
            assert row.climb_at is not None or row.state == "attended", row


async def relative_called(desk: Desk) -> AlertRow:
    """An alert to which the daughter has been called too, as the policy of her mother says."""
    home, now = desk.home, desk.clock.now
    row = await desk.raised()
    async with desk.database.service() as c:
        assert home.daughter.phone is not None
        call = NewMessage(
            "alert", "high", home.daughter.id, "sms", home.daughter.phone, "en", "…", now, now + timedelta(hours=1), now,
            row.id, home.wang, 1, code=row.reply_code,
        )  # fmt: skip
        await messages.add(c, [call])
    return row


async def test_a_relative_is_answered_in_her_own_words_and_learns_no_address(desk: Desk) -> None:
    row = await relative_called(desk)
    [answer] = await desk.says(desk.home.daughter, "ok")
    assert answer == "Thank you. Mum. Please be there within 15 min. Reply 3 when you are there"
    assert await desk.now(row) == ("acknowledged", "Zhang Xiaoyan")
    assert await desk.says(desk.home.daughter, "here") == ["Noted: you are with Mum. Thank you."]
    assert await desk.says(desk.home.li_na, "1") == ["张晓燕已经在王秀英那儿了，您不用去，谢谢。"]


async def test_keys_take_pass_on_and_are_asked_for_again(desk: Desk) -> None:
    row = await desk.raised()
    await desk.climbs(row)
    first, second = await desk.ringing(row, desk.home.li_na), await desk.ringing(row, desk.home.chen)
    wrong = await desk.presses(first, "7")
    assert (wrong.said, wrong.again) == (f"这个键用不上。{first.body}", True)
    assert await desk.presses(first, "2") == Heard("好的。王秀英那边在叫陈静。再见。")
    taken = Heard("Thank you. Wang Xiuying, building 9, 5 0 2. Please be there within 15 minutes. Goodbye.")
    assert await desk.presses(second, "1") == taken
    assert await desk.presses(second, "1") == taken
    [receipt] = [m for m in await desk.messages(row) if m.purpose == "receipt"]
    assert (receipt.person_id, receipt.channel, receipt.address) == (desk.home.chen.id, "sms", desk.home.chen.phone)
    assert receipt.body.startswith("Thank you. Wang Xiuying, Bldg 9-502, phone +8613900000006.")
    late = await desk.presses(first, "1")
    assert late == Heard("陈静已经去看王秀英了，您不用去，谢谢。再见。")
    assert await desk.now(row) == ("acknowledged", "Chen Jing")
    async with desk.database.service() as c:
        last = (await alerts.trail(c, [row.id]))[row.id][-1]
    assert (last.kind, last.channel) == ("acknowledged", "voice")


async def test_a_key_is_about_the_call_in_which_it_was_pressed(desk: Desk) -> None:
    one, two = await desk.raised(), await desk.raised(desk.home.zhao)
    await desk.presses(await desk.ringing(two, desk.home.li_na), "1")
    assert [await desk.now(row) for row in (one, two)] == [("notifying", None), ("acknowledged", "Na Li")]


async def test_a_button_under_a_picture_on_a_screen_is_a_key_too(desk: Desk) -> None:
    row = await desk.raised()
    called = await desk.call_to(row, desk.home.li_na)
    async with desk.database.service() as c:
        await c.execute("UPDATE message SET channel = 'push' WHERE id = %s", [called.id])
    assert (await desk.presses(called, "1")).said.startswith("好的，王秀英，9号楼502")
    async with desk.database.service() as c:
        assert (await alerts.trail(c, [row.id]))[row.id][-1].channel == "push"


async def test_a_test_of_a_telephone_is_heard_and_takes_nothing(desk: Desk) -> None:
    person, now = desk.home.li_na, desk.clock.now
    assert person.phone is not None
    async with desk.database.service() as c:
        await messages.add(
            c,
            [NewMessage("test", "low", person.id, "voice", person.phone, "zh_Hans", "…", now, now + timedelta(1), now)],
        )
        number = (await (await c.execute("SELECT max(id) FROM message")).fetchone() or [0])[0]
        assert await answers.answer_key(c, number, "1", now) == Heard("好的，这部电话没问题，谢谢。再见。")
    assert await desk.says(person, "1") == ["好的，这部电话没问题，谢谢。"]


async def test_a_key_in_a_call_about_nothing_is_answered(desk: Desk) -> None:
    async with desk.database.service() as c:
        assert await answers.answer_key(c, 999, "1", NOW) == Heard("现在没有等您的警报，谢谢。")
