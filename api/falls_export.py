"""``hearthwatch falls export``: the kept recordings of falls with what staff said of them, for a centre's own training.

Nobody is named in the file: a wearer is a pseudonym made with a key that is drawn for this one export and thrown away,
and no time of day or date is in it. It stays a recording of somebody's body all the same, and is handled as such.
"""

from __future__ import annotations

import getpass
import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from api.commands import fail, with_database

if TYPE_CHECKING:
    from devices.falls.recordings import Trial
    from store.falls import Labelled
    from store.postgres import Database

_ELDERLY_YEARS: Final = 60
"""From so many years on, as in the recordings of SisFall, and in China's law on the rights of the elderly."""
_META: Final = (
    "hearthwatch falls export: twelve seconds around what a detector took for a fall, labelled by the staff who came. "
    "No daily life is in it but false alarms; no fall is in it that the detector overlooked."
)


def export(
    out: Annotated[Path, typer.Argument(help="The file to write (.npz); it must not exist yet.", show_default=False)],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only recordings from this day on (UTC).")
    ] = None,
    resident: Annotated[
        list[int] | None,
        typer.Option(help="Only this resident, by number; may be given several times. Everybody when not given."),
    ] = None,
    consented: Annotated[
        bool, typer.Option("--consented", help="You know that everybody whose recordings are written has consented.")
    ] = False,
    position: Annotated[
        Literal["wrist", "waist", "pocket", "chest"], typer.Option(help="Where the wearables are worn.")
    ] = "wrist",
) -> None:
    """Write the kept recordings of which staff have said whether it was a fall, as 'falls train' and 'evaluate' read them.

    Daily life is in it only as false alarms: 'train' needs recordings of daily life beside it.

    The record does not know who has consented to research or training: you must, and say so with --consented and once
    more when asked. Each export is written into the audit of everybody concerned.
    """
    from devices.falls.recordings import write

    if not consented:
        fail("the record does not know who has consented to this: find out, choose with --resident, say --consented")
    begin = datetime.min.replace(tzinfo=UTC) if since is None else since.replace(tzinfo=UTC)
    kept, chosen = with_database(lambda database: _kept(database, begin, resident))
    if not chosen:
        fail(
            f"staff have said of none of {kept} recordings whether it was a fall; they do so when they close its alert"
        )
    typer.confirm(_question(kept, chosen, out), abort=True)
    _reserve(out)
    with_database(lambda database: _audit(database, chosen))
    write(out, trials(chosen, secrets.token_bytes(32), position), _META)
    typer.echo(f"wrote {len(chosen)} recordings to {out}")


def trials(chosen: Sequence[Labelled], key: bytes, position: str) -> list[Trial]:
    """The recordings as training reads them: each wearer under a pseudonym by ``key``, his trials counted from 1."""
    from devices.falls.recordings import Trial

    counted: Counter[str] = Counter()
    made = []
    for one in sorted(chosen, key=lambda one: (_pseudonym(one, key), one.recording.started_at)):
        subject = _pseudonym(one, key)
        counted[subject] += 1
        made.append(
            Trial(
                samples=one.recording.samples / 1000.0,
                rate_hz=one.recording.rate_hz,
                subject=subject,
                activity="fall" if one.is_fall else one.what,
                trial=counted[subject],
                is_fall=one.is_fall,
                elderly=_age(one.born, one.recording.started_at.date()) >= _ELDERLY_YEARS,
                position=position,
            )
        )
    return made


def _pseudonym(one: Labelled, key: bytes) -> str:
    return "R" + hmac.digest(key, str(one.recording.resident_id).encode(), "sha256").hex()[:12]


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


async def _kept(database: Database, since: datetime, chosen: Sequence[int] | None) -> tuple[int, list[Labelled]]:
    """How many recordings there are, and those of the chosen residents of which staff have said what they are."""
    from store import falls

    async with database.service() as c:
        labelled = await falls.labelled(c, since)
        kept = await falls.recorded(c, since)
    return kept, [one for one in labelled if not chosen or one.recording.resident_id in chosen]


def _question(kept: int, chosen: Sequence[Labelled], out: Path) -> str:
    people = sorted({one.recording.resident_id for one in chosen})
    falls = sum(one.is_fall for one in chosen)
    return (
        f"{len(chosen)} of {kept} recordings, {falls} of them falls, of {len(people)} residents "
        f"({', '.join(map(str, people))}) are written to {out}. Has each of them, or who decides for them, consented?"
    )


def _reserve(out: Path) -> None:
    """Before anything is said to have been exported: the file can be written, and by nobody else read."""
    try:
        out.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}")


async def _audit(database: Database, chosen: Sequence[Labelled]) -> None:
    from store import audit

    async with database.service() as c:
        for resident, count in sorted(Counter(one.recording.resident_id for one in chosen).items()):
            await audit.record(c, "exported_falls", None, resident, recordings=count, by=getpass.getuser())
