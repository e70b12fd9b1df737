"""How people are reached, as the record keeps it: each sees her own, and nobody a secret."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from store import contacts
from store.postgres import Database, value
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio


async def filled(database: Database) -> Household:
    """Li has a browser, an e-mail address, wishes, a code under way and a number that takes no SMS; Chen has nothing."""
    async with database.service() as c:
        home = await furnish(c)
        li, phone = home.li_na.id, home.li_na.phone or ""
        await contacts.subscribe(c, li, "https://push.example/1", "point", "secret", "Firefox", NOW)
        await contacts.set_email(c, li, "li@centre.example", NOW)
        await contacts.set_preference(c, li, "low", [{"channel": "email", "after_s": 0}], NOW)
        await contacts.ask(c, li, "phone", phone, b"hash", NOW, NOW + timedelta(minutes=10))
        await contacts.note_unreachable(c, li, phone, "sms", "dead", "30006", NOW)
    return home


async def seen(database: Database, person: UUID, query: LiteralString) -> object:
    async with database.reader(person) as c:
        return await value(c, query)


HERS: tuple[LiteralString, ...] = (
    "SELECT count(*) FROM contact_preference",
    "SELECT count(*) FROM email_address",
    "SELECT count(id) FROM verification",
    "SELECT count(id) FROM push_subscription",
    "SELECT count(*) FROM unreachable",
)


@pytest.mark.parametrize("query", HERS)
async def test_each_sees_her_own_and_no_colleagues(database: Database, query: LiteralString) -> None:
    home = await filled(database)
    assert await seen(database, home.li_na.id, query) == 1
    for other in (home.chen, home.doctor, home.daughter, home.administrator):
        assert await seen(database, other.id, query) == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT endpoint FROM push_subscription",
        "SELECT p256dh FROM push_subscription",
        "SELECT auth FROM push_subscription",
        "SELECT code_hash FROM verification",
    ],
)
async def test_a_page_sees_no_secret_not_even_her_own(database: Database, query: LiteralString) -> None:
    home = await filled(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await seen(database, home.li_na.id, query)


async def test_only_an_administrator_sees_whom_nothing_reaches_and_in_her_own_centre(database: Database) -> None:
    home = await filled(database)
    query: LiteralString = "SELECT count(*) FROM administered_contact WHERE jsonb_array_length(troubles) > 0"
    assert await seen(database, home.administrator.id, query) == 1
    assert await seen(database, home.li_na.id, "SELECT count(*) FROM administered_contact") == 0
    residents: LiteralString = (
        "SELECT count(*) FROM administered_contact WHERE person_id IN (SELECT person_id FROM resident)"
    )
    assert await seen(database, home.administrator.id, residents) == 0


async def test_guesses_at_once_are_all_counted(database: Database) -> None:
    home = await filled(database)

    async def guess() -> int:
        async with database.service() as c:
            tried = await contacts.try_code(c, home.li_na.id, "phone", NOW)
        assert tried is not None
        return tried.tries

    assert sorted(await asyncio.gather(*(guess() for _ in range(5)))) == [1, 2, 3, 4, 5]


async def test_a_new_code_ends_the_one_before(database: Database) -> None:
    home = await filled(database)
    async with database.service() as c:
        await contacts.ask(c, home.li_na.id, "phone", "+8613800000000", b"new", NOW, NOW + timedelta(minutes=10))
        [asked] = await contacts.asked(c, home.li_na.id, NOW)
        tried = await contacts.try_code(c, home.li_na.id, "phone", NOW)
    assert asked.address == "+8613800000000"
    assert tried is not None
    assert tried.code_hash == b"new"


async def test_that_she_has_stopped_our_sms_outweighs_that_they_do_not_arrive(database: Database) -> None:
    home = await filled(database)
    li, phone = home.li_na.id, home.li_na.phone or ""
    async with database.service() as c:
        assert not await contacts.note_unreachable(c, li, phone, "sms", "dead", "30005", NOW)
        assert await contacts.note_unreachable(c, li, phone, "sms", "opted_out", "21610", NOW)
        assert not await contacts.note_unreachable(c, li, phone, "sms", "dead", "30005", NOW)
        assert [one.why for one in await contacts.unreachable_by(c, li)] == ["opted_out"]
        assert await contacts.reachable_again(c, phone, why="dead") == 0
        assert await contacts.reachable_again(c, phone, ["sms"]) == 1


async def test_a_browser_belongs_to_whoever_signed_in_there_last(database: Database) -> None:
    home = await filled(database)
    async with database.service() as c:
        await contacts.subscribe(c, home.chen.id, "https://push.example/1", "point", "secret", "Firefox", NOW)
        assert await contacts.subscriptions(c, home.li_na.id) == []
        assert [one.auth for one in await contacts.subscriptions(c, home.chen.id)] == ["secret"]


async def test_the_service_has_only_the_channels_it_said_last(database: Database) -> None:
    async with database.service() as c:
        await contacts.set_channels(c, {"sms": ["twilio", "north"], "voice": ["twilio"]}, NOW)
        await contacts.set_channels(c, {"sms": ["north"]}, NOW)
        assert await contacts.channels(c) == ["sms"]
        await contacts.set_channels(c, {}, NOW)
        assert await contacts.channels(c) == []
