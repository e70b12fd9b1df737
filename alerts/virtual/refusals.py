"""What Twilio refuses, and why something did not arrive (https://www.twilio.com/docs/api/errors)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

REFUSALS: Final[Mapping[int, tuple[int, str]]] = MappingProxyType(
    {
        20003: (401, "Authenticate"),
        20404: (404, "The requested resource was not found"),
        20422: (400, "Invalid parameter"),
        20429: (429, "Too Many Requests"),
        20500: (500, "Internal Server Error"),
        21201: (400, "No 'To' number is specified"),
        21205: (400, "Url parameter is required."),
        21211: (400, "The 'To' number is not a valid phone number"),
        21212: (400, "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID"),
        21213: (400, "Caller phone number is required"),
        21214: (400, "'To' phone number cannot be reached"),
        21215: (400, "Account not authorized to call the number"),
        21266: (400, "'To' and 'From' number cannot be the same"),
        21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
        21602: (400, "Message body is required"),
        21603: (400, "A 'From' phone number is required"),
        21604: (400, "A 'To' phone number is required"),
        21606: (400, "The 'From' phone number is not a valid, message-capable number of this account"),
        21609: (400, "The 'StatusCallback' URL is not a valid URL"),
        21610: (400, "Attempt to send to unsubscribed recipient"),
        21612: (400, "Message cannot be sent with the current combination of 'To' and/or 'From' parameters"),
        21614: (400, "'To' number is not a valid mobile number"),
        21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    }
)
UNDELIVERED: Final[Mapping[int, str]] = MappingProxyType(
    {
        30003: "Unreachable destination handset",
        30004: "Message blocked",
        30005: "Unknown destination handset",
        30006: "Landline or unreachable carrier",
        30007: "Message filtered",
        30008: "Unknown error",
        30036: "Validity Period Expired",
    }
)
EXPIRED: Final = 30036


class Refused(Exception):
    """Twilio's answer to a request it does not carry out: an error code, its HTTP status, its words."""

    def __init__(self, code: int, message: str | None = None) -> None:
        self.code = code
        self.status, words = REFUSALS[code]
        self.message = message or words
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}
