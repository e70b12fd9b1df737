"""An administrator says who is called: tried on the real rota before it is kept, and refused where it could end with nobody."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from alerts import policy
from alerts.escalation import Plan, Skipped
from alerts.policy import ROLES, Policy, PolicyError, Step, Target
from alerts.reach import Way
from clinicians.policies import form
from clinicians.policies.form import PolicyForm, StepError, Time
from clinicians.policies.story import story
from clinicians.words import Words
from store.postgres import value
from tests.clinicians.manned import Centre, Window, elsewhere, open_centre

pytestmark = pytest.mark.anyio

SOON = {"resident": "", "at": "2026-11-29T03:10", "priority": "high"}


@pytest.fixture
async def centre(database_url: str) -> AsyncIterator[Centre]:
    async with open_centre(database_url) as made:
        yield made


def typed(steps: list[dict[str, object]], **more: object) -> dict[str, object]:
    """A whole form, as a browser sends it."""
    fields: dict[str, object] = {"name_zh": "夜间", "name_en": "By night", "steps": len(steps), "repeats": 0,
                                 "again": 5, "again-unit": "min", "attend": 15, "attend-unit": "min", **SOON}  # fmt: skip
    for number, step in enumerate(steps, start=1):
        fields |= {f"{name}-{number}": text for name, text in {"wait": "2", **step}.items()}
        fields |= {f"wait-{number}-unit": step.get("unit", "min")}
    return fields | more


FIRST: dict[str, object] = {"who": ["duty care_worker 1", ""]}
SECOND: dict[str, object] = {"who": ["duty care_worker 2"]}


async def seen(office: Window, place: str, fields: dict[str, object]) -> str:
    """What the page says has been seen, once it has been tried."""
    sent = {
        n: [str(o) for o in v] if isinstance(v, list) else str(v)
        for n, v in (fields | {"do": "try", "csrf": "csrf"}).items()
    }
    page = await office.client.post(place, data=sent)
    assert page.status_code in (200, 400), page.text
    found = re.search(r'name="seen" value="(\w*)"', page.text)
    assert found
    return found[1]


async def write(office: Window, fields: dict[str, object], place: str = "/admin/policies/new") -> str:
    """Try a policy out and keep it."""
    return await office.send(place, fields | {"seen": await seen(office, place, fields)}, do="save")


async def number_of(centre: Centre) -> int:
    async with centre.app.state.database.service() as c:
        return int(await value(c, "SELECT max(id) FROM policy"))


async def without_line(centre: Centre) -> None:
    async with centre.app.state.database.service() as c:
        await c.execute("UPDATE centre SET fallback_id = NULL")


async def test_what_holds_is_said_in_words_by_priority(centre: Centre) -> None:
    page = await (await centre.office()).read("/admin/policies")
    assert "Urgent The whole centre: as Hearthwatch comes on duty: care worker, called first; 2 minutes" in page
    assert "Then 1 time more from the start. In the end the last line and everybody, every 5 minutes." in page
    assert "Whoever takes it must be there within 15 minutes." in page


async def test_without_a_last_line_the_page_is_red_and_no_policy_is_kept(centre: Centre) -> None:
    office = await centre.office()
    await without_line(centre)
    assert "There is none yet. No policy can be saved until there is." in await office.read("/admin/policies")
    page = await office.send("/admin/policies/new", typed([FIRST]), do="save", status=400)
    assert "The centre has no last line yet" in page
    assert "not a telephone number" in await office.send("/admin/policies/line", phone="12", status=400)
    taken = await office.send("/admin/policies/line", phone=centre.home.chen.phone, status=400)
    assert "the last line needs one of its own" in taken
    page = await office.send("/admin/policies/line", phone="010 5555 0099")
    assert "+861055550099" in page
    assert "The policy is kept" in await write(office, typed([FIRST]))


async def test_a_policy_is_shown_on_the_real_rota_before_it_is_kept(centre: Centre) -> None:
    office = await centre.office()
    fields = typed([{**FIRST, "wait": "90", "unit": "s"}, SECOND], resident=centre.home.wang)
    page = await office.send("/admin/policies/new", fields, do="save", status=200)
    assert "This is what would happen. If it is right, save it." in page
    assert "Sun 29 Nov Step 1 03:10 SMS to Chen Jing Step 2 03:11:30 SMS to Zhou Min" in page
    assert "If everybody is silent, the last line and all others are called after 4 minutes." in page
    assert "all are called again every 5 minutes until somebody takes it: 03:13:30 SMS to Duty line of Huaishu" in page
    async with centre.app.state.database.service() as c:
        assert await value(c, "SELECT count(*) FROM policy") == 0
    page = await write(office, fields)
    assert "The policy is kept" in page
    assert "By night" in page
    async with centre.app.state.database.service() as c:
        kept = policy.parse(await value(c, "SELECT content FROM policy"))
        assert await value(c, "SELECT count(*) FROM audit WHERE action = 'policy_saved'") == 1
    assert [step.wait for step in kept.steps] == [timedelta(seconds=90), timedelta(minutes=2)]


async def test_whoever_is_away_at_that_moment_is_passed_over_and_the_page_says_so(centre: Centre) -> None:
    office, chen = await centre.office(), centre.home.chen.id
    await office.send(f"/admin/rota/team/{chen}/away", kind="leave", begins="2026-11-28T00:00", ends="2026-11-30T00:00")
    page = await office.send("/admin/policies/new", typed([FIRST, SECOND]), do="try", status=200)
    assert "Chen Jing is on leave and is passed over. Step 2 03:10 SMS to Zhou Min" in page
    page = await office.send("/admin/policies/new", typed([FIRST]), do="try", status=200)
    assert "No step names anybody who can be called. So everybody of the centre is: 03:10 SMS to Chen Jing" in page


async def test_whoever_has_no_way_at_all_is_passed_over_as_in_a_real_call(centre: Centre) -> None:
    office = await centre.office()
    async with centre.app.state.database.service() as c:
        await c.execute("INSERT INTO channel_state (channel, providers, since) VALUES ('push', '{}', now())")
    page = await office.send("/admin/policies/new", typed([FIRST, SECOND]), do="try", status=200)
    assert re.search(r"By no way of this service can be reached: Chen Jing, .*Zhou Min", page)


async def test_at_night_what_can_wait_is_said_to_wait(centre: Centre) -> None:
    office = await centre.office()
    page = await office.send("/admin/policies/new", typed([FIRST], priority="medium"), do="try", status=200)
    assert "At night most of this priority are called only at 07:00." in page
    page = await office.send("/admin/policies/new", typed([FIRST]), do="try", status=200)
    assert "At night most" not in page


async def test_steps_are_added_moved_and_removed_and_what_was_typed_stays(centre: Centre) -> None:
    office = await centre.office()
    fields = typed([FIRST, {**SECOND, "wait": "7"}])

    async def waits(button: str) -> list[str]:
        sent = {n: [str(o) for o in v] if isinstance(v, list) else str(v) for n, v in fields.items()}
        page = await office.client.post("/admin/policies/new", data=sent | {"csrf": "csrf", "do": button})
        assert 'value="By night"' in page.text
        return re.findall(r'name="wait-\d+" value="([^"]*)"', page.text)

    assert await waits("add") == ["2", "7", "2"]
    assert await waits("up-2") == ["7", "2"]
    assert await waits("down-1") == ["7", "2"]
    assert await waits("remove-1") == ["7"]
    assert await waits("up-1") == ["2", "7"]
    assert await waits("remove-9") == ["2", "7"]


REFUSED: list[tuple[list[dict[str, object]], dict[str, object], str]] = [
    ([], {}, "The policy has no step"),
    ([{"who": [""]}], {}, "Step 1 calls nobody."),
    ([{"who": ["family"]}], {}, "No step calls those on duty or everybody of the centre."),
    ([FIRST, {"who": ["duty volunteer 1"]}], {}, "Step 2 calls a duty for which there is no roster."),
    ([FIRST, {"who": [f"person {uuid4()}"]}], {}, "Step 2 calls somebody who has no telephone or has left."),
    ([{**FIRST, "wait": "11"}], {}, "Step 1 waits longer than 10 minutes."),
    ([{**FIRST, "wait": "soon"}], {}, "Step 1: Please write every length of time as a number"),
    ([FIRST, {**SECOND, "wait": "20", "unit": "s"}], {}, "Step 2: A step waits between 30 seconds and 24 hours."),
    ([{"who": ["the mayor"]}], {}, "Step 1: Please choose whom it calls from the list."),
    ([FIRST], {"repeats": "-1"}, "It can be begun anew 0 to 9 times."),
    ([FIRST], {"again": "0.5"}, "After the last step everybody is called again every 1 minute to 12 hours."),
    ([FIRST], {"attend": "99", "attend-unit": "h"}, "Whoever takes it has between 5 minutes and 2 days"),
    ([FIRST], {"name_en": " "}, "Please write the name in both scripts"),
]


async def test_what_could_end_with_nobody_or_cannot_be_read_is_refused_in_words(centre: Centre) -> None:
    office = await centre.office()
    for steps, more, sentence in REFUSED:
        fields = typed(steps, **more)
        mark = await seen(office, "/admin/policies/new", fields)
        assert sentence in await office.send("/admin/policies/new", fields | {"seen": mark}, do="save", status=400)
    async with centre.app.state.database.service() as c:
        assert await value(c, "SELECT count(*) FROM policy") == 0


async def test_a_policy_holds_for_one_resident_alone_and_is_what_she_is_called_by(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    await write(office, typed([SECOND, FIRST]))
    chosen = {"priority": "high", "policy": await number_of(centre)}
    page = await office.send("/admin/policies/use", chosen, whom=f"resident {home.wang}")
    assert "Wang Xiuying: By night" in page
    assert "Holds for: Urgent · Wang Xiuying" in page
    asked = "/admin/rota/who?at=2026-11-29T03:10&resident="
    assert "Step 1 03:10 SMS to Zhou Min Step 2 03:12 SMS to Chen Jing" in await office.read(f"{asked}{home.wang}")
    assert "Step 1 03:10 SMS to Chen Jing" in await office.read(f"{asked}{home.zhao}")
    page = await office.send(f"/admin/policies/{chosen['policy']}/remove", status=400)
    assert "It still holds for somebody" in page
    page = await office.send("/admin/policies/use", priority="high", policy=0, whom=f"resident {home.wang}")
    assert "Holds for nobody yet." in page
    assert "By night" not in await office.send(f"/admin/policies/{chosen['policy']}/remove")


async def test_a_policy_too_slow_for_an_emergency_is_not_let_hold_for_one(centre: Centre) -> None:
    office = await centre.office()
    slow = typed([{**FIRST, "wait": "30"}], priority="low")
    assert "The policy is kept" in await write(office, slow)
    number = await number_of(centre)
    page = await office.send("/admin/policies/use", priority="high", policy=number, whom="centre", status=400)
    assert "Step 1 waits longer than 10 minutes. For an urgent alert that is too long." in page
    assert "From now on" not in page
    await office.send("/admin/policies/use", priority="low", policy=number, whom="centre")

    quick = typed([FIRST], priority="low")
    await write(office, quick, f"/admin/policies/{number}")
    await office.send("/admin/policies/use", priority="high", policy=number, whom="centre")
    mark = await seen(office, f"/admin/policies/{number}", slow)
    page = await office.send(f"/admin/policies/{number}", slow | {"seen": mark}, do="save", status=400)
    assert "too long" in page  # it is tried for a task, but holds for emergencies


async def test_a_relative_is_called_once_the_resident_agrees_and_not_in_her_quiet_hours(centre: Centre) -> None:
    office, home = await centre.office(), centre.home
    place = f"/admin/residents/{home.wang}/family"
    assert "Zhang Xiaoyan is not called" in await office.read(place)
    fields = typed([{"who": ["family"]}, FIRST], resident=home.wang)
    story_at = "Zhang Xiaoyan is not called: these are her or his quiet hours."
    assert "Zhang" not in await office.send("/admin/policies/new", fields, do="try", status=200)
    agrees = {"person": home.daughter.id, "quiet_from": "22:00", "quiet_until": "07:00"}
    assert "is called: not from 22:00–07:00" in await office.send(place, agrees)
    assert story_at in await office.send("/admin/policies/new", fields, do="try", status=200)
    assert "is called: at any hour" in await office.send(place, agrees | {"quiet_until": "22:00"})
    page = await office.send("/admin/policies/new", fields, do="try", status=200)
    assert "Step 1 03:10 SMS to Zhang Xiaoyan Step 2 03:12" in page
    assert "Please say from when to when" in await office.send(place, agrees | {"quiet_from": ""}, status=400)
    await office.send(place, agrees | {"person": home.chen.id}, status=404)
    await (await elsewhere(centre)).send(place, agrees, status=404)
    assert "Zhang Xiaoyan is not called" in await office.send(f"{place}/end", person=home.daughter.id)


async def test_another_centre_s_policies_are_not_there(centre: Centre) -> None:
    office = await centre.office()
    await write(office, typed([FIRST]))
    outsider, number = await elsewhere(centre), await number_of(centre)
    await outsider.read(f"/admin/policies/{number}", 404)
    await outsider.send(f"/admin/policies/{number}", typed([FIRST]), do="save", status=404)
    await outsider.send("/admin/policies/use", priority="high", policy=number, whom="centre", status=404)
    await outsider.send(f"/admin/policies/{number}/remove")
    assert "By night" in await office.read("/admin/policies")
    chosen = {"priority": "high", "policy": 0, "whom": f"resident {centre.home.wang}"}
    await outsider.send("/admin/policies/use", chosen, status=404)
    await (await centre.window(centre.home.li_na.id)).read("/admin/policies", 403)


durations = st.integers(30, 86_400).map(lambda seconds: timedelta(seconds=seconds))
targets = st.one_of(
    st.builds(Target, st.just("duty"), st.sampled_from(ROLES), st.integers(1, 5)),
    st.builds(lambda person: Target("person", person=person), st.uuids()),
    st.sampled_from([Target("family"), Target("everybody")]),
)
steps = st.builds(Step, st.lists(targets, max_size=4, unique=True).map(tuple), durations, st.booleans())
policies = st.builds(
    Policy,
    st.lists(steps, max_size=10).map(tuple),
    st.integers(0, 9),
    st.integers(60, 43_200).map(lambda seconds: timedelta(seconds=seconds)),
    st.integers(300, 172_800).map(lambda seconds: timedelta(seconds=seconds)),
)


@given(policies)
def test_a_form_gives_back_the_policy_that_it_shows(written: Policy) -> None:
    assert PolicyForm.of(written, "名", "name").policy() == written


@given(
    st.lists(
        st.tuples(st.sampled_from(["steps", "who-1", "wait-1", "wait-1-unit", "again", "repeats", "attend"]), st.text())
    )
)
def test_a_form_survives_whatever_is_sent(fields: list[tuple[str, str]]) -> None:
    read = PolicyForm.read(FormData(fields)).after("add")
    with pytest.raises(PolicyError):
        read.policy()


def test_an_error_of_a_step_bears_its_number() -> None:
    good, bad = (form.StepForm(("everybody",), Time(number, "min")) for number in ("2", "0"))
    with pytest.raises(StepError) as raised:
        PolicyForm("", "", (good, bad), "0", Time("5", "min"), Time("5", "min")).policy()
    assert raised.value.step == 2
    assert raised.value.code == "wait"


def test_a_story_tells_calls_by_each_way_and_is_loud_where_nobody_can_be_called() -> None:
    li, zhang = uuid4(), uuid4()
    start, minute = datetime(2026, 11, 28, 15, 59, tzinfo=UTC), timedelta(minutes=1)
    ways: dict[UUID, tuple[Way, ...]] = {
        li: (Way("sms", "+86", timedelta()), Way("voice", "+86", timedelta(seconds=45)), Way("push", "x", 5 * minute)),
        zhang: (Way("sms", "+86", timedelta()),),
    }
    plans = [
        (start, Plan((li,), 1, 0, start + 2 * minute, skipped=(Skipped(zhang, "quiet"),))),
        (start + 2 * minute, Plan((li, zhang), 1, 1, start + 4 * minute, unmanned=True)),
        (start + 4 * minute, Plan((zhang,), 1, 2, start + 9 * minute, exhausted=True)),
    ]
    told = story(policy.SHIPPED["high"], plans, {li: "Li", zhang: "Zhang"}, ways, Words.of("en", now=start))
    [first] = told.first
    assert [f"{line.clock} {line.text}" for line in first.lines] == ["23:59 SMS to Li", "23:59:45 call to Li"]
    assert first.skipped == ("Zhang is not called: these are her or his quiet hours.",)
    assert first.day == "Sat 28 Nov"
    [again] = told.again
    assert again.loud
    assert again.day == "Sun 29 Nov"
    assert again.lines[0].text == "SMS to Li, Zhang"
    assert told.end is not None
    assert told.end.loud
    assert told.summary == (
        "Somebody else is called after 2 minutes. If everybody is silent, the last line and all others are called after 4 minutes."
    )
