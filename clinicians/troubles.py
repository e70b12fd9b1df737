"""What a gateway says of a device, in the reader's language. Pure.

A gateway sends one English sentence, for its own log as much as for us, and some end in a technical cause
("could not be collected: br-connection-canceled"). A sentence is known by how it begins; one that nobody has
foreseen still tells people that somebody must look. ``tests/clinicians/test_troubles.py`` holds this table against
every sentence in ``devices/``.
"""

from __future__ import annotations

from typing import Final

from clinicians.words import N_, Words

_LOST_PAIRING: Final = N_("has lost its pairing: pair it again")
_NOT_READ: Final = N_("could not be read just now; the gateway tries again")
_DISK_FULL: Final = N_("the gateway's disk is full: readings stay on the device until there is room")
_SETTINGS: Final = N_("its settings are not right: register it again")

_BEGINNINGS: Final = (
    ("its pairing is lost", _LOST_PAIRING),
    ("could not be collected", _NOT_READ),
    ("the gateway's disk is full", _DISK_FULL),
    ("a call for help could not be kept", N_("a call for help was heard but could not be kept: ring at once")),
    ("inactivity could not be kept", N_("nobody has moved all morning, but it could not be kept: ring at once")),
    ("fall could not be kept", N_("a fall was noticed but could not be kept: ring at once")),
    ("fall_confirmed could not be kept", N_("a fall was noticed but could not be kept: ring at once")),
    ("long_lie could not be kept", N_("a fall was noticed but could not be kept: ring at once")),
    ("fall_recovered could not be kept", _DISK_FULL),
    ("said_well could not be kept", _DISK_FULL),
    ("its clock cannot be set", N_("its clock is wrong and cannot be set")),
    ("it has no key", N_("has no key: enter the key from its maker's app")),
    ("its key does not fit", N_("its key does not fit: enter the key from its maker's app again")),
    ("it does not encrypt what it says", N_("does not encrypt: switch encryption on in its maker's app")),
    ("it counts from the start again", N_("is not heard since its battery was changed: remove it and add it again")),
    ("it says more than this gateway can read", N_("says something new to the gateway: update the gateway")),
    ("it changes too often to be believed", N_("changes too often to be believed: look how it is mounted")),
    ("this device does not offer what its kind measures", N_("offers no such measurements: is it the right device?")),
    ("this type speaks no standard service", N_("speaks only its maker's own language: use another type")),
    ("this type pairs only with digits", N_("pairs only with digits typed in by hand: use another type")),
    ("its records did not all come", N_("did not hand over all its records; the gateway asks again")),
    ("its sensor does not work", N_("its sensor does not work: it needs a new one")),
    ("its session has ended", N_("its sensor has ended: it needs a new one")),
    ("this device offers no acceleration", N_("offers no movement data: is it the right device?")),
    ("its movement sensor could not be started", N_("its movement sensor does not start: falls are not noticed")),
    ("its movement data have stopped", N_("sends no movement data: falls are not noticed")),
    ("its movement data come too slowly", N_("sends movement data too seldom: falls are not noticed")),
    ("parts of its movement data are missing", N_("is heard with gaps: a fall may not be noticed")),
    ("is not worn", N_("is not worn: falls are not noticed")),
    ("worn could not be kept", _DISK_FULL),
    ("charging could not be kept", _DISK_FULL),
    ("device_dropped could not be kept", _DISK_FULL),
    ("its movement sensor is coarse", N_("its movement sensor is coarse: some falls are not noticed")),
    ("this gateway does not know devices of the kind", N_("the gateway does not know this kind of device: update it")),
    ("the configuration of this device cannot be read", _SETTINGS),
    ("is heard too weakly to be collected", N_("is heard too weakly: bring it nearer to the gateway")),
    ("the gateway could not speak", N_("the gateway could not speak to the resident: check its loudspeaker")),
    (
        "the gateway's own model of falls",
        N_("the gateway's own model of falls cannot be read: it uses the shipped one"),
    ),
    ("the gateway's memory card fails", N_("the gateway's memory card fails: put in a new one")),
    ("the gateway's disk is nearly full", N_("the gateway's disk is nearly full")),
    ("the gateway is too hot", N_("the gateway is too hot: give it air")),
    ("the gateway's program takes much memory", N_("the gateway's program takes too much memory")),
    ("the gateway does not know the time", N_("the gateway does not know the time: readings wait until it does")),
    ("the gateway's clock is", N_("the gateway's clock differs from ours")),
    ("calls for help are not taken", N_("calls for help wait in the gateway: ring at once; the service fails at them")),
    ("readings are not taken", N_("readings wait in the gateway: the service fails at them, its log says why")),
    ("the Bluetooth adapter", N_("the gateway's Bluetooth fails; it tries again")),
)


def in_words(trouble: str, words: Words) -> str:
    """The trouble as staff read it."""
    return known(trouble, words) or words.gettext("needs a look on the next visit")


def known(trouble: str, words: Words) -> str | None:
    """The trouble in the reader's language, if it is one that was foreseen."""
    text = next((text for beginning, text in _BEGINNINGS if trouble.startswith(beginning)), None)
    return words.gettext(text) if text else None
