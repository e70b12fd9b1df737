"""``hearthwatch falls``: how well falls are told, on recordings that anybody may bring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer

from api.falls_export import export

if TYPE_CHECKING:
    from devices.falls.evaluation import Judged, Summary
    from devices.falls.report import Set, Table

falls_app: Final = typer.Typer(
    help="Fall detection: judge it on recordings, and give out your own.", no_args_is_help=True
)
falls_app.command()(export)

Files = Annotated[
    list[Path],
    typer.Argument(help="Files of recordings, npz without pickle.", metavar="FILE", show_default=False),
]
Place = Annotated[
    Literal["wrist", "waist", "pocket", "chest"] | None,
    typer.Option(help="Where the sensor is taken to be worn, whatever the file says."),
]


@falls_app.command()
def evaluate(
    files: Files,
    position: Place = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every recording and every event as one JSON document, and nothing else.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The tables in Markdown.")] = False,
    rate: Annotated[
        int | None, typer.Option(min=10, help="As a sensor of so many samples a second would send it.")
    ] = None,
    reach: Annotated[
        float | None, typer.Option("--range", min=0.5, help="As a sensor that feels no more than ±RANGE g.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Tell a fall from this probability on.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the work; one per core when not given.")
    ] = None,
) -> None:
    """Run the gateway's detector over recordings, and say what it told and how often it was right.

    A file holds acc (N, 3), times scale in g; fs in Hz; for each recording start and length in samples, and is_fall; and
    may hold subject, activity, trial, elderly, position, onset_s and end_s of the fall.
    """
    from api.falls_jobs import How, judge_files
    from devices.falls import evaluation, report
    from devices.falls.recordings import RecordingsError

    sensor = evaluation.Sensor(rate, reach)
    try:
        judged = judge_files(files, How(position, threshold, sensor), jobs)
    except RecordingsError as error:
        _fail(str(error))
    found, curves = evaluation.summaries(judged), _curves(judged)
    if as_json:
        model = _model(sorted({j.position for j in judged}), threshold)
        typer.echo(
            json.dumps(report.document(judged, found, curves, sensor, model), ensure_ascii=False, allow_nan=False)
        )
    else:
        _print(found, curves, as_markdown)


def _curves(judged: Sequence[Judged]) -> list[Set]:
    from devices.falls import evaluation, report

    groups = dict.fromkeys((j.source, j.position) for j in judged)
    return [
        report.Set(*group, evaluation.curve([j for j in judged if (j.source, j.position) == group])) for group in groups
    ]


def _model(positions: Sequence[Any], threshold: float | None) -> dict[str, Any]:
    from devices.falls.watch import Watch

    return {"thresholds": {position: Watch(position, threshold).threshold for position in positions}}


def _print(found: Sequence[Summary], curves: Sequence[Set], as_markdown: bool) -> None:
    from devices.falls import report

    tables = [report.by_recording(found), report.by_event(found), report.operating(curves)]
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


def _fail(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(1)
