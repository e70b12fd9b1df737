"""``hearthwatch falls train``: a model of a centre's own recordings, judged on people of whom it has seen nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from api.commands import fail
from api.falls_tables import curves, show

if TYPE_CHECKING:
    from devices.falls.evaluation import Judged
    from devices.falls.held_out import Fold, Person
    from devices.falls.model import Model, Position
    from devices.falls.recordings import Trial
    from devices.falls.training import Sets

_LIMITS: Final = (
    "What is said of people left out holds for people and movements like those recorded, and for such a sensor.",
    "A place where no fall was recorded gets the most careful of the operating points.",
    "A slide without a blow is not looked at; how often it errs in days of free living is not known.",
)


def train(
    files: Annotated[list[Path], typer.Argument(help="Files of recordings, as 'evaluate' reads them.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="Folder for the model and its card; what is in it is replaced.")] = Path(
        "falls-model"
    ),
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUBJECT",
            help="Learn nothing of this subject, and judge the model on her; may be given several times.",
        ),
    ] = None,
    position: Annotated[
        Literal["wrist", "waist", "pocket", "chest"] | None,
        typer.Option(help="Where the sensor is taken to be worn, whatever the files say."),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0, help="Groups of people left out in turn, to judge it on people not seen; 0 spares the time."
        ),
    ] = 5,
) -> None:
    """Learn from recordings what tells a fall from another blow, and keep it as a model with its card.

    It learns from these files alone, and all of them: one person's recordings belong into one file. The tables are of
    people left out: in turn, by models that have learned from the others, or those named with --leave-out.
    """
    _check_sklearn()
    from devices.falls import held_out, model, training
    from devices.falls.recordings import RecordingsError

    try:
        sets, said = _read(files, position)
        left_out = _named(sets, leave_out or ())
        known = held_out.chosen(sets, held_out.people(sets) - left_out)
        typer.echo(f"learning from {sum(map(len, known.values()))} recordings; hours of them take minutes", err=True)
        blows = training.gather([t for trials in known.values() for t in trials])
        learned = training.fit(known, blows, _card(said, leave_out or (), out))
        learned.save(out)
    except (RecordingsError, model.ModelError, training.TooLittle, OSError) as error:
        fail(str(error))
    typer.echo(f"the model and its card are in {out}")
    try:
        if left_out:
            _show(sets, [held_out.Fold(learned, left_out)])
        elif folds > 1:
            _show(known, list(held_out.leave_subjects_out(known, folds, blows)))
    except training.TooLittle as error:
        _say_judged(learned, error)


def _check_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        fail("to learn takes scikit-learn, which is not installed: pip install 'hearthwatch[training]'")


def _read(files: Sequence[Path], position: Position | None) -> tuple[dict[str, list[Trial]], dict[str, str]]:
    """The recordings of each file by its name, and what it says of itself. Each lies where it is known to be worn."""
    from api.falls_jobs import names
    from devices.falls.evaluation import worn_at
    from devices.falls.recordings import Recordings

    sets, said = {}, {}
    for path, name in zip(files, names(files), strict=True):
        with Recordings(path) as file:
            trials = [file.trial(index) for index in range(len(file.abouts))]
            said[name] = file.meta
        sets[name] = [replace(t, position=worn_at(t, position)) for t in trials]
    return sets, said


def _named(sets: Sets, subjects: Sequence[str]) -> set[Person]:
    """Those people, of whatever file. Somebody mistyped would be learned from: a name nobody bears is refused."""
    from devices.falls.held_out import people
    from devices.falls.training import TooLittle

    everybody = people(sets)
    if unknown := set(subjects) - {who.subject for who in everybody}:
        raise TooLittle(f"there is no recording of {', '.join(sorted(unknown))} to leave out")
    return {who for who in everybody if who.subject in subjects}


def _card(said: dict[str, str], left_out: Sequence[str], out: Path) -> dict[str, Any]:
    return {
        "name": f"{out.resolve().name}, {datetime.now(UTC):%Y-%m-%d}",
        "made of": {name: meta or "the file does not say" for name, meta in said.items()},
        "nothing learned of": sorted(left_out),
        "limits": list(_LIMITS),
    }


def _show(sets: Sets, folds: Sequence[Fold]) -> None:
    from devices.falls import evaluation, held_out

    judged: list[Judged] = held_out.judged(sets, folds)
    typer.echo("\njudged on people left out:\n")
    show(evaluation.summaries(judged), curves(judged))


def _say_judged(learned: Model, error: ValueError) -> None:
    """Too few to learn anew without some of them: the card's own figures are of people left out too."""
    typer.echo(f"too few people to learn anew without some of them: {error}", err=True)
    for name, found in learned.card["judged on people left out"].items():
        typer.echo(f"{name}: " + ", ".join(f"{what} {count}" for what, count in found.items()))
