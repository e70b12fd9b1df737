"""Scales with the standard services: weight (0x181D), and body composition (0x181B) where they have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from bleak.backends.scanner import AdvertisementData

from devices.desk import Desk
from devices.drivers.driver import Configured, Title
from devices.drivers.instrument import Instrument, Measured
from devices.gatt import body_composition, weight_scale
from devices.gatt.body_composition import BodyComposition
from devices.gatt.errors import DecodeError


def weighed(raw: bytes) -> Measured:
    """A weight. A scale that does not know its user's height sends a body mass index of 0, which is none."""
    m = weight_scale.decode(raw)
    bmi = m.body.bmi if m.body and m.body.bmi else None
    return Measured({"body_weight": m.weight_kg, "body_mass_index": bmi}, m.timestamp, m.user)


def composed(m: BodyComposition) -> Measured:
    """A body composition. Its weight is left to the Weight Measurement, which a scale sends beside it."""
    muscle = m.muscle_mass_kg
    if muscle is None and m.muscle_pct is not None and m.weight_kg is not None:
        muscle = m.muscle_pct / 100 * m.weight_kg
    return Measured({"body_fat": m.fat_pct, "muscle_mass": muscle}, m.timestamp, m.user)


class Scale(Instrument):
    """One scale of the home."""

    kind: ClassVar[str] = "scale"
    title: ClassVar[Title] = Title("Scale", "体重秤")
    service: ClassVar[str] = weight_scale.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {
        weight_scale.MEASUREMENT: weighed,
        body_composition.MEASUREMENT: lambda raw: composed(body_composition.decode(raw)),
    }

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._first: tuple[BodyComposition, bytes] | None = None
        self._second = b""

    @classmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether it advertises one of the two services."""
        return bool({weight_scale.SERVICE, body_composition.SERVICE} & set(advertisement.service_uuids))

    def calls(self, advertisement: AdvertisementData) -> bool:
        """As any of its kind, by either service."""
        return super().calls(advertisement) or self.recognises(advertisement)

    def take(self, uuid: str, raw: bytes) -> None:
        """Take one packet. A body composition may come in two: what each says is kept as it comes."""
        if uuid != body_composition.MEASUREMENT:
            super().take(uuid, raw)
            return
        try:
            self._take_half(raw)
        except DecodeError as error:
            self._first = None
            self.refuse(uuid, raw, error.reason)

    def _take_half(self, raw: bytes) -> None:
        m = body_composition.decode(raw)
        first, self._first = self._first, None
        if not m.multiple_packets:
            self.keep(composed(m), raw)
        elif first is None and raw == self._second:
            return  # the second half, sent twice
        elif first is None or first[1] == raw:  # the latter: the first half, sent twice
            self._first = m, raw
            self.keep(composed(m), raw)
        else:
            # The second half is told apart from that of another day by the first one's bytes.
            self.keep(composed(body_composition.join(first[0], m)), first[1] + raw)
            self._second = raw
