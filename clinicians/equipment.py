"""How gateways and devices are, in words: signal, battery, clock, silence and trouble. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from typing import Final, Protocol

from clinicians import troubles
from clinicians.words import N_, Words
from store import equipment
from store.gateways import SILENT_AFTER, Device

LOW_BATTERY_PCT: Final = 15
WRONG_CLOCK_S: Final = 120
QUIET: Final = timedelta(days=2)
FULL_DISK_MB: Final = 200
HOT_C: Final = 80.0
"""A Raspberry Pi slows itself down from here on."""
RIGHT_CLOCK_S: Final = 2.0
LEARNED_H: Final = 24.0
"""Time worn from which on something can be said of a wearer's days."""
_AS_USUAL: Final = 0.15
"""An operating point nearer than this to the usual one, in log odds, is as usual."""
_LONGEST_S: Final = 100 * 365 * 86_400
_LARGEST: Final = 1e9
"""A gateway or device that is broken, or lies, may claim any figure: no page must fall for it."""

_KINDS: Final = {
    "blood_pressure": N_("Blood pressure monitor"),
    "oximeter": N_("Oximeter"),
    "heart_rate": N_("Heart rate belt"),
    "wearable": N_("Wearable"),
    "polar": N_("Polar heart rate sensor"),
    "infinitime": N_("PineTime watch"),
    "microbit": N_("micro:bit movement sensor"),
    "movesense": N_("Movesense movement sensor"),
    "thingy": N_("Thingy movement sensor"),
    "help_button": N_("Help button"),
    "thermometer": N_("Thermometer"),
    "scale": N_("Scale"),
    "glucose_meter": N_("Glucose meter"),
    "glucose_sensor": N_("Glucose sensor"),
    "door_sensor": N_("Door sensor"),
    "motion_sensor": N_("Motion sensor"),
    "bed_sensor": N_("Bed sensor"),
}
_SIGNALS: Final = (
    (-60, N_("strong")),
    (-75, N_("good")),
    (-85, N_("weak")),
    (-200, N_("very weak: move it closer to the gateway")),
)


def kind_name(kind: str, title_zh: str | None, title_en: str | None, words: Words) -> str:
    """What a kind of device is called: by us, else by the gateway that knows it."""
    if kind in _KINDS:
        return words.gettext(_KINDS[kind])
    return (title_zh if words.language == "zh_Hans" else title_en) or kind


@dataclass(frozen=True, slots=True)
class Health:
    """How one device does, in words; ``is_well`` is false when somebody should look after it.

    ``falls`` is how careful it is with its wearer, empty for what watches for no falls.
    """

    name: str
    model: str
    battery: str
    seen: str
    troubles: tuple[str, ...]
    falls: str = ""

    @property
    def is_well(self) -> bool:
        return not self.troubles


class Instrument(Protocol):
    """What is asked of a device, whoever reads it: staff the resident's, an administrator those of her centre."""

    @property
    def kind(self) -> str: ...
    @property
    def kind_zh(self) -> str | None: ...
    @property
    def kind_en(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def battery_pct(self) -> int | None: ...
    @property
    def clock_error_s(self) -> float | None: ...
    @property
    def last_seen_at(self) -> datetime | None: ...
    @property
    def trouble(self) -> str | None: ...


def health(device: Device, words: Words) -> Health:
    """What is known of a device, and what is wrong with it."""
    battery = "" if device.battery_pct is None else f"{device.battery_pct}%"
    return Health(
        device_name(device, words),
        device.model or "",
        battery,
        seen(device.last_seen_at, words),
        wrongs(device, words),
        careful(device.falls, words) if device.falls else "",
    )


def careful(point: Mapping[str, float], words: Words) -> str:
    """How careful a wearable is with its wearer, and why."""
    near = round(min(point["near_per_day"], _LARGEST))
    if point["worn_h"] < LEARNED_H:
        return words.gettext("Falls: told as usual; ordinary days are still being learned")
    moved = _log_odds(point["threshold"]) - _log_odds(point["usual"])
    if moved > _AS_USUAL:
        return words.ngettext(
            "Falls: told only when surer than usual, because %(n)s movement a day looks nearly like a fall",
            "Falls: told only when surer than usual, because %(n)s movements a day look nearly like a fall",
            near,
        )
    if moved < -_AS_USUAL:
        return words.gettext("Falls: told sooner than usual, because hardly any movement looks like a fall")
    return words.ngettext(
        "Falls: told as usual; %(n)s movement a day looks nearly like a fall",
        "Falls: told as usual; %(n)s movements a day look nearly like a fall",
        near,
    )


def _log_odds(probability: float) -> float:
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return log(kept / (1 - kept))


def device_name(device: Instrument, words: Words) -> str:
    """The administrator's own word for it, else its kind."""
    return device.name or kind_name(device.kind, device.kind_zh, device.kind_en, words)


def seen(at: datetime | None, words: Words) -> str:
    """When something was last heard of."""
    return words.age(at) if at else words.gettext("never heard of")


def wrongs(device: Instrument, words: Words) -> tuple[str, ...]:
    """What is wrong with a device; nothing when it is well."""
    found = []
    if device.trouble:
        found.append(troubles.in_words(device.trouble, words))
    if device.battery_pct is not None and device.battery_pct <= LOW_BATTERY_PCT:
        found.append(words.gettext("battery low: charge it or put in a new one"))
    if device.clock_error_s is not None and abs(device.clock_error_s) > WRONG_CLOCK_S:
        found.append(words.gettext("its clock is %(error)s", error=clock(device.clock_error_s, words)))
    if device.last_seen_at is not None and words.now - device.last_seen_at > QUIET:
        found.append(words.gettext("silent for a while: see whether it is switched on and near its gateway"))
    return tuple(found)


def clock(error_s: float, words: Words) -> str:
    """How wrong a clock is, such as "3 minutes slow"; ``error_s`` is how far it is ahead."""
    if abs(error_s) < RIGHT_CLOCK_S:
        return words.gettext("right")
    span = _span(abs(error_s), words)
    return words.gettext("%(span)s fast", span=span) if error_s > 0 else words.gettext("%(span)s slow", span=span)


def _span(seconds: float, words: Words) -> str:
    return words.span(timedelta(seconds=round(min(seconds, _LONGEST_S))))


def signal(rssi_dbm: int | None, words: Words) -> str:
    """How well a device is heard, in words and dBm."""
    if rssi_dbm is None:
        return ""
    how = next((text for least, text in _SIGNALS if rssi_dbm >= least), _SIGNALS[-1][1])
    # A minus sign, not a hyphen: it is read aloud as one.
    level = f"\N{MINUS SIGN}{-rssi_dbm}" if rssi_dbm < 0 else str(rssi_dbm)
    return words.gettext("%(how)s (%(level)s dBm)", how=words.gettext(how), level=level)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, by name; ``is_wrong`` when somebody should look after it."""

    label: str
    text: str
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """How a gateway does. ``mark``: ``well``, ``trouble``, ``silent``, ``waiting`` (for its code) or ``revoked``.

    ``troubles`` are sentences in the reader's language; ``untold`` are those that nobody has put into words yet.
    """

    id: int
    name: str
    mark: str
    state: str
    facts: tuple[Fact, ...]
    troubles: tuple[str, ...]
    untold: tuple[str, ...]
    is_looking: bool

    @property
    def wrongs(self) -> tuple[Fact, ...]:
        """The facts that somebody should look after."""
        return tuple(fact for fact in self.facts if fact.is_wrong)


def gateway(known: equipment.Gateway, words: Words) -> Gateway:
    """What is known of a gateway, and what is wrong with it."""
    facts = tuple(_facts(known, words)) if known.last_seen_at else ()
    mark, state = _state(known, words, is_troubled=bool(known.troubles) or any(fact.is_wrong for fact in facts))
    told = {sentence: troubles.known(sentence, words) for sentence in known.troubles}
    return Gateway(
        id=known.id,
        name=known.name,
        mark=mark,
        state=state,
        facts=facts,
        troubles=tuple(text for text in told.values() if text),
        untold=tuple(sentence for sentence, text in told.items() if not text),
        is_looking=known.look_until is not None and words.now < known.look_until,
    )


def _state(known: equipment.Gateway, words: Words, *, is_troubled: bool) -> tuple[str, str]:
    if known.revoked_at is not None:
        return "revoked", words.gettext("Revoked: it is not let in any more")
    if known.paired_at is None:
        return "waiting", words.gettext("Never paired: it waits for its code")
    if known.last_seen_at is None:
        return "silent", words.gettext("Paired, but not heard of yet")
    if words.now - known.last_seen_at > SILENT_AFTER:
        return "silent", words.gettext(
            "Silent, last heard of %(when)s: see whether it has power and its network",
            when=words.when(known.last_seen_at),
        )
    return ("trouble", words.gettext("Needs a look")) if is_troubled else ("well", words.gettext("Well"))


def _facts(known: equipment.Gateway, words: Words) -> list[Fact]:
    machine = known.machine
    found = [
        Fact(words.gettext("Last heard of"), seen(known.last_seen_at, words)),
        Fact(words.gettext("Waiting to be handed over"), _readings(known.outbox_waiting or 0, words)),
    ]
    if known.quarantined:
        found.append(Fact(words.gettext("Could not be read"), _packets(known.quarantined, words)))
    if known.clock_error_s is not None:
        wrong = abs(known.clock_error_s) > WRONG_CLOCK_S
        found.append(Fact(words.gettext("Clock"), clock(known.clock_error_s, words), wrong))
    if machine.clock_synchronised is False:
        # No trouble by itself: a clock that has gone wrong meanwhile is one, above.
        found.append(Fact(words.gettext("Time server"), words.gettext("not reached")))
    found += _machine(machine, words)
    found.append(Fact(words.gettext("Version"), known.version or words.gettext("unknown")))
    return found


def _machine(machine: equipment.Machine, words: Words) -> list[Fact]:
    found = []
    if machine.disk_free_mb is not None:
        full = machine.disk_free_mb < FULL_DISK_MB
        found.append(Fact(words.gettext("Free disk"), size(machine.disk_free_mb, words), full))
    if machine.temperature_c is not None:
        hot = machine.temperature_c >= HOT_C
        found.append(
            Fact(words.gettext("Machine temperature"), f"{words.number(_shown(machine.temperature_c))} °C", hot)
        )
    if machine.memory_mb is not None:
        found.append(Fact(words.gettext("Memory in use"), size(machine.memory_mb, words)))
    if machine.uplink is not None:
        fallback = machine.uplink == "fallback"
        text = words.gettext("the fallback line") if fallback else words.gettext("the main line")
        found.append(Fact(words.gettext("Connection"), text, fallback))
    if machine.scanning is not None:
        off = machine.scanning == "off"
        text = words.gettext("off") if off else words.gettext("on")
        found.append(Fact(words.gettext("Listening for devices"), text, off))
    if machine.recordings_waiting:
        found.append(Fact(words.gettext("Recordings of falls waiting"), words.number(machine.recordings_waiting)))
    if machine.recordings_dropped:
        found.append(Fact(words.gettext("Recordings of falls lost"), words.number(machine.recordings_dropped)))
    if machine.uptime_s is not None:
        found.append(Fact(words.gettext("Running for"), _span(abs(machine.uptime_s), words)))
    return found


def _shown(value: float) -> float:
    return max(-_LARGEST, min(value, _LARGEST))


def _readings(count: int, words: Words) -> str:
    return words.ngettext("%(n)s reading", "%(n)s readings", count) if count else words.gettext("nothing")


def _packets(count: int, words: Words) -> str:
    return words.ngettext("%(n)s packet", "%(n)s packets", count)


def size(megabytes: float, words: Words) -> str:
    """A size on disk or in memory."""
    megabytes = _shown(megabytes)
    return f"{words.number(megabytes / 1000, 1)} GB" if megabytes >= 1000 else f"{words.number(megabytes)} MB"


def device_facts(device: equipment.Device, words: Words) -> list[Fact]:
    """Everything its gateway says of a device; what it did not say is left out."""
    low = device.battery_pct is not None and device.battery_pct <= LOW_BATTERY_PCT
    off = device.clock_error_s is not None and abs(device.clock_error_s) > WRONG_CLOCK_S
    texts = (
        (words.gettext("Signal"), signal(device.rssi_dbm, words), False),
        (words.gettext("Battery"), "" if device.battery_pct is None else f"{device.battery_pct}%", low),
        (words.gettext("Last reading"), words.age(device.last_reading_at) if device.last_reading_at else "", False),
        (words.gettext("Last heard of"), seen(device.last_seen_at, words), False),
        (words.gettext("Clock"), "" if device.clock_error_s is None else clock(device.clock_error_s, words), off),
        (words.gettext("Make"), _joined(device.manufacturer, device.model), False),
        (words.gettext("Serial number"), device.serial or "", False),
        (words.gettext("Firmware"), device.firmware or "", False),
        (words.gettext("Address"), device.address, False),
    )
    return [Fact(label, text, is_wrong) for label, text, is_wrong in texts if text]


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def guess(found: equipment.Found, types: Sequence[equipment.DeviceType]) -> equipment.DeviceType | None:
    """The type whose name pattern fits, the most particular first."""
    fitting = [t for t in types if t.matches(found.name)]
    return max(fitting, key=lambda t: len(t.name_pattern.replace("*", "")), default=None)
