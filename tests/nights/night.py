"""The words in which nights are told, and the clock that goes on to whatever is due next.

``night`` opens a real service over the street's record: its watch, its dispatcher, its door, its pages; and telephones that
do what the story says. Nothing waits: the clock, which all of them share, is put forward from one thing that is due to the
next. Times are the centre's own, ``"03:10"`` or ``"03:10:30"``, the next one to come.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from alerts.channels import Channel, ChannelName
from alerts.dispatch import Dispatcher
from alerts.maintenance import Maintenance
from alerts.policy import Policy, Step, Target, content
from alerts.silence import Silence
from alerts.virtual.calls import Call
from alerts.virtual.network import Sms
from alerts.virtual.phones import HABITS, Habit
from alerts.wording import one_segment
from alerts.worker import Watch
from api.gateways import Gatekeeper
from api.sessions import COOKIE, token_hash
from store import alerts, contacts, duty_changes, messages, people, policies, rosters
from store.alerts import AlertRow
from store.duty_changes import NewChange
from store.messages import MessageRow
from store.postgres import Connection
from store.rosters import NewShift
from tests.alerts.clock import Clock
from tests.alerts.network import Line
from tests.alerts.twilio_document import TwilioDocument
from tests.household import Household
from tests.nights.street import KEY, Street

T = TypeVar("T")

_LONGEST = timedelta(minutes=45)
"""How long somebody waits for a message before it counts as not sent."""
_STUCK = timedelta(seconds=21)
"""After so long a message that is being sent has lost its sender, says the dispatcher."""
_MOST_TURNS = 400
_NEVER = datetime.max.replace(tzinfo=UTC)
_LONGEST_PAUSE_S = 0.1
"""For how long the watch lets a reading be that is not safe to read yet."""


@dataclass(frozen=True)
class Who:
    """Somebody in a story; ``field`` is what the household calls her."""

    field: str
    zh: str
    en: str
    phone: str


LI = Who("li_na", "李娜", "Na Li", "+8613900000002")
CHEN = Who("chen", "陈静", "Chen Jing", "+8613900000003")
ZHOU = Who("supervisor", "周敏", "Zhou Min", "+8613900000004")
LIU = Who("doctor", "刘建国", "Liu Jianguo", "+8613900000001")
XIAOYAN = Who("daughter", "张晓燕", "Zhang Xiaoyan", "+8613900000005")
SUN = Who("administrator", "孙丽华", "Sun Lihua", "")
WANG = Who("wang", "王秀英", "Wang Xiuying", "+8613900000006")
ZHAO = Who("zhao", "赵德明", "Zhao Deming", "+8613900000007")
LINE = Who("", "值班电话", "duty line", "+8610555500")
"""The centre's own telephone."""

_CUFF = {WANG: "C0:00:00:00:00:01", ZHAO: "C0:00:00:00:00:04"}
_WEARABLE = {WANG: "C0:00:00:00:00:02", ZHAO: "C0:00:00:00:00:06"}
_BUTTON = {WANG: "C0:00:00:00:00:03", ZHAO: "C0:00:00:00:00:05"}


@dataclass
class Phone:
    """Somebody's telephone, and what she does with it."""

    night: Night
    number: str

    async def is_(self, name: str) -> None:
        """One of the network's habits: ``on``, ``off``, ``dead``, ``landline``, ``voicemail``."""
        await self.night.line.habit(self.number, name)

    async def on(self) -> None:
        await self.is_("on")
        await self.night.settle()

    async def off(self) -> None:
        await self.is_("off")

    async def dead(self) -> None:
        await self.is_("dead")

    async def voicemail(self) -> None:
        await self.is_("voicemail")

    async def takes_calls(self, calls: str, keys: str = "") -> None:
        """``answer`` and press ``keys``, one at each question; ``busy``, ``no-answer``, ``hang_up``, ``unknown``, ..."""
        now = self.night.line.telephone.network.habit(self.number)
        self.night.line.telephone.network.habits[self.number] = replace(now, calls=calls, keys=keys)

    async def loses_sms(self, code: int) -> None:
        """Every SMS to it fails with this code of Twilio's."""
        now = self.night.line.telephone.network.habits.get(self.number, HABITS["on"])
        self.night.line.telephone.network.habits[self.number] = Habit(str(code), now.calls, now.keys)


@dataclass
class Moment:
    """A time of the night: to be awaited, or something happens then."""

    night: Night
    at: datetime

    def __await__(self) -> Generator[Any, None, None]:
        return self.night.until(self.at).__await__()

    async def fall(self, who: Who, **more: Any) -> None:
        """Her wearable feels a fall."""
        await self
        await self.night.fall(who, **more)

    async def help(self, who: Who) -> None:
        """She presses her help button."""
        await self
        await self.night.help(who)

    async def measure(self, who: Who, **values: float) -> None:
        """Her cuff, or whatever it is, hands these over."""
        await self
        await self.night.measure(who, **values)

    async def reply(self, who: Who, body: str) -> list[str]:
        """Somebody writes an SMS; what she hears back."""
        await self
        return await self.night.reply(who, body)


@dataclass
class Worker:
    """One process of the service."""

    watch: Watch
    dispatcher: Dispatcher
    maintenance: Maintenance
    silence: Silence


@dataclass
class Night:
    """One night of the service, and everybody in it."""

    street: Street
    clock: Clock
    zone: ZoneInfo
    home: Household
    line: Line
    channels: dict[ChannelName, Channel]
    workers: list[Worker] = field(default_factory=list)
    listens_for_silence: bool = False
    _ids: dict[Who, UUID] = field(default_factory=dict)
    _read: dict[str, int] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)
    _is_fed: bool = True
    _wakes_at: datetime | None = None
    _started: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock.now

    def at(self, clock_time: str) -> Moment:
        """The next time that the centre's clocks show this."""
        return Moment(self, self._next(clock_time))

    async def fall(self, who: Who, **more: Any) -> None:
        await self._tell(_WEARABLE[who], {"fall": 0.93}, **more)

    async def help(self, who: Who) -> None:
        await self._tell(_BUTTON[who], {"help_call": 1.0})

    async def hands_over_again(self, who: Who) -> str:
        """Her gateway hands her last press over once more, not knowing whether it arrived; what the service says of it."""
        answer = await self._hand_over(_BUTTON[who], {"help_call": 1.0})
        await self.is_told()
        return "duplicate" if answer.json()["duplicate"] == 1 else answer.text

    async def measure(self, who: Who, **values: float) -> None:
        await self._tell(_CUFF[who], values)

    async def wears(self, who: Who, **values: float) -> None:
        """Her wearable hands these over."""
        await self._tell(_WEARABLE[who], values)

    async def gateway_beats(self) -> None:
        """The gateway says that it is well."""
        beat = {"version": "1", "clock": self._iso()}
        answer = await self.street.client.post(
            f"{self.street.door_url}/v1/heartbeat", json=beat, headers={"Authorization": f"Bearer {KEY}"}
        )
        assert answer.status_code == 200, answer.text
        await self.is_told()

    async def reply(self, who: Who, body: str) -> list[str]:
        said = await self.line.reply(who.phone, body)
        await self.settle()
        return said

    async def deals_with(self, who: Who, resident: Who) -> None:
        """She takes what waits at a resident's, is there, and closes it on her page as well ended."""
        await self.reply(who, "1")
        await self.reply(who, "3")
        row = await self.alert(resident)
        await (await self.page(who)).sends(f"/care/alerts/{row.id}/resolve", outcome="well")
        self.read_all(LI, CHEN, ZHOU, LIU, XIAOYAN, LINE)

    async def replies(self, *said: tuple[Who, str]) -> list[list[str]]:
        """Several write at the same moment."""
        answers = await asyncio.gather(*(self.line.reply(who.phone, body) for who, body in said))
        await self.settle()
        return list(answers)

    async def stranger_writes(self, number: str, body: str) -> list[str]:
        return await self.line.reply(number, body)

    def phone(self, who: Who) -> Phone:
        return Phone(self, who.phone)

    async def goes_wrong(self, kind: str, count: int = 1, to: Who | None = None) -> None:
        """On the network, the next ``count`` times: see :mod:`alerts.virtual.faults`."""
        await self.line.fault(kind, count, to.phone if to else None)

    async def keeps_going_wrong(self, kind: str, to: Who | None = None) -> None:
        await self.line.always(kind, to.phone if to else None)

    async def is_mended(self) -> None:
        await self.line.heal()

    async def is_told(self) -> None:
        """Something has been written into the record: the watch and the others look."""
        self._is_fed = True
        await self.settle()

    async def starts(self, processes: int = 1) -> None:
        """The service is started; ``processes`` of it share the work."""
        self.street.door.app = self.street.app
        database, clock, rules = self.street.database, self.clock, self.street.rules
        for _ in range(processes):
            self.workers.append(
                Worker(
                    Watch(database, rules, clock=clock, lease_s=30),
                    Dispatcher(database, self.channels, clock=clock),
                    Maintenance(database, clock=clock),
                    Silence(database, clock=clock, deaf_after=timedelta(hours=1)),
                )
            )
        async with database.service() as c:
            await contacts.set_channels(c, {name: ["twilio"] for name in self.channels}, clock.now)
        self._is_fed = True

    async def stops(self) -> None:
        """The service is stopped: it watches nothing, sends nothing, and nobody is behind its door."""
        for worker in self.workers:
            await worker.watch.leave()
        self.workers.clear()
        self.street.door.app = None

    async def dies_while_sending(self, taken_by_network: bool) -> None:
        """The service dies in the midst of sending what is due, before or after the network has it; nobody hears of it."""
        async with self.street.database.service() as c:
            lanes = [messages.Lane("sms", priority, 9) for priority in ("high", "medium", "low")]
            claimed = await messages.claim_due(c, self.clock.now, lanes)
        assert claimed, "nothing was due"
        if taken_by_network:
            await self.keeps_going_wrong("lost")
            await asyncio.gather(*(self.channels[m.channel].send(m) for m in claimed))  # type: ignore[index]
        await self.stops()
        await self._network_rests()
        await self.is_mended()

    async def page(self, who: Who) -> Page:
        """A browser in which this person has signed in."""
        token = f"token of {who.en}"
        person = await self.id(who)
        async with self.street.database.service() as c:
            await people.close_session(c, token_hash(token))
            await people.open_session(c, token_hash(token), person, "csrf", datetime(2100, 1, 1, tzinfo=UTC))
        return Page(self, {"Cookie": f"{COOKIE}={token}", "Accept": "text/html"})

    @asynccontextmanager
    async def record(self) -> AsyncIterator[Connection]:
        """The record, as the service's own pages and commands write it."""
        async with self.street.database.service() as c:
            yield c

    async def id(self, who: Who) -> UUID:
        """Who she is in the record."""
        if who not in self._ids:
            if who is WANG:
                return self.home.wang_person
            async with self.record() as c:
                line = await policies.fallback(c, self.home.centre) if who is LINE else None
            self._ids[who] = line or getattr(self.home, who.field).id
        return self._ids[who]

    async def hires(self, who: Who, face: str = "care_worker", language: str = "zh_Hans") -> None:
        """Somebody more works for the centre."""
        async with self.record() as c:
            person = await people.add_person(c, self.home.centre, who.zh, who.en, who.phone, language)
            await people.add_account(c, person.id, who.en.split()[0].lower() + "2", "!", face)
        self._ids[who] = person.id

    async def nobody_on_duty(self) -> None:
        """No shift is left."""
        async with self.record() as c:
            await c.execute("UPDATE shift SET removed_at = %s", [self._started - timedelta(days=30)])

    async def shift(
        self,
        duty: str,
        who: Who,
        hours: str = "00:00-00:00",
        *,
        days: Sequence[int] = range(1, 8),
        holidays: str = "also",
    ) -> None:
        """She is on duty on these days; ``duty`` is what the household calls the roster."""
        starts, ends = (time.fromisoformat(text) for text in hours.split("-"))
        first = (self._started - timedelta(days=9)).date()
        new = NewShift(
            self.home.rosters[duty], days, starts, ends, first, holidays=holidays, person_id=await self.id(who)
        )
        async with self.record() as c:
            await rosters.add_shift(c, self.home.centre, new)

    async def roster(self, role: str, line: int = 1, *, area: int | None = None, name: str = "") -> str:
        """A new roster; its name here."""
        name = name or f"{role}_{line}"
        async with self.record() as c:
            self.home.rosters[name] = await rosters.add_roster(
                c, self.home.centre, role, line, name, name, area_id=area
            )
        return name

    async def stands_in(self, duty: str, who: Who | None, instead_of: Who | None, hours: str) -> int:
        """A change of the rota, today or tonight."""
        starts, ends = (self._next(text) for text in hours.split("-"))
        change = NewChange(
            self.home.rosters[duty],
            starts,
            ends if ends > starts else ends + timedelta(days=1),
            await self.id(who) if who else None,
            await self.id(instead_of) if instead_of else None,
        )
        async with self.record() as c:
            return await duty_changes.add_change(c, self.home.centre, change, self.clock.now)

    async def is_away(self, who: Who, kind: str) -> None:
        """From now on: ``sick``, ``leave``, ``on_visit``."""
        person = await self.id(who)
        async with self.record() as c:
            await duty_changes.begin_absence(
                c, self.home.centre, person, kind, self.clock.now, None, self.clock.now, by=person
            )

    async def is_back(self, who: Who) -> None:
        async with self.record() as c:
            await duty_changes.end_absence(c, self.home.centre, await self.id(who), self.clock.now)

    async def policy(
        self,
        priority: str,
        *steps: Step,
        repeats: int = 0,
        again: int = 5,
        attend: int = 15,
        area: int | None = None,
        resident: Who | None = None,
    ) -> int:
        """From now on alerts of this priority are called so; times in minutes."""
        made = Policy(tuple(steps), repeats, timedelta(minutes=again), timedelta(minutes=attend))
        by, centre = await self.id(SUN), self.home.centre
        async with self.record() as c:
            number = await policies.save(c, centre, "夜里", "At night", content(made), by, self.clock.now)
            hers = None if resident is None else self.resident(resident)
            await policies.use(c, centre, priority, number, area_id=area, resident_id=hers)
        return number

    async def lets_call(self, relative: Who, resident: Who, quiet: str = "00:00-00:00") -> None:
        """The resident agrees that this relative is called, outside her quiet hours."""
        begins, ends = (time.fromisoformat(text) for text in quiet.split("-"))
        async with self.record() as c:
            await policies.let_call(
                c, await self.id(relative), self.resident(resident), await self.id(SUN), self.clock.now, (begins, ends)
            )

    def resident(self, who: Who) -> int:
        """Her number in the record."""
        return int(getattr(self.home, who.field))

    async def expect_sms(
        self, who: Who, *words: str, exactly: str | None = None, at: str | None = None, within: timedelta = _LONGEST
    ) -> str:
        """The next SMS that reaches her: it has these words, and it comes at this time."""
        sms = await self._comes(lambda: self._next_sms(who), f"an SMS to {who.en}", within)
        assert exactly in (None, sms.body), f"{who.en} reads\n  {sms.body}\nand not\n  {exactly}"
        for said in words:
            assert said in sms.body, f"{who.en} does not read {said!r} but\n  {sms.body}"
        self._came(sms.created_at, at, f"the SMS to {who.en}")
        return sms.body

    async def expect_call(self, who: Who, *words: str, at: str | None = None, within: timedelta = _LONGEST) -> Call:
        """The next call that her telephone gets; what she hears has these words."""
        call = await self._comes(lambda: self._next_call(who), f"a call to {who.en}", within)
        heard = " ".join(said.words for said in call.heard)
        for said in words:
            assert said in heard, f"{who.en} does not hear {said!r} but {heard!r}"
        self._came(call.created_at, at, f"the call to {who.en}")
        return call

    def nothing_for(self, *everybody: Who) -> None:
        """None of them has got anything that the story has not told."""
        for who in everybody:
            unread = [sms.body for sms in self._sms_to(who)[self._read.get(who.phone, 0) :]]
            unread += ["a call" for _ in self.line.calls_to(who.phone)[self._taken.get(who.phone, 0) :]]
            assert unread == [], f"{who.en} has got {unread}"

    async def quiet_until(self, clock_time: str, *everybody: Who) -> None:
        """Until then none of them (of all) gets anything."""
        await self.at(clock_time)
        self.nothing_for(*(everybody or (LI, CHEN, ZHOU, LIU, XIAOYAN, LINE)))

    def read_all(self, *everybody: Who) -> list[str]:
        """What these have got that the story does not tell."""
        read = []
        for who in everybody:
            read += [sms.body for sms in self._sms_to(who)[self._read.get(who.phone, 0) :]]
            self._read[who.phone] = len(self._sms_to(who))
            self._taken[who.phone] = len(self.line.calls_to(who.phone))
        return read

    async def alert(self, who: Who = WANG, rule: str | None = None) -> AlertRow:
        """Her newest alert, or the one of a rule."""
        async with self.record() as c:
            found = [row for row in await alerts.of_resident(c, self.resident(who), 50) if rule in (None, row.rule)]
        assert found, f"{who.en} has no alert"
        return max(found, key=lambda row: row.id)

    async def all_alerts(self, who: Who = WANG) -> list[tuple[str, str]]:
        """The rule and state of all her alerts, in the order in which they were raised."""
        async with self.record() as c:
            found = await alerts.of_resident(c, self.resident(who), 50)
        return [(row.rule, row.state) for row in sorted(found, key=lambda row: row.id)]

    async def messages(self, row: AlertRow) -> list[MessageRow]:
        async with self.record() as c:
            return await messages.of_alert(c, row.id)

    async def trail(self, row: AlertRow, *, deliveries: bool = False) -> list[str]:
        """What the record tells of it: ``03:12 climbed Chen Jing``; of messages only the failures, unless asked for."""
        async with self.record() as c:
            told = (await alerts.trail(c, [row.id]))[row.id]
            named = await people.people(c, [step.person_id for step in told if step.person_id])
        lines = []
        for step in told:
            if step.kind in ("sent", "delivered") and not deliveries:
                continue
            who = [named[step.person_id].name_en] if step.person_id else []
            why = [str(step.detail[name]) for name in ("why", "error", "outcome") if name in (step.detail or {})]
            lines.append(" ".join([self.local(step.at), step.kind, *who, *why]))
        return lines

    async def ends(
        self,
        state: str,
        *,
        by: Who | None = None,
        trail: Sequence[str] | None = None,
        who: Who = WANG,
        rule: str | None = None,
    ) -> AlertRow:
        """How her alert stands at the end of the story, who has it, and the whole of its trail."""
        row = await self.alert(who, rule)
        assert row.state == state, f"it is {row.state}: {await self.trail(row)}"
        if by is not None:
            assert (row.attended_by or row.acknowledged_by) == await self.id(by)
        if trail is not None:
            told = await self.trail(row)
            assert told == list(trail), "\n".join(["the trail says", *told])
        return row

    def local(self, moment: datetime) -> str:
        """A moment as the centre's clocks show it."""
        shown = moment.astimezone(self.zone)
        return f"{shown:%H:%M:%S}" if shown.second else f"{shown:%H:%M}"

    async def until(self, moment: datetime) -> None:
        """Everything that is due until then happens at its time."""
        for _ in range(_MOST_TURNS):
            due = await self._due()
            if due is None or due > moment:
                break
            await self._go_to(due)
        self.clock.now = max(moment, self.clock.now)
        self._is_fed = True
        await self.settle()

    async def settle(self) -> None:
        """Everything that is due now happens, and the network tells all it has to tell."""
        for _ in range(_MOST_TURNS):
            before = await self._agenda()
            await self._work(before)
            await self._network_rests()
            after = await self._agenda()
            if not self._is_fed and (not self.workers or after.first > self.clock.now or after == before):
                return
        raise AssertionError("the night does not come to rest")

    async def _go_to(self, moment: datetime) -> None:
        watch = (await self._agenda()).watch
        self._is_fed = self._is_fed or (watch is not None and watch <= moment)
        self.clock.now = max(moment, self.clock.now)
        await self.settle()

    async def _due(self) -> datetime | None:
        """When the service has to do something next."""
        if not self.workers:
            return None
        first = (await self._agenda()).first
        if first == _NEVER:
            return None
        # What is due and does not move now, as a provider has asked for a pause, is tried every second.
        return first if first > self.clock.now else self.clock.now + timedelta(seconds=1)

    async def _agenda(self) -> Agenda:
        async with self.record() as c:
            cursor = await c.execute(_AGENDA, {"now": self.clock.now, "stuck": _STUCK})
            climbs, sends, doubts, unheard, asked = await cursor.fetchone() or (None,) * 5
        return Agenda(climbs, sends, doubts, unheard, min((m for m in (asked, self._wakes_at) if m), default=None))

    async def _work(self, agenda: Agenda) -> None:
        now = self.clock.now
        if not self.workers:
            self._is_fed = False
            return
        if self._is_fed or (agenda.watch and agenda.watch <= now):
            self._is_fed = False
            for worker in self.workers:
                await self._watch(worker)
            agenda = await self._agenda()
        dispatchers = [worker.dispatcher for worker in self.workers]
        if agenda.climbs and agenda.climbs <= now:
            await asyncio.gather(*(dispatcher.climb() for dispatcher in dispatchers))
        if agenda.doubts and agenda.doubts <= now:
            await asyncio.gather(*(dispatcher.look_up() for dispatcher in dispatchers))
        if agenda.unheard and agenda.unheard <= now:
            await asyncio.gather(*(dispatcher.ask_after() for dispatcher in dispatchers))
        for _ in range(_MOST_TURNS):
            waits = await asyncio.gather(*(dispatcher.send_due() for dispatcher in dispatchers))
            await asyncio.gather(*(dispatcher.sent_all() for dispatcher in dispatchers))
            if all(waits):
                break

    async def _watch(self, worker: Worker) -> None:
        if self.listens_for_silence:
            while await worker.silence.round():
                pass
        while await worker.maintenance.round():
            pass
        before_s = 0.0
        for _ in range(100):
            wait_s = await worker.watch.round()
            # A pause that stays the same while the clock stands still is a timer's, not one for a reading to be safe.
            if wait_s > _LONGEST_PAUSE_S or 0 < wait_s == before_s:
                self._wakes_at = None if wait_s >= 1 else self.clock.now + timedelta(seconds=wait_s, microseconds=1)
                return
            before_s = wait_s
            await asyncio.sleep(min(wait_s, 0.01))
        raise AssertionError("the watch does not come to rest")

    async def _network_rests(self) -> None:
        """Wait until nothing is under way but what lies at telephones that are off."""
        telephone = self.line.telephone
        async with asyncio.timeout(20):
            while under_way := telephone.errands.copy():
                if len(under_way) == sum(sms.held for sms in telephone.network.messages):
                    break
                await asyncio.wait(under_way, timeout=0.002, return_when=asyncio.FIRST_COMPLETED)

    async def _tell(self, device: str, values: Mapping[str, float], **more: Any) -> None:
        answer = await self._hand_over(device, values, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(values), answer.text
        await self.is_told()

    async def _hand_over(self, device: str, values: Mapping[str, float], **more: Any) -> httpx.Response:
        about = {"device": device, "measured_at": self._iso(), "collected_at": self._iso(), **more}
        readings = [{**about, "metric": name, "value": value} for name, value in values.items()]
        return await self.street.client.post(
            f"{self.street.door_url}/v1/readings",
            json={"readings": readings, "refused": []},
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def _iso(self) -> str:
        return self.clock.now.isoformat().replace("+00:00", "Z")

    async def _comes(self, look: Callable[[], T | None], what: str, within: timedelta) -> T:
        until = self.clock.now + within
        await self.settle()
        for _ in range(_MOST_TURNS):
            if (found := look()) is not None:
                return found
            due = await self._due()
            if due is None or due > until:
                break
            await self._go_to(due)
        raise AssertionError(f"by {self.local(self.clock.now)} {what} has not come; so far:\n" + await self._so_far())

    def _next_sms(self, who: Who) -> Sms | None:
        unread = self._sms_to(who)[self._read.get(who.phone, 0) :]
        if not unread:
            return None
        self._read[who.phone] = self._read.get(who.phone, 0) + 1
        return unread[0]

    def _next_call(self, who: Who) -> Call | None:
        calls = self.line.calls_to(who.phone)[self._taken.get(who.phone, 0) :]
        if not calls:
            return None
        self._taken[who.phone] = self._taken.get(who.phone, 0) + 1
        return calls[0]

    def _sms_to(self, who: Who) -> list[Sms]:
        return [
            sms
            for sms in self.line.telephone.network.messages
            if sms.to == who.phone and sms.direction == "outbound-api" and sms.status == "delivered"
        ]

    def _came(self, moment: datetime, at: str | None, what: str) -> None:
        assert at in (None, self.local(moment)), f"{what} came at {self.local(moment)} and not at {at}"

    async def _so_far(self) -> str:
        network = self.line.telephone.network
        told = [f"{self.local(sms.created_at)} {sms.to} {sms.status} {sms.body}" for sms in network.messages]
        told += [f"{self.local(call.created_at)} {call.to} call {call.status}" for call in network.calls]
        async with self.record() as c:
            rows = [row for who in (WANG, ZHAO) for row in await alerts.of_resident(c, self.resident(who), 9)]
        for row in rows:
            told += [f"alert {row.rule} {row.state}", *await self.trail(row, deliveries=True)]
        return "\n".join(told)

    def _next(self, clock_time: str) -> datetime:
        """The next moment at which the centre's clocks show this; of one that comes twice the first."""
        wanted, now = time.fromisoformat(clock_time), self.clock.now.astimezone(self.zone)
        for days in range(3):
            moment = datetime.combine(now.date() + timedelta(days=days), wanted, self.zone).astimezone(UTC)
            if moment >= self.clock.now:
                return moment
        raise AssertionError(f"{clock_time} does not come")


@dataclass(frozen=True)
class Agenda:
    """When each kind of work of the service is due next; ``None``: there is none. ``watch``: a question or timer ends."""

    climbs: datetime | None = None
    sends: datetime | None = None
    doubts: datetime | None = None
    unheard: datetime | None = None
    watch: datetime | None = None

    @property
    def first(self) -> datetime:
        """The soonest of all; at the end of time when there is none."""
        known = (self.climbs, self.sends, self.doubts, self.unheard, self.watch)
        return min((moment for moment in known if moment), default=_NEVER)


_AGENDA = """
SELECT (SELECT min(moment) FROM (
            SELECT climb_at AS moment FROM alert WHERE state NOT IN ('resolved', 'expired')
            UNION ALL SELECT r.left_at FROM alert a JOIN resident r ON r.id = a.resident_id WHERE a.state NOT IN ('resolved', 'expired')
        ) climbs),
       (SELECT min(due_at) FROM message WHERE state = 'due'),
       (SELECT min(CASE state WHEN 'uncertain' THEN due_at ELSE sending_at + %(stuck)s END) FROM message
            WHERE state IN ('uncertain', 'sending')),
       (SELECT min(due_at) FROM message WHERE state = 'sent' AND expires_at > %(now)s AND channel <> 'email'),
       (SELECT min(until) FROM prompt WHERE answered_at IS NULL AND until > %(now)s)
"""


@dataclass
class Page:
    """Somebody's browser."""

    night: Night
    headers: dict[str, str]

    async def reads(self, path: str) -> str:
        """The page, as it is."""
        answer = await self.night.street.client.get(self.night.street.door_url + path, headers=self.headers)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    async def sends(self, path: str, **fields: str) -> str:
        """A form; where it leads to."""
        address = self.night.street.door_url + path
        answer = await self.night.street.client.post(address, data={"csrf": "csrf", **fields}, headers=self.headers)
        assert answer.status_code == 303, f"{path}: {answer.status_code} {answer.text[:300]}"
        await self.night.is_told()
        return answer.headers["location"]


def on_duty(role: str, line: int = 1) -> Target:
    """Whoever is on duty."""
    return Target("duty", role, line)  # type: ignore[arg-type]  # a story names roles as the record does


FAMILY, EVERYBODY = Target("family"), Target("everybody")


def step(minutes: float, *targets: Target, in_turn: bool = False) -> Step:
    """One step of a policy."""
    return Step(tuple(targets), timedelta(minutes=minutes), in_turn)


@asynccontextmanager
async def night(
    street: Street,
    begins: str = "03:00",
    *,
    day: date = date(2026, 11, 29),
    zone: str = "Asia/Shanghai",
    voice: bool = False,
    channels: Mapping[ChannelName, Channel] | None = None,
    processes: int = 1,
    change: Callable[[dict[ChannelName, Channel], Clock], Awaitable[None]] | None = None,
) -> AsyncIterator[Night]:
    """A night of this household, by SMS alone unless there is ``voice``; at its end what must always hold is looked at."""
    local = ZoneInfo(zone)
    clock = Clock(datetime.combine(day, time.fromisoformat(begins), local).astimezone(UTC))
    home = await street.furnished(clock.now, zone)
    street.app.state.clock = clock
    street.app.state.gatekeeper = Gatekeeper(street.database)
    async with street.line(clock) as line:
        opened: dict[ChannelName, Channel] = {"sms": line.channel, **({"voice": line.voice} if voice else {})}
        if change is not None:
            await change(opened, clock)
        told = Night(street, clock, local, home, line, opened | dict(channels or {}))
        await told.starts(processes)
        try:
            yield told
            await _always(told)
        finally:
            await told.stops()


async def _always(told: Night) -> None:
    """What holds of every night, however it goes."""
    async with told.record() as c:
        forgotten = await (
            await c.execute(
                "SELECT id, state FROM alert WHERE state IN ('raised', 'notifying', 'acknowledged', 'shelved') AND step > 0 AND climb_at IS NULL"
            )
        ).fetchall()
    assert forgotten == [], "an alert to which people are called has nothing more to come"
    for sms in told.line.telephone.network.messages:
        if sms.direction != "inbound":
            language = "zh_Hans" if re.search(r"[\u4e00-\u9fff]", sms.body) else "en"
            assert one_segment(sms.body, language), f"two segments: {sms.body}"
    if document := TwilioDocument.beside_the_project():
        assert document.faults_of_kinds(told.line.recorder.exchanges) == []
