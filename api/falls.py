"""``hearthwatch falls``: how well falls are told, on recordings that anybody may bring."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from api.commands import fail
from api.falls_export import export
from api.falls_tables import curves, show
from api.falls_train import train

if TYPE_CHECKING:
    from devices.falls.model import Model, Position

falls_app: Final = typer.Typer(
    help="Fall detection: judge it on recordings, train it on your own, and give them out.", no_args_is_help=True
)
falls_app.command()(export)
falls_app.command()(train)

Files = Annotated[
    list[Path],
    typer.Argument(help="Files of recordings, npz without pickle.", metavar="FILE", show_default=False),
]
Place = Annotated[
    Literal["wrist", "waist", "pocket", "chest"] | None,
    typer.Option(help="Where the sensor is taken to be worn, whatever the file says."),
]
ModelFolder = Annotated[
    Path | None, typer.Option(help="Folder of a model that 'falls train' made; the shipped one when not given.")
]


@falls_app.command()
def evaluate(
    files: Files,
    position: Place = None,
    model: ModelFolder = None,
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
    may hold subject, activity, trial, elderly, position, onset_s and end_s of the fall. How a model does on recordings of
    people from whom it has learned says nothing about others: 'falls card' tells from which recordings that was.
    """
    from api.falls_jobs import How, judge_files
    from devices.falls import evaluation, report
    from devices.falls.model import ModelError
    from devices.falls.recordings import RecordingsError

    sensor = evaluation.Sensor(rate, reach)
    how = How(position, threshold, sensor, model)
    try:
        used = how.judge()
        judged = judge_files(files, how, jobs)
    except (RecordingsError, ModelError) as error:
        fail(str(error))
    found, drawn = evaluation.summaries(judged), curves(judged)
    if as_json:
        said = _model(used, sorted({j.position for j in judged}), threshold)
        document = report.document(judged, found, drawn, sensor, said)
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
    else:
        show(found, drawn, as_markdown=as_markdown)


@falls_app.command()
def card(model: ModelFolder = None) -> None:
    """Say of a model from whom it learned, how it did on people left out, what it cannot do, and its licence."""
    from api.falls_jobs import How
    from devices.falls.model import ModelError

    try:
        used = How(model=model).judge()
    except ModelError as error:
        fail(str(error))
    name = used.card.get("name", "a model without a name")
    for line in _in_words({"name": name, **used.card, "a fall is told from a probability of": _told_from(used)}):
        typer.echo(line)


def _model(model: Model, positions: Sequence[Position], threshold: float | None) -> dict[str, Any]:
    thresholds = {p: model.thresholds[p] if threshold is None else threshold for p in positions}
    return {"thresholds": thresholds, "card": model.card}


def _told_from(model: Model) -> dict[str, str]:
    return {position: f"{threshold:.1%}" for position, threshold in model.thresholds.items()}


def _in_words(card: dict[str, Any], inset: str = "") -> Iterator[str]:
    for name, said in card.items():
        if isinstance(said, dict):
            yield f"{inset}{name}:"
            yield from _in_words(said, inset + "  ")
        elif isinstance(said, list):
            yield f"{inset}{name}: {'' if said else 'nothing'}".rstrip()
            yield from (f"{inset}  - {one}" for one in said)
        else:
            yield f"{inset}{name}: {said}"
