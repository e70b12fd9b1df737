"""Every part is killed in mid-story, one after the other: nothing is lost and nothing happens twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.demo.neighbourhood import SELF_TEST
from tests.story.demo import running

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]


def test_gateway_service_and_database_are_killed_in_mid_story(scratch: Path) -> None:
    with running(scratch / "power-cuts") as demo:
        first = demo.until("measured", systolic=192)
        demo.kill("gateway")
        demo.until("asked", resident=first["resident"], rule="bp.severe")
        demo.kill("service")
        demo.until("measured", systolic=188)
        demo.kill("postgres")
        demo.until("fell")
        demo.kill("service")
        demo.until("pressed")
        demo.kill("gateway")
        demo.until("story_told", within_s=200)
        resident = first["resident"]
        stored = demo.query(
            f"SELECT metric, value FROM reading WHERE resident_id = {resident} AND metric IN (1, 2) "
            "AND measured_at > now() - interval '4 minutes' ORDER BY metric, value"
        )
        assert stored == [(1, 188.0), (1, 192.0), (2, 116.0), (2, 118.0)]
        alerts = demo.query(  # the doctor's tasks about the past ninety days aside
            "SELECT rule, count(*) FROM alert WHERE (priority <> 'low' OR rule = 'device.battery') "
            "AND resident_id <> probe_resident_id() GROUP BY rule ORDER BY rule"
        )
        assert alerts == [("bp.severe", 1), ("device.battery", 1), ("fall", 1), ("help_call", 1)]
        calls = demo.query(
            "SELECT a.rule, count(*) FROM message m JOIN alert a ON a.id = m.alert_id WHERE m.purpose = 'alert' AND m.step = 1 "
            "AND m.state IN ('sent', 'delivered') AND a.resident_id <> probe_resident_id() GROUP BY a.rule ORDER BY a.rule"
        )
        assert calls == [("bp.severe", 1), ("fall", 1), ("help_call", 1)]
        on_phones = [sent for sent in demo.phone_messages() if sent[0] != SELF_TEST.phone]
        assert len(on_phones) == len(set(on_phones))
