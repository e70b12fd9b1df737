"""A message as a channel gets it to send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from store.messages import MessageRow

NOW = datetime(2026, 11, 29, 3, 10, tzinfo=UTC)
LI = UUID("00000000-0000-0000-0000-0000000000a1")


def to_send(**different: Any) -> MessageRow:
    """A high alert to Li, tried for the first time just now, good for a quarter of an hour."""
    usual: dict[str, Any] = {
        "id": 41,
        "alert_id": 7,
        "resident_id": 1,
        "step": 1,
        "purpose": "alert",
        "priority": "high",
        "person_id": LI,
        "channel": "sms",
        "address": "+8613900000002",
        "language": "zh_Hans",
        "subject": "",
        "body": "【炉望】王秀英：疑似跌倒。回复1接手（编号27）",
        "code": 27,
        "state": "sending",
        "due_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
        "attempts": 1,
        "provider": None,
        "provider_sid": None,
        "error": None,
        "sending_at": NOW,
        "sent_at": None,
        "delivered_at": None,
        "created_at": NOW,
    }
    return MessageRow(**usual | different)
