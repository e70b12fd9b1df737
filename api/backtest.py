"""``hearthwatch backtest``: what a protocol would have done with the record, beside another one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.commands import fail, settings, with_database
from api.protocols import texts_in

if TYPE_CHECKING:
    from alerts.backtest.counts import Comparison
    from alerts.backtest.jobs import Question, Written
    from clinicians.words import Words
    from store.postgres import Connection, Database

_SHIPPED: Final = "shipped"
_CURRENT: Final = "current"
_MOST_SHOWN: Final = 20


def backtest(
    protocol: Annotated[
        str,
        typer.Option(
            help="The protocol to try: a folder of its files, a version of 'hearthwatch protocol list', or 'shipped'."
        ),
    ],
    against: Annotated[str, typer.Option(help="Beside which one; 'current' is the one in force.")] = _CURRENT,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days back from now.")] = 90,
    centre: Annotated[str | None, typer.Option(help="Only residents of this health centre.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page with charts into this file.")] = None,
    language: Annotated[str, typer.Option(help="en or zh_Hans: of what is told.")] = "en",
    after_clear: Annotated[
        int, typer.Option(min=0, help="Hours until an alert that never was would have been closed after it was over.")
    ] = 12,
    at_most: Annotated[
        int, typer.Option(min=1, help="Hours until it would have been closed although it was not.")
    ] = 72,
    task_at_most: Annotated[int, typer.Option(min=1, help="The same of a task that calls nobody, in days.")] = 14,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the work; one per core when not given.")
    ] = None,
) -> None:
    """Say what a protocol would have done on the last days of the record, beside the current one. Nothing is changed.

    Alerts by rule and priority with 95 % intervals, who would have been called at night, and which true episodes each
    protocol caught or missed, and how early.
    """
    from alerts.backtest.jobs import NothingToJudge, Question, answer
    from alerts.backtest.replay import Assumed
    from alerts.protocol import ProtocolError
    from clinicians.words import LANGUAGES, Words
    from store.postgres import Unavailable

    if language not in LANGUAGES:
        fail(f"the language is one of {', '.join(LANGUAGES)}")
    now = datetime.now(UTC)
    assumed = Assumed(timedelta(hours=after_clear), timedelta(hours=at_most), timedelta(days=task_at_most))

    async def ask(database: Database) -> tuple[Question, str]:
        async with database.service() as c:
            number, zone = await _centre(c, centre)
            pair = await _written(c, against, now), await _written(c, protocol, now)
        return Question(*pair, now - timedelta(days=days), now, centre=number, assumed=assumed), zone

    question, zone = with_database(ask)
    try:
        found = answer(settings().database_url, question, jobs, _progress)
    except (NothingToJudge, ProtocolError, Unavailable) as error:
        fail(str(error))
    _progress(1.0)
    words = Words.of(language, zone, now)
    _show(found, words)
    if html is not None:
        _write(html, found, words)


def _progress(share: float) -> None:
    """On a terminal alone: it is no part of what is told."""
    if sys.stderr.isatty():
        typer.echo(f"\r{share:4.0%} ", nl=share == 1, err=True)


def _show(found: Comparison, words: Words) -> None:
    """The figures; the page has more."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from clinicians.backtest_page import numbered, view

    page = view(found, words, numbered(found, words))
    console = Console()
    console.print(f"{page.headline}\n{page.period}")
    tables = (
        (words.gettext("At a glance"), page.totals),
        (words.gettext("Alerts by priority"), page.priorities),
        (words.gettext("Alerts by rule"), page.rules),
        (words.gettext("Who would have been called about at night"), page.night[:_MOST_SHOWN]),
        (words.gettext("True episodes, and how early each was found"), page.episodes[-_MOST_SHOWN:]),
    )
    for title, rows in tables:
        drawn = Table("", words.gettext("current"), words.gettext("new"), "", title=title, box=box.SIMPLE)
        for row in rows:
            drawn.add_row(row.title, *row.cells, row.remark)
        if rows:
            console.print(drawn)


def _write(path: Path, found: Comparison, words: Words) -> None:
    """The page. Residents stand in it by number: a file goes its own ways."""
    from clinicians.backtest_page import html, numbered

    try:
        path.write_text(html(found, words, numbered(found, words)), encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    typer.echo(f"the page with charts is in {path}")


async def _centre(c: Connection, name: str | None) -> tuple[int | None, str]:
    """The number of a centre, none for all of them, and the time zone in which the page tells the time."""
    from api.users import NotUsable, find_centre
    from store import people

    known = await people.centres(c)
    if name is None:
        return None, known[0].time_zone if known else "UTC"
    try:
        number = await find_centre(c, name)
    except NotUsable as error:
        fail(str(error))
    return number, next(centre.time_zone for centre in known if centre.id == number)


async def _written(c: Connection, named: str, now: datetime) -> Written:
    """A protocol by folder, version or word."""
    from alerts import deployment
    from alerts.backtest.jobs import Written
    from alerts.protocol import SHIPPED
    from store import protocols

    if named == _SHIPPED:
        return Written(texts_in(SHIPPED), deployment.shipped().version)
    if named == _CURRENT:
        named = (await deployment.in_force(c, now)).version
    texts = await protocols.texts(c, named)
    if texts is not None:
        return Written(texts, named)
    if named == deployment.shipped().version:
        return Written(texts_in(SHIPPED), named)
    if not Path(named).is_dir():
        fail(
            f"there is no protocol {named!r}: name a folder, 'shipped', 'current', or one of 'hearthwatch protocol list'"
        )
    return Written(texts_in(Path(named)))
