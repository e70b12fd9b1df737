"""Who lives in the demo's street: one health centre, its staff, 24 residents, their families and devices.

Everybody is invented. Telephone numbers are valid E.164 of a range that no message of the demo ever leaves
the machine for: the telephone network is a stand-in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from alerts.rule import SYSTOLIC_HIGH, SYSTOLIC_LOW

CENTRE_ZH: Final = "梧桐里社区卫生服务中心"
CENTRE_EN: Final = "Wutongli Community Health Centre"
CENTRE_PHONE: Final = "+862155500100"
TIME_ZONE: Final = "Asia/Shanghai"
GATEWAY: Final = "wutongli-street"

KINDS: Final = ("blood_pressure", "wearable", "help_button")
_MODELS: Final = {"blood_pressure": "Cuff BP-2", "wearable": "Band W-1", "help_button": "Button H-1"}


@dataclass(frozen=True, slots=True)
class Human:
    """A person with a telephone; ``username`` is also the account's name."""

    username: str
    name_zh: str
    name_en: str
    phone: str
    face: str
    language: str = "zh_Hans"


@dataclass(frozen=True, slots=True)
class Relative:
    """A family member and what he or she calls the resident."""

    human: Human
    called_zh: str
    called_en: str


@dataclass(frozen=True, slots=True)
class Twin:
    """A virtual device of a home: its address never changes, so neither does its bond or its history."""

    address: str
    kind: str
    name: str
    model: str
    bindkey: str | None
    battery: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """How this resident's blood pressure goes: means in mmHg, pulse per minute.

    ``drift`` is mmHg of systolic over 90 days, ``spread`` the day-to-day standard deviation, ``diligence``
    the share of measurements really taken, ``silent_days`` how long the cuff has been lying in its drawer.
    """

    systolic: float
    diastolic: float
    pulse: float
    drift: float = 0.0
    spread: float = 7.0
    diligence: float = 0.9
    silent_days: int = 0
    irregular: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """One resident's household."""

    number: int
    human: Human
    born: date
    sex: str
    building: int
    address_zh: str
    address_en: str
    conditions: tuple[str, ...]
    target: Mapping[str, float]
    pattern: Pattern
    doctor: int
    relatives: tuple[Relative, ...]
    twins: tuple[Twin, ...]

    def twin(self, kind: str) -> Twin:
        """The home's device of this kind; :class:`KeyError` when it has none."""
        for twin in self.twins:
            if twin.kind == kind:
                return twin
        raise KeyError(f"home {self.number} has no {kind}")


def _mobile(number: int) -> str:
    return f"+8619900000{number:03d}"


DOCTORS: Final = (
    Human("doctor.chen", "陈思远", "Chen Siyuan", _mobile(1), "doctor"),
    Human("doctor.lin", "林若兰", "Lin Ruolan", _mobile(2), "doctor", "en"),
)
CARE_WORKERS: Final = (
    Human("liu.fang", "刘芳", "Liu Fang", _mobile(11), "care_worker"),
    Human("zhou.jie", "周洁", "Zhou Jie", _mobile(12), "care_worker"),
    Human("he.ping", "何平", "He Ping", _mobile(13), "care_worker"),
    Human("xu.lei", "徐蕾", "Xu Lei", _mobile(14), "care_worker"),
    Human("tang.yun", "唐云", "Tang Yun", _mobile(15), "care_worker"),
)
SUPERVISOR: Final = Human("gu.minhua", "顾敏华", "Gu Minhua", _mobile(10), "care_worker")
ADMINISTRATOR: Final = Human("ye.qing", "叶青", "Ye Qing", _mobile(3), "administrator")
STAFF: Final = (*DOCTORS, SUPERVISOR, *CARE_WORKERS)
VOLUNTEERS: Final = (
    Human("", "陆桂芳", "Lu Guifang", _mobile(21), "volunteer"),
    Human("", "周建新", "Zhou Jianxin", _mobile(22), "volunteer"),
    Human("", "徐卫国", "Xu Weiguo", _mobile(23), "volunteer"),
    Human("", "马秀兰", "Ma Xiulan", _mobile(24), "volunteer"),
)
"""Retired neighbours, the first two of the one courtyard, the others of the other. They have telephones and no accounts."""
BUILDING_LEADERS: Final = {
    5: Human("", "宋志强", "Song Zhiqiang", _mobile(31), "building_leader"),
    9: Human("", "葛兰英", "Ge Lanying", _mobile(32), "building_leader"),
}
"""By building."""
DUTY_LINE: Final = Human("", "中心值班电话", "The centre's duty line", "+862155500119", "duty_line")
"""Called when nobody else answers."""
SELF_TEST: Final = Human("", "呼叫自检", "Self-test of the calls", "+862155500118", "self_test", "en")
"""The telephone to which the service proves every few minutes that a call arrives: nobody of the record has it."""
COURTYARDS: Final = {
    ("银杏院", "Ginkgo Court"): (1, 3, 5, 7),
    ("桂花院", "Osmanthus Court"): (9, 11, 13, 15),
}
"""Their buildings, by their names."""

_CONDITIONS: Final = {"ht": "hypertension", "dm": "diabetes", "hf": "heart_failure", "af": "atrial_fibrillation"}
# 中文名, pinyin, sex, born, building and flat, conditions, pattern, devices beside the cuff
_W, _B = "wearable", "help_button"
_RESIDENTS: Final = (
    ("王秀英", "Wang Xiuying", "f", "1943-03-12", "9-502", "ht dm", Pattern(141, 82, 74, drift=9), (_W, _B)),
    ("李建国", "Li Jianguo", "m", "1940-08-01", "9-201", "ht stroke", Pattern(134, 78, 70), (_W, _B)),
    ("张桂兰", "Zhang Guilan", "f", "1938-11-23", "7-101", "hf ht", Pattern(128, 72, 78), (_B,)),
    ("陈阿妹", "Chen Amei", "f", "1946-05-17", "7-303", "ht", Pattern(131, 79, 72), ()),
    ("赵德福", "Zhao Defu", "m", "1937-01-30", "5-102", "copd ht frail", Pattern(126, 68, 84), (_W, _B)),
    ("孙玉珍", "Sun Yuzhen", "f", "1942-09-09", "5-404", "ht", Pattern(152, 88, 76, drift=12, spread=9), (_B,)),
    ("钱福根", "Qian Fugen", "m", "1945-12-02", "3-201", "dm ht", Pattern(137, 81, 71), ()),
    ("周素珍", "Zhou Suzhen", "f", "1939-06-21", "3-305", "af ht", Pattern(133, 76, 82, spread=11, irregular=True), (_W,)),
    ("吴国强", "Wu Guoqiang", "m", "1948-02-14", "3-502", "ht", Pattern(129, 80, 68, diligence=0.75), ()),
    ("郑月娥", "Zheng Yue'e", "f", "1941-04-04", "1-103", "ht frail", Pattern(138, 74, 70), (_B,)),
    ("冯根宝", "Feng Genbao", "m", "1944-10-19", "1-202", "ht", Pattern(149, 91, 77, spread=8), ()),
    ("蒋惠芬", "Jiang Huifen", "f", "1947-07-07", "1-401", "dm", Pattern(122, 74, 73), ()),
    ("沈伯年", "Shen Bonian", "m", "1935-03-03", "11-101", "hf frail", Pattern(117, 64, 80, drift=-9), (_W, _B)),
    ("韩金凤", "Han Jinfeng", "f", "1943-05-28", "11-203", "ht", Pattern(132, 77, 69), ()),
    ("杨志明", "Yang Zhiming", "m", "1949-09-15", "11-304", "ht", Pattern(134, 83, 75, silent_days=4), ()),
    ("朱美华", "Zhu Meihua", "f", "1945-01-11", "11-505", "ht dm", Pattern(144, 84, 72), (_B,)),
    ("秦耀祖", "Qin Yaozu", "m", "1938-08-08", "13-102", "stroke ht", Pattern(130, 75, 66), (_W,)),
    ("许巧珍", "Xu Qiaozhen", "f", "1940-12-25", "13-204", "ht", Pattern(135, 79, 74, diligence=0.6), ()),
    ("何宝山", "He Baoshan", "m", "1946-06-06", "13-301", "copd", Pattern(124, 73, 86), (_B,)),
    ("吕文娟", "Lyu Wenjuan", "f", "1944-02-20", "13-405", "ht", Pattern(128, 77, 70), ()),
    ("施阿根", "Shi Agen", "m", "1936-11-11", "15-101", "ht frail", Pattern(142, 72, 68), (_W, _B)),
    ("曹玉兰", "Cao Yulan", "f", "1942-07-30", "15-203", "ht dm", Pattern(136, 80, 76, drift=5), ()),
    ("严德昌", "Yan Dechang", "m", "1947-10-05", "15-302", "af", Pattern(127, 78, 79, spread=10, irregular=True), ()),
    ("魏淑琴", "Wei Shuqin", "f", "1941-03-18", "15-504", "ht", Pattern(133, 78, 71), (_B,)),
)  # fmt: skip

# resident, 中文名, pinyin, language, what the resident is called
_FAMILY: Final = (
    (1, "王莉", "Wang Li", "en", "妈妈", "Mum"),
    (1, "王磊", "Wang Lei", "zh_Hans", "妈妈", "Mum"),
    (2, "李静", "Li Jing", "zh_Hans", "爸爸", "Dad"),
    (3, "陆伟", "Lu Wei", "zh_Hans", "外婆", "Grandma"),
    (3, "陆婷", "Lu Ting", "zh_Hans", "外婆", "Grandma"),
    (4, "方敏", "Fang Min", "zh_Hans", "妈妈", "Mum"),
    (5, "赵勇", "Zhao Yong", "zh_Hans", "爸爸", "Dad"),
    (6, "丁晓东", "Ding Xiaodong", "en", "妈妈", "Mum"),
    (7, "钱红", "Qian Hong", "zh_Hans", "爸爸", "Dad"),
    (8, "马骏", "Ma Jun", "zh_Hans", "妈妈", "Mum"),
    (9, "吴倩", "Wu Qian", "zh_Hans", "爸爸", "Dad"),
    (10, "苏明", "Su Ming", "zh_Hans", "奶奶", "Grandma"),
    (11, "冯超", "Feng Chao", "zh_Hans", "爸爸", "Dad"),
    (12, "叶琳", "Ye Lin", "en", "妈妈", "Mum"),
    (13, "沈刚", "Shen Gang", "zh_Hans", "爸爸", "Dad"),
    (13, "沈悦", "Shen Yue", "zh_Hans", "爷爷", "Grandpa"),
    (14, "金鑫", "Jin Xin", "zh_Hans", "妈妈", "Mum"),
    (15, "杨帆", "Yang Fan", "zh_Hans", "爸爸", "Dad"),
    (16, "胡斌", "Hu Bin", "zh_Hans", "妈妈", "Mum"),
    (17, "秦岚", "Qin Lan", "zh_Hans", "爸爸", "Dad"),
    (18, "邓辉", "Deng Hui", "zh_Hans", "妈妈", "Mum"),
    (19, "何嘉", "He Jia", "en", "爸爸", "Dad"),
    (20, "彭涛", "Peng Tao", "zh_Hans", "妈妈", "Mum"),
    (21, "施琪", "Shi Qi", "zh_Hans", "爷爷", "Grandpa"),
    (22, "邵峰", "Shao Feng", "zh_Hans", "妈妈", "Mum"),
    (23, "严洁", "Yan Jie", "zh_Hans", "爸爸", "Dad"),
    (24, "潘宇", "Pan Yu", "zh_Hans", "奶奶", "Grandma"),
)


def _username(name_en: str) -> str:
    family, given = name_en.lower().replace("'", "").split()
    return f"{family}.{given}"


def bindkey(address: str) -> str:
    """The encryption key of a virtual button, 32 hexadecimal digits: the same at every start."""
    return hashlib.sha256(f"hearthwatch demo {address}".encode()).hexdigest()[:32]


def _twin(home: int, kind: str, name: str) -> Twin:
    # The two highest bits are 11: a Bluetooth random static address (Core 5.4, vol 6 part B, 1.3.2.1).
    address = f"C4:48:57:{KINDS.index(kind) + 1:02X}:5E:{home:02X}"
    key = bindkey(address) if kind == "help_button" else None
    battery = 61 + (home * 7 + len(kind)) % 39
    return Twin(address, kind, name, _MODELS[kind], key, battery)


def _target(born: date, conditions: tuple[str, ...]) -> Mapping[str, float]:
    # ESH 2023 at home: below 135/85, and 130-150 for who is frail, as the protocol has it. From 80 years on the doctor
    # sets it for each.
    if "frail" in conditions:
        return {}
    old = date(2025, 1, 1).year - born.year >= 80
    return {SYSTOLIC_LOW: 110.0, SYSTOLIC_HIGH: 145.0} if old else {}


def _relatives(number: int) -> tuple[Relative, ...]:
    return tuple(
        Relative(Human(_username(en), zh, en, _mobile(200 + i), "family", language), called_zh, called_en)
        for i, (home, zh, en, language, called_zh, called_en) in enumerate(_FAMILY)
        if home == number
    )


def _home(number: int) -> Home:
    zh, en, sex, born_text, place, codes, pattern, extra = _RESIDENTS[number - 1]
    building, flat = place.split("-")
    born, conditions = date.fromisoformat(born_text), tuple(_CONDITIONS.get(code, code) for code in codes.split())
    return Home(
        number=number,
        human=Human(_username(en), zh, en, _mobile(100 + number), "resident"),
        born=born,
        sex={"f": "female", "m": "male"}[sex],
        building=int(building),
        address_zh=f"{building}号楼{flat}",
        address_en=f"Building {building}, flat {flat}",
        conditions=conditions,
        target=_target(born, conditions),
        pattern=pattern,
        doctor=number % 2,
        relatives=_relatives(number),
        twins=tuple(_twin(number, kind, f"{_MODELS[kind]} {number:02d}") for kind in ("blood_pressure", *extra)),
    )


HOMES: Final = tuple(_home(number) for number in range(1, len(_RESIDENTS) + 1))
"""The 24 homes, numbered from 1."""


def everyone() -> tuple[Human, ...]:
    """All who have an account: staff, residents, families."""
    families = (r.human for home in HOMES for r in home.relatives)
    return (*STAFF, ADMINISTRATOR, *(home.human for home in HOMES), *families)
