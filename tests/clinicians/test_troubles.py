"""Every sentence a gateway says of a device is known by its beginning and has its words in both languages."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import devices
from alerts.silence import CANNOT_BE_HEARD
from clinicians import troubles
from clinicians.words import Words
from devices import machine
from devices.aloud import CANNOT_SPEAK
from devices.gateway import NO_MODEL
from devices.machine import Machine
from devices.outbox import Outbox
from devices.timekeeper import Sources, Timekeeper
from devices.uplink import EMERGENCIES_STUCK, READINGS_STUCK

EN, ZH = Words.of("en"), Words.of("zh_Hans")
UNKNOWN = "smells odd"


def spoken() -> list[str]:
    """How each trouble in ``devices/`` begins; a place for a value in it is filled with ``fall``, a metric's name."""
    found = []
    for module in sorted(Path(devices.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "trouble":
                found.append(text(node.args[1]))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "OutboxFull":
                found.append(text(node.args[0]))
    return found


def of_the_gateway(folder: Path) -> list[str]:
    """What a gateway says of itself when everything is wrong with it."""
    ill = Machine(disk_free_mb=3, temperature_c=90, memory_mb=400, uptime_s=9, card_errors=0, writable=True)
    said = [*machine.troubles(ill), *machine.troubles(replace(ill, writable=False))]
    with Outbox(folder / "outbox.db") as outbox, Outbox(folder / "undated.db") as undated:
        lost = Timekeeper(outbox, undated, sources=Sources(synchronised=lambda: None, boot=lambda: "a"))
        said.append(str(lost.trouble))
        sure = Timekeeper(outbox, undated, sources=Sources(synchronised=lambda: True, boot=lambda: "b"))
        sure.told(datetime(2020, 1, 1, tzinfo=UTC), 0.1)
        said.append(str(sure.trouble))
    said += [f"{beginning}: a cause" for beginning in (CANNOT_SPEAK, EMERGENCIES_STUCK, NO_MODEL, READINGS_STUCK)]
    return [*said, "the Bluetooth adapter hci0 fails: bluetoothd is not running on this machine"]


def text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "fall" for part in node.values)
    # A sentence made elsewhere: that of a full disk, which is found where it is raised.
    assert ast.unparse(node) in ("str(error)", "_FULL"), ast.unparse(node)
    return "the gateway's disk is full"


def test_the_gateway_s_sentences_are_found() -> None:
    assert len(spoken()) >= 12
    assert "its pairing is lost: pair it again, as its manual says" in spoken()


@pytest.mark.parametrize("sentence", sorted(set(spoken())))
@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh_Hans"])
def test_each_is_said_in_the_reader_s_language(sentence: str, words: Words) -> None:
    said = troubles.in_words(sentence, words)
    assert said != troubles.in_words(UNKNOWN, words)
    assert said.isascii() == (words is EN)


@pytest.mark.parametrize("beginning", CANNOT_BE_HEARD)
def test_what_keeps_a_device_from_being_heard_is_what_gateways_say(beginning: str) -> None:
    assert any(sentence.startswith(beginning) for sentence in spoken())


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh_Hans"])
def test_what_the_gateway_says_of_itself_is_said_so_too(tmp_path: Path, words: Words) -> None:
    sentences = of_the_gateway(tmp_path)
    assert len(set(sentences)) == 11
    for sentence in sentences:
        said = troubles.in_words(sentence, words)
        assert said != troubles.in_words(UNKNOWN, words), sentence
        assert said.isascii() == (words is EN)


def test_a_lost_call_for_help_is_no_mere_disk_trouble() -> None:
    sentence = "a call for help could not be kept: the gateway's disk is full: readings stay on the devices"
    assert troubles.in_words(sentence, ZH) == "收到过呼救但没能保存，请马上打电话"


def test_a_technical_cause_is_left_to_the_log() -> None:
    assert "br-connection" not in troubles.in_words("could not be collected: br-connection-canceled", EN)


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh_Hans"])
def test_what_nobody_has_foreseen_still_asks_for_a_look(words: Words) -> None:
    assert UNKNOWN not in troubles.in_words(UNKNOWN, words)
    assert troubles.in_words(UNKNOWN, words)
