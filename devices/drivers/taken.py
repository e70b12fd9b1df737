"""What has been taken from an instrument before: some send their whole memory at every visit.

A record is known by its bytes, its time stamp and user among them, and not by being older than another: after a
change of battery the clock and the numbers of an instrument may begin anew, and what it measures then has not been
seen. The knowledge is kept together with the readings, so that it survives the gateway.
"""

from __future__ import annotations

import hashlib
from typing import Final

from devices.desk import Desk

MOST: Final = 1000
"""Records remembered for each instrument: the largest memory of a meter for the home holds about as many."""
_DIGITS: Final = 12  # that two of a thousand records have one mark: less than once in a hundred million instruments


class Taken:
    """The records of one instrument that are on the disk or were delivered from there."""

    def __init__(self, desk: Desk, address: str) -> None:
        self._desk = desk
        self._key = f"taken from {address}"
        kept = desk.recall(self._key) or ""
        # The order of a dict is that in which they were met last.
        self._marks = dict.fromkeys(kept[at : at + _DIGITS] for at in range(0, len(kept), _DIGITS))

    def __contains__(self, record: bytes) -> bool:
        """Whether it has been taken; if so it is one of those to be remembered longest."""
        marked = mark(record)
        if marked not in self._marks:
            return False
        del self._marks[marked]
        self._marks[marked] = None
        return True

    def facts(self, record: bytes) -> dict[str, str]:
        """What to keep in one transaction with the readings of this record. When they are kept call :meth:`add`."""
        marks = [*self._marks, mark(record)]
        return {self._key: "".join(marks[-MOST:])}

    def add(self, record: bytes) -> None:
        """Its readings are on the disk."""
        self._marks[mark(record)] = None
        while len(self._marks) > MOST:
            del self._marks[next(iter(self._marks))]

    def refused(self, record: bytes) -> None:
        """It could not be read, and that is on the disk: it need not be told again at every visit."""
        facts = self.facts(record)
        self._desk.remember(self._key, facts[self._key])
        self.add(record)


def mark(record: bytes) -> str:
    """By which a record is known again."""
    return hashlib.sha256(record).hexdigest()[:_DIGITS]
