"""A protocol's life: shipped or staged, compared, in force from an instant on, replaced; and alerts that outlive it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from alerts import actions, deployment
from alerts.deployment import NotPossible, in_force, made_by, next_change, shipped
from alerts.dispatch import Dispatcher
from alerts.engine import Firing
from alerts.protocol import Protocol, ProtocolError
from alerts.verdicts import Verdicts
from alerts.worker import Watch
from store import alerts, messages, protocols, readings
from store.alerts import AlertRow
from store.postgres import Connection, Database, value
from store.protocols import Kept
from tests.alerts.clock import Clock
from tests.alerts.network import until
from tests.alerts.protocols import asking, rule, texts, worse
from tests.household import NOW, Household, batch, furnish

pytestmark = pytest.mark.anyio

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
BY = "Sun Lihua"
OLD = texts(rule("bp.severe", "血压过高{systolic}", "Pressure {systolic}"), day="2026-11-29")
NEW = texts(rule("bp.severe", "高压{systolic}", "Upper pressure {systolic}", level=185), day="2026-11-30")
WITHOUT = texts(rule("bp.other", "别的", "Another", level=190), day="2026-12-01")


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def staged(c: Connection, what: Mapping[str, str]) -> str:
    return (await deployment.stage(c, what, by=BY, why="the centre's own", now=NOW)).version


async def activated(c: Connection, what: Mapping[str, str], at_hour: int = 0) -> Protocol:
    """Staged, and in force from that hour after :data:`NOW` on."""
    version, at = await staged(c, what), NOW + at_hour * HOUR
    present = await protocols.in_force(c, at)
    await deployment.activate(c, version, at, instead_of=present.version if present else None, by=BY, now=at)
    return await in_force(c, at)


async def raised(c: Connection, resident: int, by: Protocol, rule_id: str = "bp.severe", **evidence: float) -> AlertRow:
    """An alert as the watch raises it under a protocol, and calls about it."""
    await Verdicts(c, by, NOW).carry_out(
        [Firing(resident, rule_id, "raise", np.datetime64("2026-11-24T10:00", "us"), None, {**evidence})]
    )
    row = await alerts.open_of(c, resident, rule_id)
    assert row is not None
    return row


async def said(c: Connection, row: AlertRow, present: Protocol) -> str | None:
    """What staff read of an alert while ``present`` is in force."""
    read = await alerts.alert(c, row.id)
    assert read is not None
    return (await made_by(c, present, [read])).sentence(read, "staff", "en")


async def test_an_empty_record_takes_the_shipped_protocol_at_once(database: Database) -> None:
    async with database.service() as c:
        assert await in_force(c, NOW) == shipped()
        await deployment.register_shipped(c, NOW)
        present = await protocols.in_force(c, NOW)
        assert present is not None
        assert (present.version, present.at) == (shipped().version, NOW)
        assert await in_force(c, NOW) == await in_force(c, NOW - DAY) == shipped()


async def test_registering_again_changes_nothing(database: Database) -> None:
    for later in (SECOND, DAY):
        async with database.service() as c:
            await deployment.register_shipped(c, NOW + later)
    async with database.service() as c:
        assert len(await protocols.every(c)) == len(await protocols.activations(c)) == 1


async def test_several_that_start_at_once_register_one(database: Database) -> None:
    async def start() -> None:
        async with database.service() as c:
            await deployment.register_shipped(c, NOW)

    await asyncio.gather(*(start() for _ in range(4)))
    async with database.service() as c:
        assert len(await protocols.every(c)) == len(await protocols.activations(c)) == 1


async def test_it_changes_at_the_instant_and_not_before(database: Database) -> None:
    async with database.service() as c:
        old = await activated(c, OLD)
        version, at = await staged(c, NEW), NOW + HOUR
        await deployment.activate(c, version, at, instead_of=old.version, by=BY, now=NOW)
        assert await next_change(c, NOW) == at
        assert (await in_force(c, at - SECOND)).version == old.version
        assert (await in_force(c, at)).version == version
        assert await next_change(c, at) is None


async def test_a_protocol_comes_back_by_being_activated_again(database: Database) -> None:
    async with database.service() as c:
        old, new = await activated(c, OLD), await activated(c, NEW, 1)
        await deployment.activate(c, old.version, NOW + 2 * HOUR, instead_of=new.version, by=BY, now=NOW + 2 * HOUR)
        assert [(await in_force(c, NOW + hours * HOUR)).version for hours in (0, 1, 2)] == [
            old.version, new.version, old.version,
        ]  # fmt: skip


async def test_whoever_listens_is_told_of_a_decision(database: Database) -> None:
    notes = database.listen()
    assert (await anext(notes))["kind"] == "reconnected"
    async with database.service() as c:
        await deployment.register_shipped(c, NOW)
    assert await asyncio.wait_for(anext(notes), 5) == {"kind": "protocol_decision"}
    await notes.aclose()  # type: ignore[attr-defined]


async def test_one_that_this_release_cannot_read_is_said_and_the_shipped_one_watches(database: Database) -> None:
    async with database.service() as c:
        broken = {"own.toml": OLD["own.toml"].replace("at_least", "at_leest")}
        await protocols.add(c, Kept("2019-01-01-00000000", "0" * 64, False, NOW, BY, "long ago"), broken)
        await protocols.activate(c, "2019-01-01-00000000", NOW, BY, "", NOW)
        assert await in_force(c, NOW) == shipped()
        found = await deployment.standing(c, NOW)
        assert found.needs_somebody
        assert found.unreadable.startswith("own.toml, line")


async def test_one_on_which_the_parser_itself_fails_does_not_stop_the_watch_either(database: Database) -> None:
    async with database.service() as c:
        no_text: Any = {"own.toml": 7}
        await protocols.add(c, Kept("2019-01-02-00000000", "1" * 64, False, NOW, BY, "long ago"), no_text)
        await protocols.activate(c, "2019-01-02-00000000", NOW, BY, "", NOW)
        assert await in_force(c, NOW) == shipped()
        assert (await deployment.standing(c, NOW)).unreadable.startswith("own.toml, line 1: this cannot be judged by")


async def test_the_protocol_of_a_newer_release_waits(database: Database) -> None:
    async with database.service() as c:
        before = await activated(c, OLD)  # stands for what an earlier release had brought
        await deployment.register_shipped(c, NOW + DAY)
        assert (await in_force(c, NOW + DAY)).version == before.version
        found = await deployment.standing(c, NOW + DAY)
        assert (found.waiting, found.needs_somebody) == (shipped().version, True)


async def test_nobody_is_reminded_once_it_is_to_come_into_force(database: Database) -> None:
    async with database.service() as c:
        before = await activated(c, OLD)
        await deployment.register_shipped(c, NOW)
        await deployment.activate(c, shipped().version, NOW + DAY, instead_of=before.version, by=BY, now=NOW)
        found = await deployment.standing(c, NOW)
        assert (found.waiting, found.needs_somebody) == (None, False)
        await deployment.cancel(c, shipped().version, by=BY, now=NOW)
        assert (await deployment.standing(c, NOW)).needs_somebody


async def test_nor_once_it_is_declined_but_it_can_be_activated_later(database: Database) -> None:
    async with database.service() as c:
        before = await activated(c, OLD)
        await deployment.register_shipped(c, NOW)
        await deployment.decline(c, shipped().version, by=BY, why="ours is stricter", now=NOW)
        assert not (await deployment.standing(c, NOW)).needs_somebody
        with pytest.raises(NotPossible, match="does not wait for a decision"):
            await deployment.decline(c, shipped().version, by=BY, why="", now=NOW)
        await deployment.activate(c, shipped().version, NOW, instead_of=before.version, by=BY, now=NOW)
        assert await in_force(c, NOW) == shipped()


async def test_what_the_parser_refuses_is_not_kept(database: Database) -> None:
    wrong = {"own.toml": OLD["own.toml"].replace("clear_below = 170", "clear_below = 190")}
    async with database.service() as c:
        with pytest.raises(ProtocolError, match=r"own\.toml, line \d+: the clear level must lie below 180"):
            await staged(c, wrong)
        assert await protocols.every(c) == []


async def test_the_same_twice_is_refused_by_name(database: Database) -> None:
    async with database.service() as c:
        version = await staged(c, OLD)
        with pytest.raises(NotPossible, match=f"{version} is there already, staged by {BY}: the centre's own"):
            await staged(c, OLD)


async def test_a_reason_is_required(database: Database) -> None:
    async with database.service() as c:
        with pytest.raises(NotPossible, match="say why"):
            await deployment.stage(c, OLD, by=BY, why=" ", now=NOW)


async def test_several_files_come_back_as_they_were(database: Database) -> None:
    falls = texts(asking("fall", "您还好吗？", "Are you well?"))["own.toml"]
    several = {"zz.toml": OLD["own.toml"], "aaaa.toml": falls}  # jsonb has shorter names first
    async with database.service() as c:
        version = await staged(c, several)
        found = await deployment.find(c, version)
        assert found is not None
        assert (found.version, [r.id for r in found.rules]) == (version, ["fall", "bp.severe"])
        assert await protocols.texts(c, version) == several


@pytest.mark.parametrize("change", ["UPDATE protocol SET texts = '{}'", "DELETE FROM protocol_decision"])
async def test_the_database_lets_nobody_change_what_was_kept(database: Database, change: str) -> None:
    async with database.service() as c:
        await activated(c, OLD)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.service() as c:
            await c.execute(change.encode())


async def test_not_in_the_past(database: Database) -> None:
    async with database.service() as c:
        version = await staged(c, OLD)
        with pytest.raises(NotPossible, match="is over: a protocol comes into force now or later"):
            await deployment.activate(c, version, NOW - SECOND, instead_of=None, by=BY, now=NOW)


async def test_not_what_is_not_there_or_in_force_already(database: Database) -> None:
    async with database.service() as c:
        with pytest.raises(NotPossible, match="there is no protocol 2020-01-01-00000000"):
            await deployment.activate(c, "2020-01-01-00000000", NOW, instead_of=None, by=BY, now=NOW)
        old = await activated(c, OLD)
        with pytest.raises(NotPossible, match="in force already"):
            await deployment.activate(c, old.version, NOW, instead_of=old.version, by=BY, now=NOW)


async def test_one_at_a_time(database: Database) -> None:
    async with database.service() as c:
        old, other = await activated(c, OLD), await staged(c, WITHOUT)
        version = await staged(c, NEW)
        await deployment.activate(c, version, NOW + DAY, instead_of=old.version, by=BY, now=NOW)
        with pytest.raises(NotPossible, match=f"{version} comes into force at .*: cancel that first"):
            await deployment.activate(c, other, NOW, instead_of=old.version, by=BY, now=NOW)
        assert await deployment.cancel(c, version, by=BY, now=NOW) == NOW + DAY
        await deployment.activate(c, other, NOW, instead_of=old.version, by=BY, now=NOW)
        assert (await in_force(c, NOW + 2 * DAY)).version == other


async def test_what_has_come_into_force_is_not_cancelled(database: Database) -> None:
    async with database.service() as c:
        old = await activated(c, OLD)
        with pytest.raises(NotPossible, match="does not wait to come into force"):
            await deployment.cancel(c, old.version, by=BY, now=NOW + SECOND)


async def test_of_two_who_decide_at_once_one_is_told_to_look_again(database: Database) -> None:
    async with database.service() as c:
        old, versions = await activated(c, OLD), [await staged(c, NEW), await staged(c, WITHOUT)]

    async def decide(version: str) -> str:
        try:
            async with database.service() as c:
                await deployment.activate(c, version, NOW, instead_of=old.version, by=BY, now=NOW)
        except NotPossible as error:
            return str(error)
        return ""

    told = await asyncio.gather(*(decide(version) for version in versions))
    async with database.service() as c:
        present = (await in_force(c, NOW)).version
    assert sorted(told) == [
        "",
        f"{present} has come into force meanwhile: look at the difference to that one first",
    ]
    assert told[versions.index(present)] == ""


async def test_who_decided_what_stands_in_the_audit(database: Database) -> None:
    async with database.service() as c:
        old = await activated(c, OLD)
        detail = await value(c, "SELECT detail FROM audit WHERE action = 'protocol_activated'")
        assert (detail["version"], detail["by"]) == (old.version, BY)


async def test_an_alert_keeps_its_words_and_a_new_one_has_the_new(database: Database, home: Household) -> None:
    async with database.service() as c:
        old = await activated(c, OLD)
        before = await raised(c, home.wang, old, systolic=182.0)
        new = await activated(c, NEW, 1)
        after = await raised(c, home.zhao, new, systolic=187.0)
        assert [before.protocol, after.protocol] == [old.version, new.version]
        assert await said(c, before, new) == "Pressure 182"
        assert await said(c, after, new) == "Upper pressure 187"


async def test_also_by_sms_when_the_ladder_climbs_later(database: Database, home: Household) -> None:
    async with database.service() as c:
        before = await raised(c, home.wang, await activated(c, OLD), systolic=182.0)
        await activated(c, WITHOUT, 1)
        await actions.decline(c, before.id, home.li_na.id, NOW + HOUR, "page")

    await Dispatcher(database, {}, clock=Clock(NOW + HOUR)).climb()
    async with database.service() as c:
        bodies = [m.body for m in await messages.of_alert(c, before.id) if m.person_id == home.chen.id]
    assert len(bodies) == 1
    assert "Pressure 182" in bodies[0]


async def test_a_rule_that_is_gone_still_speaks_for_its_alert(database: Database, home: Household) -> None:
    async with database.service() as c:
        before = await raised(c, home.wang, await activated(c, OLD), systolic=182.0)
        present = await activated(c, WITHOUT, 1)
        assert present.rule("bp.severe") is None
        assert await said(c, before, present) == "Pressure 182"


async def test_what_joins_later_speaks_in_its_own_protocol_s_words(database: Database, home: Household) -> None:
    first = texts(asking("fall", "您还好吗？", "Are you well?"))
    later = texts(asking("fall", "好吗？", "Well?"), worse("fall.lie", "fall", "躺着", "Down"), day="2026-11-30")
    async with database.service() as c:
        row = await raised(c, home.wang, await activated(c, first), "fall", probability=0.9)
        second = await activated(c, later, 1)
        at = np.datetime64("2026-11-24T11:00", "us")
        await Verdicts(c, second, NOW).carry_out([Firing(home.wang, "fall.lie", "raise", at, None, {"minutes": 10.0})])
        third = await activated(c, WITHOUT, 2)
        assert row.protocol != second.version
        assert await said(c, row, third) == "Down"


async def test_a_question_is_put_in_the_words_of_the_rule_that_asks(database: Database, home: Household) -> None:
    async with database.service() as c:
        old = await activated(c, texts(asking("fall", "您还好吗？", "Are you well?")))
        at = np.datetime64("2026-11-24T10:00", "us")
        until = at + np.timedelta64(30, "s")
        await Verdicts(c, old, NOW).carry_out([Firing(home.wang, "fall", "ask", at, until, {"probability": 0.9})])
        present = await activated(c, WITHOUT, 1)
        (prompt,) = await alerts.open_prompts(c, home.wang, NOW)
        asked = (await made_by(c, present, [prompt])).rule(prompt.protocol, "fall")
        assert asked is not None
        assert asked.ask is not None
        assert asked.ask.sentence("en") == "Are you well?"


async def test_an_alert_from_before_protocols_were_kept_speaks_by_the_rule_of_its_name(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        old = await activated(c, OLD)
        row = await raised(c, home.wang, old, systolic=182.0)
        await c.execute("UPDATE alert SET protocol = 'before' WHERE id = %s", [row.id])
        assert await said(c, row, old) == "Pressure 182"
        assert await said(c, row, await activated(c, WITHOUT, 1)) is None


async def test_the_watch_judges_by_each_protocol_what_came_while_it_was_in_force(
    database: Database, home: Household
) -> None:
    clock = Clock(NOW)
    watch = Watch(database, clock=clock)

    async def measured(resident: int, cuff: int, systolic: float) -> None:
        async with database.service() as c:
            reading = batch(home, (resident, cuff, "systolic", systolic, clock.now), received_at=clock.now)
            await readings.insert(c, reading)

    async def at_rest() -> bool:
        return await watch.round() > 0.1

    async def opened() -> list[tuple[int, str | None]]:
        await until(at_rest)
        async with database.service() as c:
            present = await in_force(c, clock.now)
            return [(row.resident_id, await said(c, row, present)) for row in await alerts.open_alerts(c)]

    async with database.service() as c:
        old, version = await activated(c, OLD), await staged(c, NEW)
        await deployment.activate(c, version, NOW + HOUR, instead_of=old.version, by=BY, now=NOW)
    await measured(home.wang, home.cuff, 182.0)
    assert await opened() == [(home.wang, "Pressure 182")]
    clock.go_on(minutes=61)
    await measured(home.zhao, home.zhao_cuff, 182.0)
    assert await opened() == [(home.wang, "Pressure 182")]
    clock.go_on(minutes=1)
    await measured(home.zhao, home.zhao_cuff, 187.0)
    assert await opened() == [(home.wang, "Pressure 182"), (home.zhao, "Upper pressure 187")]
    async with database.service() as c:
        present, third = await in_force(c, clock.now), await staged(c, WITHOUT)
        await deployment.activate(c, third, clock.now, instead_of=present.version, by=BY, now=clock.now)
    clock.go_on(minutes=1)
    await measured(home.zhao, home.zhao_cuff, 120.0)
    assert await opened() == [(home.wang, "Pressure 182"), (home.zhao, "Upper pressure 187")]
    await watch.leave()


async def test_a_question_of_a_rule_that_is_gone_raises_at_once_for_nobody_waits_for_its_answer_any_more(
    database: Database, home: Household
) -> None:
    clock = Clock(NOW)
    watch = Watch(database, clock=clock)

    async def happened(metric: str, value: float, resident: int, device: int) -> list[str]:
        async with database.service() as c:
            reading = batch(home, (resident, device, metric, value, clock.now), received_at=clock.now)
            await readings.insert(c, reading)
        await until(at_rest)
        async with database.service() as c:
            return [row.rule for row in await alerts.open_alerts(c)]

    async def at_rest() -> bool:
        return await watch.round() > 0.1

    async with database.service() as c:
        await activated(c, texts(asking("fall", "您还好吗？", "Are you well?")))
    assert await happened("fall", 0.9, home.wang, home.wearable) == []
    async with database.service() as c:
        assert len(await alerts.open_prompts(c, home.wang, clock.now)) == 1
        present, other = await in_force(c, clock.now), await staged(c, WITHOUT)
        clock.go_on(seconds=5)
        await deployment.activate(c, other, clock.now, instead_of=present.version, by=BY, now=clock.now)
    clock.go_on(seconds=40)
    assert await happened("systolic", 195.0, home.zhao, home.zhao_cuff) == ["fall", "bp.other"]
    async with database.service() as c:
        assert await alerts.open_prompts(c, home.wang, clock.now) == []
    await watch.leave()
