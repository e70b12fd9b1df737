"""China's public holidays, as the demo's centre keeps them.

The thirteen days of 全国年节及纪念日放假办法 in its revision of 2024. Those by the lunar calendar, and Qingming, stand here
for the years for which they have been looked up; of other years only those of fixed date are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

_FIXED: Final = (
    (1, 1, "元旦", "New Year's Day"),
    (5, 1, "劳动节", "Labour Day"),
    (5, 2, "劳动节", "Labour Day"),
    (10, 1, "国庆节", "National Day"),
    (10, 2, "国庆节", "National Day"),
    (10, 3, "国庆节", "National Day"),
)
_SPRING_FESTIVAL: Final = (
    (-1, "除夕", "Chinese New Year's Eve"),
    (0, "春节", "Spring Festival"),
    (1, "春节", "Spring Festival"),
    (2, "春节", "Spring Festival"),
)
# Qingming, the first day of the lunar year, Dragon Boat Festival, Mid-Autumn Festival: month and day.
_BY_YEAR: Final[Mapping[int, tuple[tuple[int, int], ...]]] = MappingProxyType(
    {
        2026: ((4, 5), (2, 17), (6, 19), (9, 25)),
        2027: ((4, 5), (2, 6), (6, 9), (9, 15)),
        2028: ((4, 4), (1, 26), (5, 28), (10, 3)),
    }
)


def holidays(year: int) -> dict[date, tuple[str, str]]:
    """The holidays of a year, each with its names in Chinese and English."""
    found = {date(year, month, day): (zh, en) for month, day, zh, en in _FIXED}
    if year in _BY_YEAR:
        qingming, new_year, dragon_boat, mid_autumn = (date(year, month, day) for month, day in _BY_YEAR[year])
        found |= {new_year + timedelta(days=later): (zh, en) for later, zh, en in _SPRING_FESTIVAL}
        found[qingming] = ("清明节", "Qingming Festival")
        found[dragon_boat] = ("端午节", "Dragon Boat Festival")
        found[mid_autumn] = ("中秋节", "Mid-Autumn Festival")
    return dict(sorted(found.items()))
