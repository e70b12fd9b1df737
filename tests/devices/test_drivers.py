"""Every kind of device has its driver and its virtual twin."""

from __future__ import annotations

from devices.drivers import kinds


def test_every_kind_the_service_configures_has_a_driver() -> None:
    assert set(kinds()) >= {"blood_pressure", "wearable", "help_button"}
