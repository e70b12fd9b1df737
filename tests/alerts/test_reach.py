"""How each person is reached: what she chose, what the service can do, and never silence for what is urgent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import reach
from alerts.reach import CHANNELS, Choice, Way, content, faults, parse, ways_of
from store import contacts
from store.contacts import Profile
from store.postgres import Database
from tests.household import NOW, furnish

LI = UUID(int=1)
PHONE = "+8613900000002"
EMAIL = "li@centre.example"
S = timedelta(seconds=1)


def profile(
    *,
    face: str = "care_worker",
    phone: str | None = PHONE,
    email: str | None = None,
    push: bool = False,
    ways: list[dict[str, object]] | None = None,
    failing: tuple[str, ...] = (),
    channels: tuple[str, ...] = ("sms", "voice", "push", "email"),
) -> Profile:
    return Profile(LI, face, phone, email, push, ways, list(failing), list(channels))


def named(ways: tuple[Way, ...]) -> list[tuple[str, float]]:
    return [(way.channel, way.after.total_seconds()) for way in ways]


class TestWhoHasChosenNothing:
    def test_staff_get_an_sms_at_once_and_a_call_if_that_did_not_wake_them(self) -> None:
        assert named(ways_of(profile(), "high")) == [("sms", 0), ("voice", 45)]

    def test_a_browser_that_listens_is_told_at_once_too(self) -> None:
        assert named(ways_of(profile(push=True), "high")) == [("sms", 0), ("push", 0), ("voice", 45)]

    def test_what_can_wait_does_not_ring(self) -> None:
        assert named(ways_of(profile(push=True, email=EMAIL), "low")) == [("sms", 0), ("push", 0), ("email", 0)]

    def test_a_relative_gets_an_sms(self) -> None:
        assert named(ways_of(profile(face="family"), "high")) == [("sms", 0)]

    def test_the_line_of_the_centre_rings_at_once_for_it_may_read_no_sms(self) -> None:
        assert named(ways_of(profile(face="fallback"), "low")) == [("sms", 0), ("voice", 0)]

    def test_a_service_that_has_not_said_what_it_has_sends_sms(self) -> None:
        assert named(ways_of(profile(channels=(), push=True), "high")) == [("sms", 0)]

    def test_nobody_without_an_address_can_be_reached(self) -> None:
        assert ways_of(profile(phone=None), "high") == ()


class TestWhatSheChose:
    CALL_FIRST = content([Choice("voice"), Choice("sms", 30 * S)])

    def test_is_done_in_her_order(self) -> None:
        assert named(ways_of(profile(ways=self.CALL_FIRST), "high")) == [("voice", 0), ("sms", 30)]

    def test_push_alone_is_enough_for_what_can_wait(self) -> None:
        assert named(ways_of(profile(ways=content([Choice("push")]), push=True), "low")) == [("push", 0)]

    def test_push_alone_is_never_enough_for_what_cannot(self) -> None:
        only_push = content([Choice("push")])
        assert named(ways_of(profile(ways=only_push, push=True), "high")) == [("sms", 0), ("push", 0)]

    def test_a_channel_the_service_has_lost_gives_way_to_the_telephone(self) -> None:
        mail = content([Choice("email")])
        assert named(ways_of(profile(ways=mail, email=EMAIL, channels=("sms",)), "medium")) == [("sms", 0)]


class TestAddressesThatTakeNothing:
    def test_who_has_opted_out_of_sms_is_called_at_once(self) -> None:
        assert named(ways_of(profile(failing=("sms",)), "high")) == [("voice", 0)]

    def test_a_way_that_may_fail_is_better_than_none(self) -> None:
        """Its failure brings the next person at once; no message at all would bring nobody."""
        assert named(ways_of(profile(failing=("sms",), channels=("sms",)), "high")) == [("sms", 0)]

    def test_what_can_wait_goes_where_it_arrives(self) -> None:
        assert named(ways_of(profile(failing=("sms", "voice"), email=EMAIL), "low")) == [("email", 0)]


class TestWhatCannotBeChosen:
    @pytest.mark.parametrize(
        ("choices", "priority", "why"),
        [
            ([Choice("push"), Choice("email")], "high", ("no_telephone",)),
            ([Choice("sms", 61 * S)], "high", ("telephone_too_late",)),
            ([Choice("sms"), Choice("sms", 9 * S)], "low", ("twice",)),
            ([], "low", ("nothing",)),
            ([], "high", ("nothing",)),
            ([Choice("email", timedelta(hours=1))], "low", ("too_late",)),
            ([Choice("push"), Choice("sms", 60 * S)], "high", ()),
            ([Choice("email")], "medium", ()),
        ],
    )
    def test_is_said(self, choices: list[Choice], priority: str, why: tuple[str, ...]) -> None:
        assert faults(choices, priority) == why

    def test_what_is_shipped_can_be_chosen(self) -> None:
        for by_priority in reach.SHIPPED.values():
            for priority, choices in by_priority.items():
                assert faults(choices, priority) == ()


CHOICES = st.lists(
    st.builds(Choice, st.sampled_from(CHANNELS), st.integers(0, 1800).map(lambda s: timedelta(seconds=s))), max_size=5
)
PROFILES = st.builds(
    profile,
    face=st.sampled_from(["care_worker", "doctor", "family", "fallback", "", "administrator"]),
    phone=st.sampled_from([PHONE, None]),
    email=st.sampled_from([EMAIL, None]),
    push=st.booleans(),
    ways=st.none() | CHOICES.map(content),
    failing=st.sets(st.sampled_from(["sms", "voice", "email"])).map(tuple),
    channels=st.sets(st.sampled_from(CHANNELS)).map(tuple),
)


@given(PROFILES, st.sampled_from(["high", "medium", "low"]))
def test_nobody_who_has_an_address_is_passed_over(someone: Profile, priority: str) -> None:
    channels = someone.channels or ["sms"]
    has_phone = someone.phone is not None and not {"sms", "voice"}.isdisjoint(channels)
    can = has_phone or (someone.has_push and "push" in channels) or (someone.email and "email" in channels)
    assert bool(ways_of(someone, priority)) == bool(can)


@given(PROFILES)
def test_high_begins_with_a_telephone_that_works_if_there_is_one(someone: Profile) -> None:
    works = {"sms", "voice"} & set(someone.channels or ["sms"]) - set(someone.failing)
    if someone.phone and works:
        telephone = [way.after for way in ways_of(someone, "high") if way.channel in works]
        assert telephone
        assert min(telephone) <= reach.LONGEST_AFTER_HIGH


@given(CHOICES)
def test_the_record_gives_back_what_was_chosen(choices: list[Choice]) -> None:
    assert parse(content(choices)) == tuple(choices)


def test_a_channel_of_a_later_release_is_left_out() -> None:
    assert parse([{"channel": "pigeon", "after_s": 0}, {"channel": "sms", "after_s": 5}]) == (Choice("sms", 5 * S),)


@pytest.mark.anyio
async def test_the_record_knows_everybody_in_one_question(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        await contacts.set_channels(c, {"sms": ["twilio"], "voice": ["twilio"], "push": ["web"]}, NOW)
        await contacts.subscribe(c, home.chen.id, "https://push.example/1", "p", "a", "Firefox", NOW)
        await contacts.set_preference(c, home.chen.id, "high", content([Choice("push"), Choice("sms", 20 * S)]), NOW)
        await contacts.note_unreachable(c, home.li_na.id, home.li_na.phone or "", "sms", "opted_out", "21610", NOW)
        found = await reach.ways(c, [home.li_na, home.chen, home.daughter, home.administrator], "high")
    assert {person: named(ways) for person, ways in found.items()} == {
        home.li_na.id: [("voice", 0)],
        home.chen.id: [("push", 0), ("sms", 20)],
        home.daughter.id: [("sms", 0)],
        home.administrator.id: [],
    }
    assert found[home.chen.id][0].address == str(home.chen.id)
    async with database.service() as c:
        assert await reach.ways(c, [], "high") == {}


@pytest.mark.anyio
async def test_the_line_of_the_centre_is_known_as_such(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        await contacts.set_channels(c, {"sms": ["twilio"], "voice": ["twilio"]}, NOW)
        await c.execute("UPDATE centre SET fallback_id = %s WHERE id = %s", [home.supervisor.id, home.centre])
        found = await reach.ways(c, [home.supervisor], "medium")
    assert named(found[home.supervisor.id]) == [("sms", 0), ("voice", 0)]
