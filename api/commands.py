"""What commands share: the settings, the database, and how one ends that cannot go on. Imports no library of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from api.settings import Settings
    from store.postgres import Database

T = TypeVar("T")


def settings(**given: Any) -> Settings:
    """The service's settings, from the environment unless ``given``; ends the command when they cannot be used."""
    from pydantic import ValidationError

    from api.settings import Settings

    try:
        return Settings(**given)
    except ValidationError as error:
        for wrong in error.errors():
            name = "HEARTHWATCH_" + "_".join(str(part) for part in wrong["loc"]).upper()
            words = "is not set" if wrong["type"] == "missing" else wrong["msg"].removeprefix("Value error, ")
            typer.echo(f"{name if wrong['loc'] else 'settings'}: {words}", err=True)
        fail("the settings cannot be used; docs/operating.md lists them")


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the record; ends the command when that is away."""
    from store.postgres import Database, Unavailable

    async def run() -> T:
        async with Database(settings().database_url, max_size=2) as database:
            return await work(database)

    try:
        return asyncio.run(run())
    except Unavailable as error:
        fail(str(error))


def fail(words: str) -> NoReturn:
    """End the command, and say why."""
    typer.echo(words, err=True)
    raise typer.Exit(1)
