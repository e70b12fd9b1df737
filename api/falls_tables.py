"""The tables of an evaluation of falls, on a terminal or in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from devices.falls.evaluation import Judged, Summary
    from devices.falls.report import Set, Table


def curves(judged: Sequence[Judged]) -> list[Set]:
    """The operating curve of each set and position."""
    from devices.falls import evaluation, report

    groups = dict.fromkeys((j.source, j.position) for j in judged)
    return [
        report.Set(*group, evaluation.curve([j for j in judged if (j.source, j.position) == group])) for group in groups
    ]


def show(found: Sequence[Summary], drawn: Sequence[Set], *, as_markdown: bool = False) -> None:
    """Print what was found."""
    from devices.falls import report

    tables = [report.by_recording(found), report.by_event(found), report.operating(drawn)]
    if as_markdown:
        for table in tables:
            typer.echo(f"### {table.title}\n\n{report.markdown(table)}\n")
    else:
        _draw(tables)


def _draw(tables: Sequence[Table]) -> None:
    """Set by set, upright: a terminal is higher than it is wide."""
    from rich.console import Console

    console = Console()
    summary, curve = tables[:-1], tables[-1]
    for group in dict.fromkeys(row[:2] for row in summary[0].rows):
        console.print(_upright(group, summary))
        console.print(_plain(group, curve))


def _upright(group: tuple[str, ...], tables: Sequence[Table]) -> Any:
    from rich import box
    from rich.table import Table as Drawn

    rows = [[row for row in table.rows if row[:2] == group] for table in tables]
    drawn = Drawn("% (95 % interval)", *(row[2] for row in rows[0]), title=", ".join(group), box=box.SIMPLE)
    for table, mine in zip(tables, rows, strict=True):
        for number in range(table.words, len(table.columns)):
            drawn.add_row(table.columns[number], *(row[number] for row in mine))
    return drawn


def _plain(group: tuple[str, ...], table: Table) -> Any:
    from rich import box
    from rich.table import Table as Drawn

    drawn = Drawn(*table.columns[2:], title=table.title, box=box.SIMPLE)
    for row in table.rows:
        if row[:2] == group:
            drawn.add_row(*row[2:])
    return drawn
