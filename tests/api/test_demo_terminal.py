"""What the demo's terminal says, and of whom it keeps silent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api.demo.neighbourhood import HOMES
from api.demo.observer import Event
from api.demo.terminal import Terminal

AT = datetime(2026, 11, 29, 3, 10, tzinfo=UTC)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    made = Terminal()
    made.homes = {1: HOMES[0]}
    return made


def raised(resident: int) -> Event:
    return Event(1.0, AT, "raised", {"resident": resident, "rule": "help_call", "priority": "high", "step": 1})


def test_an_alert_is_told_by_the_name_of_whose_home_it_is(terminal: Terminal, capsys: Any) -> None:
    terminal.event(raised(1))
    assert f"alert help_call (high) for {HOMES[0].human.name_en}" in capsys.readouterr().out


def test_of_somebody_of_no_home_of_the_street_it_keeps_silent(terminal: Terminal, capsys: Any) -> None:
    terminal.event(raised(25))
    assert capsys.readouterr().out == ""
