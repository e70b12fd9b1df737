"""``hearthwatch protocol stage``, ``diff``, ``activate`` and what belongs to them: how a protocol comes into force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import typer

from api.commands import fail, with_database
from api.protocols import texts_in

if TYPE_CHECKING:
    from alerts.changes import Change
    from alerts.protocol import Protocol
    from store.postgres import Connection, Database
    from store.protocols import Activation, Kept

T = TypeVar("T")

deployment_app: Final = typer.Typer()

Version = Annotated[str, typer.Argument(help="A version of 'hearthwatch protocol list', such as 2026-11-29-0a1b2c3d.")]
By = Annotated[str, typer.Option(help="Who decides this; stands in the record.", envvar="USER", prompt="Your name")]
Why = Annotated[str, typer.Option(help="Why; stands in the record.", prompt="Why")]
Remark = Annotated[str, typer.Option("--why", help="Why; stands in the record.")]
Language = Annotated[Literal["en", "zh_Hans"], typer.Option(help="In which language rules are explained.")]

_TITLES: Final = {
    "new": "new: {rule}",
    "gone": "gone: {rule}",
    "judges": "judges otherwise: {rule}",
    "calls": "judges the same, calls otherwise: {rule}",
    "words": "only words or sources: {rule}",
}


@deployment_app.command()
def stage(
    directory: Annotated[Path, typer.Argument(help="Folder of the protocol's files (*.toml), all of them.")],
    why: Why,
    by: By,
) -> None:
    """Keep a protocol in the record, checked, without bringing it into force."""
    from alerts import deployment

    texts = texts_in(directory)

    async def work(c: Connection) -> list[str]:
        now = datetime.now(UTC)
        staged = await deployment.stage(c, texts, by=by, why=why, now=now)
        present = await deployment.in_force(c, now)
        return [f"staged as {staged.version}", "", *_compared(present, staged, "en")]

    _print(_in_record(work))


@deployment_app.command()
def diff(
    one: Annotated[str | None, typer.Argument(help="A version or a folder; what waits, when none is given.")] = None,
    other: Annotated[
        str | None, typer.Argument(help="Another: then from the first to this one, else from what is in force.")
    ] = None,
    language: Language = "en",
) -> None:
    """Say rule by rule what another protocol changes. '-' is what goes, '+' what comes. Two folders need no database."""
    from alerts import deployment

    if one and other and Path(one).is_dir() and Path(other).is_dir():
        _print(_compared(_read(Path(one)), _read(Path(other)), language))
        return

    async def work(c: Connection) -> list[str]:
        before = (await _named(c, one)) if one and other else await deployment.in_force(c, datetime.now(UTC))
        after = await _named(c, other or one or await _waiting(c))
        return _compared(before, after, language)

    _print(_in_record(work))


@deployment_app.command()
def activate(
    version: Version,
    by: By,
    at: Annotated[
        str | None, typer.Option(help="When, with its time zone, such as 2026-12-01T08:00+08:00; now when not given.")
    ] = None,
    why: Remark = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask once more.")] = False,
) -> None:
    """Bring a protocol into force, now or at an instant. Alerts that stand keep the words of the one that made them."""
    from alerts import deployment

    when = None if at is None else _instant(at)

    async def compare(c: Connection) -> tuple[Protocol, Protocol]:
        return await deployment.in_force(c, datetime.now(UTC)), await deployment.require(c, version)

    before, after = _in_record(compare)
    _print(_compared(before, after, "en"))
    if not yes:
        typer.confirm(f"\nBring {version} into force {f'at {_moment(when)}' if when else 'now'}?", abort=True)

    async def decide(c: Connection) -> datetime:
        now = datetime.now(UTC)
        await deployment.activate(c, version, when or now, instead_of=before.version, by=by, why=why, now=now)
        return when or now

    typer.echo(f"{version} is in force from {_moment(_in_record(decide))} on")


@deployment_app.command()
def cancel(version: Version, by: By, why: Remark = "") -> None:
    """Take back an activation whose instant has not come."""
    from alerts import deployment

    at = _in_record(lambda c: deployment.cancel(c, version, by=by, why=why, now=datetime.now(UTC)))
    typer.echo(f"{version} does not come into force at {_moment(at)}")


@deployment_app.command()
def decline(version: Version, why: Why, by: By) -> None:
    """Say that a protocol is not wanted, such as one that came with a release: nobody is reminded of it any more."""
    from alerts import deployment

    _in_record(lambda c: deployment.decline(c, version, by=by, why=why, now=datetime.now(UTC)))
    typer.echo(f"{version} is declined; it can be activated all the same")


@deployment_app.command("list")
def list_all() -> None:
    """Every protocol that was ever in force or staged."""
    from store import protocols

    async def work(c: Connection) -> list[str]:
        known, done, unwanted = await protocols.every(c), await protocols.activations(c), await protocols.declined(c)
        return [line for kept in known for line in _listed(kept, done, kept.version in unwanted)]

    _print(_in_record(work))


@deployment_app.command()
def show(
    version: Version,
    out: Annotated[Path | None, typer.Option(help="Write its files into this folder, to begin another from.")] = None,
    language: Language = "en",
) -> None:
    """One protocol: who staged it and why, when it was in force, and its rules in words."""
    from alerts import deployment
    from alerts.protocol import explain_protocol
    from store import protocols

    async def work(c: Connection) -> tuple[list[str], dict[str, str]]:
        found, kept = await deployment.require(c, version), await protocols.kept(c, version)
        assert kept is not None, "it was just read"
        head = _listed(kept, await protocols.activations(c), version in await protocols.declined(c))
        return [*head, "", explain_protocol(found, language)], await protocols.texts(c, version) or {}

    lines, texts = _in_record(work)
    _print(lines)
    if out is not None:
        _write(out, texts)


def _in_record(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do something with the record in one transaction; what cannot be done ends the command in words."""
    from alerts.deployment import NotPossible, register_shipped
    from alerts.protocol import ProtocolError
    from store.migrate import lacking

    async def run(database: Database) -> T:
        async with database.service() as c:
            if missing := await lacking(c):
                fail(f"the database lacks {', '.join(missing)}: run 'hearthwatch migrate'")
            await register_shipped(c, datetime.now(UTC))
            return await work(c)

    try:
        return with_database(run)
    except (NotPossible, ProtocolError) as error:
        fail(str(error))


def _read(directory: Path) -> Protocol:
    from alerts.protocol import parse_all

    return parse_all(texts_in(directory), whole=True)


async def _named(c: Connection, name: str) -> Protocol:
    from alerts import deployment

    return _read(Path(name)) if Path(name).is_dir() else await deployment.require(c, name)


async def _waiting(c: Connection) -> str:
    """What is most likely meant: the protocol that comes next, else the newest about which nobody has decided."""
    from alerts.deployment import NotPossible
    from store import protocols

    if coming := await protocols.next_after(c, datetime.now(UTC)):
        return coming.version
    for kept in reversed(await protocols.every(c)):
        if await protocols.is_undecided(c, kept.version):
            return kept.version
    raise NotPossible("nothing waits: name a version or a folder")


def _compared(before: Protocol, after: Protocol, language: str) -> list[str]:
    from alerts.changes import changes, values_told

    found, values = changes(before, after), values_told(before, after, language)
    lines = [f"from {before.version} to {after.version}"]
    if not found and not values:
        return [*lines, "no rule is another"]
    lines += ["", "groups, numbers that may be set, scores", *(f"  {line}" for line in values)] if values else []
    return [*lines, *(line for change in found for line in _told(change, before, after, language))]


def _told(change: Change, before: Protocol, after: Protocol, language: str) -> Iterator[str]:
    from alerts.changes import told

    yield ""
    yield _TITLES[change.kind].format(rule=change.rule)
    if change.before and change.after:
        yield "  what it watches goes on" if change.keeps_state else "  begins anew with every resident"
    yield from (f"  {line}" for line in told(change, before, after, language))


def _listed(kept: Kept, done: Sequence[Activation], is_declined: bool) -> list[str]:
    now = datetime.now(UTC)
    present = max((a for a in done if a.at <= now), key=lambda a: (a.at, a.id), default=None)
    states = [
        f"  {_state(a, present, now)} {_moment(a.at)}, {a.decided_by}{f': {a.why}' if a.why else ''}"
        for a in done
        if a.version == kept.version
    ]
    waits = "  declined" if is_declined else "  waits for a decision"
    staged = f"  staged {_moment(kept.staged_at)}, {kept.staged_by}: {kept.why}"
    return [kept.version, staged, *(states or [waits])]


def _state(activation: Activation, present: Activation | None, now: datetime) -> str:
    if activation.at > now:
        return "comes into force"
    return "in force since" if activation == present else "was in force from"


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no instant: write it like 2026-12-01T08:00+08:00")
    if at.tzinfo is None:
        fail(f"{text} names no time zone: write it like 2026-12-01T08:00+08:00, or with Z for UTC")
    return at


def _write(folder: Path, texts: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        fail(f"{folder} is there already: name a new folder")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    typer.echo(f"wrote {len(texts)} files to {folder}")


def _moment(at: datetime) -> str:
    return at.astimezone().isoformat(sep=" ", timespec="seconds")


def _print(lines: Sequence[str]) -> None:
    typer.echo("\n".join(lines))
