"""``hearthwatch cohort``: a made-up cohort with labelled episodes, and what a protocol would do to it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

if TYPE_CHECKING:
    from alerts.protocol import Protocol
    from devices.falls.report import Table

cohort_app: Final = typer.Typer(
    help="A made-up cohort of old people at home: ground truth for protocols.", no_args_is_help=True
)
_BEGINS: Final = datetime(2026, 1, 1, tzinfo=UTC)


@cohort_app.command()
def make(
    out: Annotated[Path, typer.Option(help="The file to write (.npz); it must not exist yet.", show_default=False)],
    residents: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many residents.")] = 2000,
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how many days.")] = 180,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    begin: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = _BEGINS,
) -> None:
    """Make up residents, what befalls them, and what their instruments say of it.

    Nobody's data are in it: all is drawn from published figures (docs/cohort.md), none of them from a protocol.
    """
    from alerts.cohort.cohort import Plan, make, save

    if out.exists():
        _fail(f"{out} exists already: name another file, or delete it first")
    plan = Plan(residents, days, seed, date(begin.year, begin.month, begin.day))
    readings = save(out, plan, make(plan))
    typer.echo(f"{residents:,} residents, {days} days, {readings:,} readings: {out}")


@cohort_app.command()
def judge(
    cohort: Annotated[
        Path, typer.Argument(help="A file that 'cohort make' wrote.", metavar="COHORT", show_default=False)
    ],
    protocol: Annotated[Path | None, typer.Option(help="Folder of a protocol; the shipped one when not given.")] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The tables in Markdown.")] = False,
) -> None:
    """Run a protocol over a cohort: which episodes it sees and how soon, and what it raises for nothing.

    It is a simulation: good for comparing protocols, and for finding what one never sees. What it is kind and unkind in
    stands in docs/cohort.md. Nothing it says is known of real residents.
    """
    from alerts.cohort.cohort import NotACohort, load
    from alerts.cohort.judging import judge
    from api.cohort_tables import tables

    used = _protocol(protocol)
    try:
        plan, chunks = load(cohort)
    except NotACohort as error:
        _fail(str(error))
    judged = judge(used, plan, chunks)
    typer.echo(
        f"protocol {judged.version}; {plan.residents:,} made-up residents, {plan.days} days, "
        f"{judged.readings:,} readings; {judged.asked:,} questions, {judged.notes:,} notes\n"
    )
    show(tables(judged), as_markdown=as_markdown)


def show(found: list[Table], *, as_markdown: bool) -> None:
    """Print tables."""
    from devices.falls.report import markdown

    if as_markdown:
        for table in found:
            typer.echo(f"### {table.title}\n\n{markdown(table)}\n")
        return
    from rich.console import Console

    console = Console()
    for table in found:
        console.print(_drawn(table))


def _drawn(table: Table) -> object:
    from rich import box
    from rich.table import Table as Drawn

    drawn = Drawn(title=table.title, box=box.SIMPLE)
    for number, name in enumerate(table.columns):
        drawn.add_column(name, justify="left" if number < table.words else "right")
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


def _protocol(folder: Path | None) -> Protocol:
    from alerts.language.tables import ProtocolError
    from alerts.protocol import SHIPPED, load

    try:
        return load(folder or SHIPPED)
    except ProtocolError as error:
        _fail(str(error))


def _fail(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(1)
