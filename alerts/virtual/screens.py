"""What is on the phones' screens, as JSON and for the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from alerts.virtual.calls import Call
from alerts.virtual.network import Network, Sms
from alerts.virtual.phones import HABITS


def phones(network: Network) -> list[dict[str, Any]]:
    """Each phone with what was written and called, oldest first; ``talk`` is both by time."""
    return [
        {
            "number": number,
            "name_zh": owner.name_zh if owner else "",
            "name_en": owner.name_en if owner else number,
            "role": owner.role if owner else "",
            "opted_out": number in network.opted_out,
            "habit": next((name for name, habit in HABITS.items() if habit == network.habit(number)), ""),
            "messages": [_sms(sms) for sms in written],
            "calls": [_call(call) for call in called],
            "talk": sorted([*map(_sms, written), *map(_call, called)], key=lambda shown: shown["received_at"]),
        }
        for number, owner, written, called in network.conversations()
    ]


def _sms(sms: Sms) -> dict[str, Any]:
    return {
        "sid": sms.sid,
        "direction": sms.direction,
        "body": sms.body,
        "status": sms.status,
        "error_code": sms.error_code,
        "received_at": _iso(sms.created_at),
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "sid": call.sid,
        "direction": "call",
        "status": call.status,
        "answered_by": call.answered_by,
        "heard": [{"words": said.words, "language": said.language} for said in call.heard],
        "pressed": call.pressed,
        "error": call.error,
        "received_at": _iso(call.created_at),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
