"""``hearthwatch protocol``: whether a protocol can be used, and what it does, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from api.commands import fail

if TYPE_CHECKING:
    from alerts.protocol import Protocol

protocol_app: Final = typer.Typer(
    help="Clinical protocols: check and explain them, compare them, and bring them into force.", no_args_is_help=True
)

Directory = Annotated[
    Path | None,
    typer.Argument(
        help="Folder of the protocol's files (*.toml), all of them; those shipped when not given.", show_default=False
    ),
]


@protocol_app.command()
def check(directory: Directory = None) -> None:
    """Say whether a protocol can be used; if not, each thing that is wrong with file and line. Exit code 1 then."""
    found = _read(directory)
    counts = (
        (len(found.rules), "rule"),
        (len(found.parameters), "parameter"),
        (len(found.groups), "group"),
        (len(found.scores), "score"),
    )
    told = ", ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in counts)
    typer.echo(f"{found.version}: {told}")


@protocol_app.command()
def explain(
    directory: Directory = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule, by its id.")] = None,
    language: Annotated[Literal["zh_Hans", "en"], typer.Option(help="In Chinese or in English.")] = "en",
) -> None:
    """Say a protocol, or one rule, in plain sentences made from the rules themselves."""
    from alerts import protocol
    from alerts.language.tables import did_you_mean

    found = _read(directory)
    if rule is None:
        typer.echo(protocol.explain_protocol(found, language))
        return
    named = found.rule(rule)
    if named is None:
        fail(f"there is no rule {rule!r}{did_you_mean(rule, [known.id for known in found.rules])}")
    typer.echo(protocol.explain(named, language, found))


def _read(directory: Path | None) -> Protocol:
    from alerts import protocol

    return protocol.parse_all(texts_in(directory or protocol.SHIPPED), whole=True)


def texts_in(directory: Path) -> dict[str, str]:
    """The files of a protocol that can be used, text by name; otherwise each fault is said and the command ends."""
    from alerts import protocol

    try:
        texts = protocol.texts_in(directory)
    except protocol.ProtocolError as error:
        fail(str(error))
    wrong = protocol.check(texts)
    for fault in wrong:
        typer.echo(str(fault), err=True)
    if wrong:
        raise typer.Exit(1)
    return texts
