"""What is wrong with a packet."""

from __future__ import annotations


class DecodeError(ValueError):
    """A packet that is not what its characteristic promises.

    ``reason`` is a short code for counting (``truncated``, ``oversized``, ``no_value``, ``reserved_value``,
    ``implausible``); the message says it in words.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
