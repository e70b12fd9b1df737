"""The tables of docs/cohort.md: kinds of episode, and every figure with its source. Pure."""

from __future__ import annotations

from typing import Final

from alerts.cohort.figures import figures
from alerts.cohort.kinds import HOUR, KINDS, Kind

_WAYS: Final = {1: "up", -1: "down", 0: "up or down"}
_SILENCE: Final = "silence of "


def kinds() -> str:
    """What befalls residents, and what each kind moves, in Markdown."""
    rows = [f"| {kind.english} | {kind.chinese} | {_moves(kind)} | {kind.grace // HOUR} h |" for kind in KINDS.values()]
    return "\n".join(("| episode | | what it moves | after its end |", "| --- | --- | --- | ---: |", *rows))


def sources() -> str:
    """Every figure, by topic, in Markdown."""
    parts = []
    for topic, every in figures().items():
        rows = [f"| {one.what} | {float(one):.4g} {one.unit} | {one.source} |" for one in every]
        parts.append("\n".join((f"### {topic}", "| what | figure | source |", "| --- | ---: | --- |", *rows)))
    return "\n\n".join(parts)


def _moves(kind: Kind) -> str:
    said = [f"{metric} {_WAYS[way]}" for metric, way in kind.moves.items() if not metric.startswith(_SILENCE)]
    silent = [metric.removeprefix(_SILENCE) for metric in kind.moves if metric.startswith(_SILENCE)]
    return ", ".join([*said, f"no {', '.join(silent)}"] if silent else said)
