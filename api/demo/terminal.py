"""What the demo says on the terminal, in the language the terminal speaks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from api.demo.neighbourhood import Home
from api.demo.observer import Event

_ZH: Final = "zh_Hans"
_WORDS: Final = MappingProxyType(
    {
        "en": MappingProxyType(
            {
                "database": "the record is open",
                "seeding": "the neighbourhood moves in: 24 residents and 90 days of readings",
                "starting": "starting the telephone network, the service, the street and the gateway",
                "ready": "everything runs; the story begins",
                "measured": "{name} measures {systolic:.0f}/{diastolic:.0f}",
                "asked": "{name} is asked: {question}",
                "repeat_measurement": "please rest and measure again",
                "are_you_well": "are you well?",
                "fell": "{name} falls",
                "pressed": "{name} presses the help button",
                "battery_low": "the cuff of {name} has {level}% battery left",
                "raised": "alert {rule} ({priority}) for {name}",
                "task": "task {rule} ({priority}) for {name}: it waits on the board, no SMS",
                "sms": "SMS to {person}: {body}",
                "voice": "call to {person}: {body}",
                "push": "notification to {person}: {body}",
                "email": "e-mail to {person}: {body}",
                "replied": "the reply {body} comes from {number}",
                "acknowledged": "{by} has taken {rule} for {name}",
                "resolved": "{by} has closed {rule} for {name}",
                "story_told": "the story has been told; the street goes on living. Ctrl-C ends it",
                "restarted": "{program} ended ({code}) and is started again",
                "stopping": "ending every part",
                "open": "Open",
                "who": "Who",
                "sign_in": "Sign-in name",
                "password": "Password",
                "service": "the service",
                "phones": "the phones",
                "doctor": "family doctor",
                "care_worker": "care worker",
                "family": "daughter",
                "resident": "resident",
                "administrator": "administrator",
                "logs": "logs",
                "high": "high",
                "medium": "medium",
                "low": "low",
            }
        ),
        _ZH: MappingProxyType(
            {
                "database": "数据库已打开",
                "seeding": "街坊入住：24位老人，90天的测量记录",
                "starting": "正在启动电话网、服务、街道和网关",
                "ready": "全部就绪，故事开始",
                "measured": "{name}测得血压{systolic:.0f}/{diastolic:.0f}",
                "asked": "询问{name}：{question}",
                "repeat_measurement": "请休息后再量一次",
                "are_you_well": "您还好吗？",
                "fell": "{name}跌倒了",
                "pressed": "{name}按下了呼救按钮",
                "battery_low": "{name}的血压计电量只剩{level}%",
                "raised": "警报 {rule}（{priority}）：{name}",
                "task": "待办 {rule}（{priority}）：{name}，留在任务板上，不发短信",
                "sms": "短信发给{person}：{body}",
                "voice": "打电话给{person}：{body}",
                "push": "推送给{person}：{body}",
                "email": "邮件发给{person}：{body}",
                "replied": "{number}回复了{body}",
                "acknowledged": "{by}已接手 {rule}：{name}",
                "resolved": "{by}已结束 {rule}：{name}",
                "story_told": "故事讲完了，街坊的生活继续。按Ctrl-C结束",
                "restarted": "{program}退出（{code}），正在重新启动",
                "stopping": "正在结束各个部分",
                "open": "打开",
                "who": "身份",
                "sign_in": "登录名",
                "password": "密码",
                "service": "服务",
                "phones": "手机",
                "doctor": "家庭医生",
                "care_worker": "护理员",
                "family": "女儿",
                "resident": "老人",
                "administrator": "管理员",
                "logs": "日志",
                "high": "紧急",
                "medium": "尽快",
                "low": "不急",
            }
        ),
    }
)
_COLOURS: Final = MappingProxyType(
    {"raised": "red", "acknowledged": "green", "restarted": "magenta", "task": "cyan"}
    | dict.fromkeys(("sms", "voice", "push", "email"), "yellow")
)


class Terminal:
    """Says what happens. ``homes`` are the demo's homes by the resident's number in the record."""

    def __init__(self) -> None:
        self.homes: Mapping[int, Home] = {}
        self._language = _ZH if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"
        self._console = Console(highlight=False, soft_wrap=True)

    def word(self, key: str) -> str:
        """A word or sentence in the terminal's language."""
        return _WORDS[self._language][key]

    def step(self, key: str) -> None:
        """Say how far the start has come."""
        self._console.print(f"  {self.word(key)}", style="dim", markup=False)

    def event(self, event: Event) -> None:
        """Say one event of the story; what has no sentence is not said."""
        key = (
            "task" if event.name == "raised" and event.fields.get("step") == 0 and self._is_task(event) else event.name
        )
        if key not in _WORDS[self._language]:
            return
        sentence, fields = self.word(key), self._fields(event)
        if "{name}" in sentence and "name" not in fields:
            return  # somebody of no home of the street: enrolled since, or the test of the calls itself
        sentence = sentence.format(**fields)
        self._console.print(f"{event.t:7.1f} s  {sentence}", style=_COLOURS.get(key, ""), markup=False)

    def restarted(self, program: str, code: int) -> None:
        """Say that a part fell and rises again."""
        sentence = self.word("restarted").format(program=program, code=code)
        self._console.print(f"           {sentence}", style=_COLOURS["restarted"], markup=False)

    def addresses(
        self, service: str, phones: str, logs: str, sign_ins: Sequence[tuple[str, str]], password: str
    ) -> None:
        """Say where to look, and as whom."""
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_row(self.word("service"), service)
        table.add_row(self.word("phones"), phones)
        table.add_row(self.word("logs"), logs)
        table.add_row("", "")
        for face, username in sign_ins:
            table.add_row(self.word(face), f"{username} / {password}")
        self._console.print(Panel(table, title="Hearthwatch 炉望", expand=False))

    def failed(self, sentence: str) -> None:
        """Say why it cannot go on."""
        self._console.print(sentence, style="bold red", markup=False)

    @staticmethod
    def _is_task(event: Event) -> bool:
        return event.fields.get("priority") == "low"

    def _fields(self, event: Event) -> dict[str, object]:
        fields = dict(event.fields)
        home = self.homes.get(int(fields.get("resident") or 0))
        if home is not None:
            fields["name"] = home.human.name_zh if self._language == _ZH else home.human.name_en
        if "priority" in fields:
            fields["priority"] = self.word(str(fields["priority"]))
        if "kind" in fields:
            fields["question"] = self.word(str(fields["kind"]))
        return fields
