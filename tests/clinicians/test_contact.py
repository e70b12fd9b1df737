"""How I am reached: prove an address, try each way, choose; and the administrator's list of those nothing reaches."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import time, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from alerts import reach
from alerts.channels.push import PushKeys
from alerts.contact import MOST_ASKED, MOST_TRIES
from api.app import create_app
from api.settings import Settings
from store import contacts, messages, people, policies
from store.messages import MessageRow
from tests.alerts.browsers import Browser
from tests.alerts.clock import Clock
from tests.alerts.messages import NOW
from tests.clinicians.lived import visit
from tests.household import Household, furnish

pytestmark = pytest.mark.anyio

KEYS = PushKeys.generate()
EVERYTHING = {"sms": ["twilio"], "voice": ["twilio"], "push": ["web_push"], "email": ["smtp"]}


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    settings = Settings(
        database_url=database_url,
        watch=False,
        dispatch=False,
        push_private_key=SecretStr(KEYS.private),
        push_contact="mailto:office@hearthwatch.example",
        push_services="push.example",
    )
    made = create_app(settings, clock=Clock(NOW))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def home(app: FastAPI) -> Household:
    async with app.state.database.service() as c:
        home = await furnish(c, NOW)
        await contacts.set_channels(c, EVERYTHING, NOW)
    return home


@pytest.fixture
async def li(app: FastAPI, home: Household) -> httpx.AsyncClient:
    """Li Na's browser, in English."""
    return await visit(app, home.li_na.id, "en")


async def post(client: httpx.AsyncClient, path: str, **fields: object) -> str:
    """Send a form; returns what came of it, the page after it included."""
    answer = await client.post(path, data={"csrf": "csrf", **{k: str(v) for k, v in fields.items()}})
    if answer.status_code != 303:
        return f"{answer.status_code} {words(answer.text)}"
    return words((await client.get(answer.headers["location"])).text)


async def seen(client: httpx.AsyncClient, path: str = "/contact") -> str:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return words(answer.text)


def words(html: str) -> str:
    body = html.partition("<main")[2] or html
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.replace("&#39;", "'")))


async def sent(app: FastAPI, home: Household, purpose: str) -> list[MessageRow]:
    async with app.state.database.service() as c:
        cursor = await c.execute(
            "SELECT id FROM message WHERE person_id = %s AND purpose = %s ORDER BY id", [home.li_na.id, purpose]
        )
        found = [await messages.message(c, row[0]) for row in await cursor.fetchall()]
    return [message for message in found if message]


async def code(app: FastAPI, home: Household) -> str:
    """The code in the last message to Li."""
    [*_, last] = await sent(app, home, "verify")
    found = re.search(r"\d{6}", last.body)
    assert found is not None
    return found[0]


async def phone(app: FastAPI, home: Household) -> tuple[str | None, bool]:
    async with app.state.database.service() as c:
        found = await contacts.contact(c, home.li_na.id)
    assert found is not None
    return found.phone, found.phone_verified_at is not None


class TestTheTelephone:
    async def test_is_confirmed_by_the_code_that_came_to_it(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        assert "not confirmed yet" in await seen(li)
        assert "A code is on its way" in await post(li, "/contact/phone", number="13900000002", by="sms")
        [message] = await sent(app, home, "verify")
        assert (message.channel, message.address, message.priority) == ("sms", "+8613900000002", "medium")
        assert "Confirmed" in await post(li, "/contact/code", kind="phone", code=await code(app, home))
        assert await phone(app, home) == ("+8613900000002", True)
        assert "confirmed today" in await seen(li)

    async def test_is_changed_only_once_the_new_one_is_hers(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        await post(li, "/contact/phone", number="+8613812345678", by="voice")
        assert await phone(app, home) == ("+8613900000002", False)
        [message] = await sent(app, home, "verify")
        assert message.channel == "voice"
        spoken = re.findall(r"\d", message.body.partition("code")[2])[:6]
        await post(li, "/contact/code", kind="phone", code=" ".join(spoken))
        assert await phone(app, home) == ("+8613812345678", True)

    async def test_of_a_colleague_cannot_become_hers(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        assert "somebody else's" in await post(li, "/contact/phone", number=home.chen.phone, by="sms")
        assert await sent(app, home, "verify") == []

    async def test_that_a_colleague_took_meanwhile_neither(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        await post(li, "/contact/phone", number="+8613812345678", by="sms")
        async with app.state.database.service() as c:
            await contacts.set_phone(c, home.chen.id, "+8613812345678", NOW)
        assert "somebody else's" in await post(li, "/contact/code", kind="phone", code=await code(app, home))
        assert await phone(app, home) == ("+8613900000002", False)

    async def test_needs_a_number_that_can_be_called(self, li: httpx.AsyncClient) -> None:
        assert "not a telephone number" in await post(li, "/contact/phone", number="12", by="sms")


class TestTheCode:
    async def test_is_not_guessed(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/phone", number=home.li_na.phone, by="sms")
        right = await code(app, home)
        wrong = f"{(int(right) + 1) % 10**6:06}"
        for _ in range(MOST_TRIES - 1):
            assert "not the code" in await post(li, "/contact/code", kind="phone", code=wrong)
        assert "good no longer" in await post(li, "/contact/code", kind="phone", code=wrong)
        assert "good no longer" in await post(li, "/contact/code", kind="phone", code=right)
        assert await phone(app, home) == ("+8613900000002", False)

    async def test_is_good_for_ten_minutes_and_once(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/phone", number=home.li_na.phone, by="sms")
        app.state.clock.go_on(minutes=10)
        assert "good no longer" in await post(li, "/contact/code", kind="phone", code=await code(app, home))
        await post(li, "/contact/phone", number=home.li_na.phone, by="sms")
        await post(li, "/contact/code", kind="phone", code=await code(app, home))
        assert "good no longer" in await post(li, "/contact/code", kind="phone", code=await code(app, home))

    async def test_is_not_sent_in_floods(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        """Neither to one person nor, by several, to one telephone: the centre pays, and a stranger is annoyed."""
        for _ in range(MOST_ASKED):
            await post(li, "/contact/phone", number="+8613812345678", by="sms")
        assert "too often" in await post(li, "/contact/phone", number="+8613812345679", by="sms")
        chen = await visit(app, home.chen.id, "en")
        assert "too often" in await post(chen, "/contact/phone", number="+8613812345678", by="sms")
        assert len(await sent(app, home, "verify")) == MOST_ASKED

    async def test_of_one_person_is_no_others(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/phone", number="+8613812345678", by="sms")
        chen = await visit(app, home.chen.id, "en")
        assert "good no longer" in await post(chen, "/contact/code", kind="phone", code=await code(app, home))


class TestEMail:
    async def test_is_used_once_it_is_confirmed(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/email", address="li.na@centre.example")
        [message] = await sent(app, home, "verify")
        assert (message.channel, message.address) == ("email", "li.na@centre.example")
        assert message.subject
        async with app.state.database.service() as c:
            assert "email" not in [way.channel for way in (await reach.ways(c, [home.li_na], "low"))[home.li_na.id]]
        await post(li, "/contact/code", kind="email", code=await code(app, home))
        async with app.state.database.service() as c:
            ways = (await reach.ways(c, [home.li_na], "low"))[home.li_na.id]
        assert "li.na@centre.example" in [way.address for way in ways]
        assert "Removed" in await post(li, "/contact/email/remove")

    @pytest.mark.parametrize("address", ["li", "li@centre", "a@b.c,d@e.f", "李@centre.example", "a b@c.example"])
    async def test_must_be_one_address(self, li: httpx.AsyncClient, address: str) -> None:
        assert "not an e-mail address" in await post(li, "/contact/email", address=address)


class TestTryingIt:
    async def test_shows_what_came_of_it(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        assert "not tried yet" in await seen(li)
        assert "Test on its way" in await post(li, "/contact/test", channel="sms")
        [message] = await sent(app, home, "test")
        assert message.address == home.li_na.phone
        await self.becomes(app, message, state="failed", error="30003")
        assert "the telephone is off or out of reach" in await seen(li)
        await self.becomes(app, message, state="delivered", error=None, delivered_at=NOW)
        assert "Test arrived today" in await seen(li)

    async def becomes(self, app: FastAPI, message: MessageRow, **changes: Any) -> None:
        async with app.state.database.service() as c:
            await messages.update(c, message.id, changes)

    async def test_looks_again_while_more_may_be_heard(self, app: FastAPI, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/test", channel="voice")
        assert "data-soon" in (await li.get("/contact")).text
        app.state.clock.go_on(minutes=5)
        assert "data-soon" not in (await li.get("/contact")).text

    async def test_is_not_done_in_floods(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/test", channel="sms")
        assert "too often" in await post(li, "/contact/test", channel="sms")
        app.state.clock.go_on(seconds=20)
        await post(li, "/contact/test", channel="sms")
        assert len(await sent(app, home, "test")) == 2

    async def test_needs_a_way(self, li: httpx.AsyncClient) -> None:
        assert "no such way" in await post(li, "/contact/test", channel="email")

    async def test_says_when_sms_are_stopped_and_what_to_do(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        async with app.state.database.service() as c:
            await contacts.note_unreachable(c, home.li_na.id, home.li_na.phone or "", "sms", "opted_out", "21610", NOW)
        assert "SMS from us are stopped on this telephone" in await seen(li)
        assert "Send START" in await seen(li)


def wishes(**changed: str) -> dict[str, str]:
    """The form as it is for staff who have chosen nothing."""
    plain = {f"{p}-{c}": "" for p in ("high", "medium", "low") for c in ("sms", "voice", "push", "email")}
    return (
        plain
        | {"high-sms": "0", "high-voice": "45", "medium-sms": "0", "low-sms": "0"}
        | {name.replace("_", "-"): text for name, text in changed.items()}
    )


class TestChoosing:
    async def test_is_kept_and_shown(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        assert "Saved" in await post(li, "/contact/preferences", **wishes(high_voice="0", high_sms="30"))
        async with app.state.database.service() as c:
            ways = (await reach.ways(c, [home.li_na], "high"))[home.li_na.id]
        assert [(way.channel, way.after) for way in ways] == [("voice", timedelta()), ("sms", timedelta(seconds=30))]
        page = (await li.get("/contact")).text
        assert re.search(r'name="high-sms">.*?<option value="30" selected', page, re.DOTALL)

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"high_sms": "", "high_voice": "", "high_push": "0"}, "must stay on"),
            ({"high_sms": "120", "high_voice": ""}, "within one minute"),
            ({"low_sms": ""}, "at least one way"),
            ({"low_sms": "90000"}, "half an hour"),
        ],
    )
    async def test_cannot_end_in_silence(self, li: httpx.AsyncClient, changed: dict[str, str], says: str) -> None:
        answer = await post(li, "/contact/preferences", **wishes(**changed))
        assert answer.startswith("400")
        assert says in answer

    async def test_is_taken_back(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        await post(li, "/contact/preferences", **wishes(high_voice=""))
        assert "by itself again" in await post(li, "/contact/preferences", **wishes(), reset="1")
        async with app.state.database.service() as c:
            assert await contacts.preferences(c, home.li_na.id) == {}

    async def test_what_no_list_offers_is_refused(self, li: httpx.AsyncClient) -> None:
        assert (await post(li, "/contact/preferences", **wishes(low_sms="soon"))).startswith("400")


class TestABrowser:
    async def test_is_let_in_once_and_taken_out(self, app: FastAPI, home: Household, li: httpx.AsyncClient) -> None:
        browser = Browser("https://fcm.push.example/send/1")
        given = {"endpoint": browser.endpoint, "p256dh": browser.p256dh, "auth": browser.auth}
        li.headers["user-agent"] = (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
        )
        for _ in range(2):
            assert "This browser shows messages" in await post(li, "/contact/push", **given)
        assert "Chrome · Android" in await seen(li)
        async with app.state.database.service() as c:
            [known] = await contacts.browsers(c, home.li_na.id)
        assert "Removed" in await post(li, f"/contact/push/{known.id}/remove")
        assert "Chrome · Android" not in await seen(li)

    async def test_of_a_colleague_is_not_hers_to_take_out(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        await Browser("https://push.example/1").listen(app.state.database, home.chen.id, NOW)
        async with app.state.database.service() as c:
            [known] = await contacts.browsers(c, home.chen.id)
            await post(li, f"/contact/push/{known.id}/remove")
            assert len(await contacts.browsers(c, home.chen.id)) == 1

    @pytest.mark.parametrize(
        "different", [{"endpoint": "http://10.0.0.1/"}, {"endpoint": "https://evil.example/"}, {"auth": "x"}]
    )
    async def test_listens_only_at_a_push_service(self, li: httpx.AsyncClient, different: dict[str, str]) -> None:
        browser = Browser("https://push.example/1")
        given = {"endpoint": browser.endpoint, "p256dh": browser.p256dh, "auth": browser.auth}
        assert (await post(li, "/contact/push", **given | different)).startswith("400")

    async def test_that_its_push_service_moves_proves_itself_by_its_old_secret(
        self, app: FastAPI, home: Household
    ) -> None:
        old, new = Browser("https://push.example/old"), Browser("https://push.example/new")
        await old.listen(app.state.database, home.li_na.id, NOW)
        stranger = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://hearthwatch.test")
        told = {
            "old_endpoint": old.endpoint,
            "old_auth": old.auth,
            "endpoint": new.endpoint,
            "p256dh": new.p256dh,
            "auth": new.auth,
        }
        guessed = await stranger.post("/push/renewed", json=told | {"old_auth": new.auth})
        assert guessed.status_code == 404
        elsewhere = await stranger.post("/push/renewed", json=told | {"endpoint": "https://evil.example/1"})
        assert elsewhere.status_code == 400
        assert (await stranger.post("/push/renewed", json=told)).status_code == 204
        async with app.state.database.service() as c:
            [listening] = await contacts.subscriptions(c, home.li_na.id)
        assert (listening.endpoint, listening.auth) == (new.endpoint, new.auth)

    async def test_says_that_it_has_shown_a_message(self, app: FastAPI, home: Household) -> None:
        """Also before the push service's answer has been written down, and without anybody signed in."""
        message = await self.push_message(app, home)
        stranger = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://hearthwatch.test")
        wrong = await stranger.post(f"/push/{message.id}/{KEYS.token(message.id + 1)}/shown")
        assert (wrong.status_code, wrong.json()["status"]) == (404, 404)
        shown = await stranger.post(f"/push/{message.id}/{KEYS.token(message.id)}/shown")
        assert shown.status_code == 204
        assert await self.standing(app, message) == "delivered"
        again = await stranger.post(f"/push/{message.id}/{KEYS.token(message.id)}/shown")
        assert again.status_code == 204

    async def test_answers_a_test_by_a_button(self, app: FastAPI, home: Household) -> None:
        message = await self.push_message(app, home)
        stranger = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://hearthwatch.test")
        heard = await stranger.post(f"/push/{message.id}/{KEYS.token(message.id)}/1")
        assert heard.status_code == 200
        assert heard.json()["said"]
        assert (await stranger.post(f"/push/{message.id}/{KEYS.token(message.id)}/9")).status_code == 404

    async def push_message(self, app: FastAPI, home: Household) -> MessageRow:
        await Browser("https://push.example/1").listen(app.state.database, home.li_na.id, NOW)
        li = await visit(app, home.li_na.id, "en")
        await post(li, "/contact/test", channel="push")
        [message] = await sent(app, home, "test")
        return message

    async def standing(self, app: FastAPI, message: MessageRow) -> str:
        async with app.state.database.service() as c:
            found = await messages.message(c, message.id)
        assert found is not None
        return found.state


class TestQuietHours:
    async def test_are_the_relatives_own_to_say(self, app: FastAPI, home: Household) -> None:
        async with app.state.database.service() as c:
            await policies.let_call(c, home.daughter.id, home.wang, home.wang_person, NOW)
        daughter = await visit(app, home.daughter.id, "en")
        assert "Mum" in await seen(daughter)
        assert "Saved" in await post(daughter, f"/contact/quiet/{home.wang}", begins="23:30", ends="06:00")
        async with app.state.database.service() as c:
            [hours] = await contacts.quiet_hours(c, home.daughter.id)
        assert (hours.quiet_from, hours.quiet_until) == (time(23, 30), time(6))

    async def test_are_nobodys_who_is_not_called(self, app: FastAPI, home: Household) -> None:
        daughter = await visit(app, home.daughter.id, "en")
        assert "My quiet hours" not in await seen(daughter)


class TestWhoseItIs:
    async def test_a_resident_has_no_such_page(self, app: FastAPI, home: Household) -> None:
        wang = await visit(app, home.wang_person, "en")
        assert (await wang.get("/contact")).status_code == 403

    async def test_a_relative_and_an_administrator_have(self, app: FastAPI, home: Household) -> None:
        for person in (home.daughter, home.administrator, home.doctor):
            assert "How I am reached" in await seen(await visit(app, person.id, "en"))

    async def test_a_service_without_voice_mail_and_push_offers_none(
        self, app: FastAPI, home: Household, li: httpx.AsyncClient
    ) -> None:
        async with app.state.database.service() as c:
            await contacts.set_channels(c, {"sms": ["north"]}, NOW)
        page = await seen(li)
        assert "My e-mail" not in page
        assert "Messages in the browser" not in page
        assert "read to me by a call" not in page

    async def test_it_speaks_chinese(self, app: FastAPI, home: Household) -> None:
        assert "怎样联系我" in await seen(await visit(app, home.li_na.id, "zh_Hans"))


class TestTheAdministratorsList:
    @pytest.fixture
    async def office(self, app: FastAPI, home: Household) -> httpx.AsyncClient:
        return await visit(app, home.administrator.id, "en")

    async def stop(self, app: FastAPI, home: Household) -> None:
        async with app.state.database.service() as c:
            await contacts.note_unreachable(c, home.li_na.id, home.li_na.phone or "", "sms", "opted_out", "21610", NOW)

    async def test_is_quiet_while_all_is_well(self, office: httpx.AsyncClient) -> None:
        assert "Everybody can be reached" in await seen(office, "/admin/reach")
        assert "does not get every message" not in await seen(office, "/admin")

    async def test_says_loudly_whose_sms_are_stopped(
        self, app: FastAPI, home: Household, office: httpx.AsyncClient
    ) -> None:
        await self.stop(app, home)
        assert "1 person does not get every message" in await seen(office, "/admin")
        page = await seen(office, "/admin/reach")
        assert "SMS from us are stopped on this telephone" in page
        assert "send START" in page

    async def test_ends_a_trouble_by_hand(self, app: FastAPI, home: Household, office: httpx.AsyncClient) -> None:
        await self.stop(app, home)
        told = await post(office, "/admin/reach/again", address=home.li_na.phone, channel="sms")
        assert "The next message is sent there" in told
        assert "Everybody can be reached" in told

    async def test_takes_another_number(self, app: FastAPI, home: Household, office: httpx.AsyncClient) -> None:
        await self.stop(app, home)
        told = await post(office, f"/admin/reach/{home.li_na.id}/phone", number="138 1234 5678")
        assert "Everybody can be reached" in told
        assert await phone(app, home) == ("+8613812345678", False)
        taken = await post(office, f"/admin/reach/{home.li_na.id}/phone", number=home.chen.phone)
        assert taken.startswith("400")
        assert "somebody else's" in taken

    async def test_knows_only_her_own_centre(self, app: FastAPI, home: Household) -> None:
        await self.stop(app, home)
        async with app.state.database.service() as c:
            centre = await people.add_centre(c, "别处中心", "Another Centre", None, "Asia/Shanghai")
            person = await people.add_person(c, centre, "外人", "An Outsider", None, "en")
            await people.add_account(c, person.id, "outsider", "!", "administrator")
        outsider = await visit(app, person.id, "en")
        assert "Na Li" not in await seen(outsider, "/admin/reach")
        for path, fields in [
            ("/admin/reach/again", {"address": home.li_na.phone, "channel": "sms"}),
            (f"/admin/reach/{home.li_na.id}/phone", {"number": "+8613812345678"}),
        ]:
            assert (await post(outsider, path, **fields)).startswith("404")

    async def test_is_no_colleagues_to_see(self, li: httpx.AsyncClient) -> None:
        assert (await li.get("/admin/reach")).status_code == 403
