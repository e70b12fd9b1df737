"""Words, dates, numbers and ages in the reader's language and the centre's time zone.

The message catalogues are read from their ``.po`` files and compiled in memory, so a fresh clone needs no build
step. Message identifiers are the English text itself; English therefore has no catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

ZH: Final = "zh_Hans"
EN: Final = "en"
LANGUAGES: Final = (ZH, EN)
DEFAULT_ZONE: Final = "Asia/Shanghai"
_LOCALES: Final = {ZH: Locale.parse("zh_Hans"), EN: Locale.parse("en_GB")}
_DOMAIN: Final = "messages"


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "translate me later"
    """Mark a message for the catalogue where it is written down but not yet spoken."""
    return message


@lru_cache
def translations(language: str) -> NullTranslations:
    """The catalogue of a language; one without translations gives back what it is given."""
    if language == EN:
        return NullTranslations()
    folder = resources.files("clinicians") / "locales" / language / "LC_MESSAGES"
    with (folder / f"{_DOMAIN}.po").open("rb") as source:
        catalogue = read_po(source, locale=language, domain=_DOMAIN)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, domain=_DOMAIN)


@dataclass(frozen=True, slots=True)
class Words:
    """How one reader is spoken to, at one moment. ``now`` is timezone-aware."""

    language: str
    zone: ZoneInfo
    now: datetime

    @classmethod
    def of(cls, language: str, zone: str = DEFAULT_ZONE, now: datetime | None = None) -> Words:
        """Words for a language (an unknown one is answered in Chinese) and an IANA time zone."""
        return cls(language if language in LANGUAGES else ZH, ZoneInfo(zone), now or datetime.now(UTC))

    @property
    def html_language(self) -> str:
        """The language as HTML and speech synthesis name it."""
        return "zh-CN" if self.language == ZH else "en-GB"

    @property
    def locale(self) -> Locale:
        """Babel's locale."""
        return _LOCALES[self.language]

    def gettext(self, message: str, **values: object) -> str:
        """A message in the reader's language, with its ``%(name)s`` filled."""
        text = translations(self.language).ugettext(message)
        return text % values if values else text

    def ngettext(self, singular: str, plural: str, n: int, **values: object) -> str:
        """The form of a message for ``n``; ``%(n)s`` is filled too."""
        return translations(self.language).ungettext(singular, plural, n) % {"n": n, **values}

    def local(self, moment: datetime) -> datetime:
        """The moment on the centre's clock."""
        return moment.astimezone(self.zone)

    def sentences(self, parts: Iterable[str]) -> str:
        """Sentences one after the other, as the language sets them."""
        return ("" if self.language == ZH else " ").join(parts)

    @property
    def today(self) -> date:
        """The date at the centre."""
        return self.local(self.now).date()

    def age(self, then: datetime) -> str:
        """How long ago, rounded down: minutes up to two hours, hours up to two days, then days."""
        elapsed = max(self.now - then, timedelta())
        if elapsed < timedelta(minutes=1):
            return self.gettext("just now")
        for unit, limit in ((timedelta(minutes=1), 120), (timedelta(hours=1), 48)):
            if elapsed < unit * limit:
                return self._ago(unit * (elapsed // unit), limit)
        return self._ago(timedelta(days=elapsed.days), 0)

    def _ago(self, elapsed: timedelta, limit: int) -> str:
        unit = "minute" if limit == 120 else "hour" if limit == 48 else "day"
        count = elapsed // timedelta(**{f"{unit}s": 1})
        texts = {
            "minute": self.ngettext("%(n)s minute ago", "%(n)s minutes ago", count),
            "hour": self.ngettext("%(n)s hour ago", "%(n)s hours ago", count),
            "day": self.ngettext("%(n)s day ago", "%(n)s days ago", count),
        }
        return texts[unit]

    def span(self, length: timedelta) -> str:
        """A length of time in its largest unit, such as 'four days' in figures."""
        return format_timedelta(length, threshold=1, locale=self.locale)

    def clock(self, moment: datetime) -> str:
        """Hours and minutes on the centre's clock."""
        return self.local(moment).strftime("%H:%M")

    def when(self, moment: datetime) -> str:
        """Day and time as people say it: today, yesterday, or the date."""
        day, clock = self.local(moment).date(), self.clock(moment)
        if day == self.today:
            return self.gettext("today %(time)s", time=clock)
        if day == self.today - timedelta(days=1):
            return self.gettext("yesterday %(time)s", time=clock)
        return self.gettext("%(day)s %(time)s", day=self.day(day), time=clock)

    def day(self, day: date) -> str:
        """Day and month, and the year where it is another."""
        return _day(self.language, day, with_year=day.year != self.today.year)

    def weekday(self, day: date) -> str:
        """The weekday, short."""
        return _part(self.language, day, "EEE")

    def month(self, day: date) -> str:
        """The month's name, short."""
        return _part(self.language, day, "LLL")

    def number(self, value: float, digits: int = 0) -> str:
        """A number with at most so many digits after the point."""
        if not digits and abs(value) < 1000:
            return str(round(value))
        return format_decimal(round(value, digits), locale=self.locale)

    def decimals(self, value: float, digits: int = 1) -> str:
        """A number with exactly so many digits after the point, for a column of them."""
        return format_decimal(value, f"0.{'0' * digits}", locale=self.locale)


@lru_cache(maxsize=4096)
def _day(language: str, day: date, *, with_year: bool) -> str:
    skeleton = "yMMMd" if with_year else "MMMd"
    return format_skeleton(skeleton, datetime(day.year, day.month, day.day), locale=_LOCALES[language])  # noqa: DTZ001


@lru_cache(maxsize=4096)
def _part(language: str, day: date, pattern: str) -> str:
    return format_date(day, pattern, locale=_LOCALES[language])
