"""The command ``hearthwatch``. What a command needs is imported inside it: a gateway has none of the service's libraries."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from api.backtest import backtest
from api.cohort import cohort_app
from api.commands import fail, settings, with_database
from api.deployments import deployment_app
from api.falls import falls_app
from api.protocols import protocol_app

if TYPE_CHECKING:
    from store.postgres import Connection, Database

app: Final = typer.Typer(
    name="hearthwatch",
    help="Watches over old people who live alone. Settings come from the environment (HEARTHWATCH_...); see docs/operating.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
gateway_app: Final = typer.Typer(help="The small computer in a home: run it, or let one in and shut one out.")
user_app: Final = typer.Typer(help="People who may sign in.", no_args_is_help=True)
app.add_typer(gateway_app, name="gateway")
app.add_typer(user_app, name="user")
app.add_typer(falls_app, name="falls")
app.add_typer(protocol_app, name="protocol")
app.add_typer(cohort_app, name="cohort")
protocol_app.add_typer(deployment_app)
app.command()(backtest)

_GATEWAY_DATA: Final = Path("gateway-data")
_ADAPTERS: Final = ["hci0"]
DataFolder = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="HEARTHWATCH_GATEWAY_DATA",
        help="Folder in which the gateway keeps its key and waiting readings.",
    ),
]


def main() -> None:
    """The entry point."""
    app()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. HEARTHWATCH_HOST when not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. HEARTHWATCH_PORT when not given.")] = None,
) -> None:
    """Run the service: readings in, rules, messages out, and the pages. Ends cleanly on SIGTERM and Ctrl-C."""
    from api import logs
    from api.server import run

    given = {"host": host, "port": port}
    chosen = settings(**{name: value for name, value in given.items() if value is not None})
    logs.configure(as_json=chosen.log_json)
    run(chosen)


@app.command()
def migrate() -> None:
    """Bring the database to the shape this version needs, and make the rules core ready, so that nobody waits for it later.

    Safe to run again, and by several at once.
    """
    import psycopg

    from alerts.engine import compile_ahead
    from store.migrate import MigrationError
    from store.migrate import migrate as apply

    try:
        applied = apply(settings().database_url)
    except MigrationError as error:
        fail(str(error))
    except psycopg.OperationalError as error:
        fail(f"the database cannot be reached: {str(error).strip()}")
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
    compile_ahead()


@app.command()
def demo(
    data: Annotated[Path, typer.Option(help="Folder for the demo's database and logs.")] = Path(".hearthwatch"),
    port: Annotated[int, typer.Option(help="Port of the service.")] = 8000,
    phones_port: Annotated[int, typer.Option(help="Port of the page that shows the telephones.")] = 8001,
    record: Annotated[Path | None, typer.Option(help="Write the story's events with their times to this file.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the story has been told.")] = False,
) -> None:
    """Show the whole service on this machine, with a street of virtual homes. Ctrl-C ends it; nothing is lost."""
    from api.demo.run import main as run

    raise typer.Exit(run(data=data, port=port, phones_port=phones_port, record=record, once=once))


@app.command("push-keys")
def push_keys() -> None:
    """Print a new pair of keys with which the service sends messages to browsers (Web Push). Kept, they stay good for ever."""
    from alerts.channels.push import PushKeys

    keys = PushKeys.generate()
    typer.echo(f"HEARTHWATCH_PUSH_PRIVATE_KEY={keys.private}")
    typer.echo("HEARTHWATCH_PUSH_CONTACT=mailto:where push services reach you")
    typer.echo(f"# browsers know this service by the public key {keys.public}")


@app.command()
def status() -> None:
    """How the service is: gateways, the watch, messages that wait, and open alerts. Exit code 1 when something is wrong."""
    from api.status import show

    raise typer.Exit(with_database(show))


@gateway_app.callback(invoke_without_command=True)
def gateway(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_SERVER",
            help="Where the service is, such as https://hearthwatch.example; as paired when not given.",
        ),
    ] = None,
    data: DataFolder = _GATEWAY_DATA,
    adapter: Annotated[
        list[str],
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_ADAPTER",
            help="A Bluetooth adapter to listen with; may be given several times (in the environment: 'hci0 hci1').",
        ),
    ] = _ADAPTERS,
    radio: Annotated[
        str | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_RADIO",
            help="A virtual radio (unix:PATH) in place of this machine's Bluetooth adapters.",
        ),
    ] = None,
    fallback: Annotated[
        str | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_FALLBACK",
            help="A second way to the service: a network interface (wwan0), a source address, another URL, or several of these.",
        ),
    ] = None,
    say: Annotated[
        str | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_SAY",
            help="What speaks to the resident when a call for help does not get through, with {text}, {voice}, {language}, "
            "{what}; espeak-ng when not given, nothing when 'off'.",
        ),
    ] = None,
    disk_mb: Annotated[
        int | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_DISK_MB",
            min=8,
            help="How many megabytes may wait on the disk; half of what is free when not given, at most 512.",
        ),
    ] = None,
    falls_model: Annotated[
        Path | None,
        typer.Option(
            envvar="HEARTHWATCH_GATEWAY_FALLS_MODEL",
            help="Folder of a model that 'hearthwatch falls train' made; the shipped one tells falls when not given.",
        ),
    ] = None,
) -> None:
    """Collect from the home's devices and hand over to the service. Needs no network to start: it keeps what it collects."""
    if context.invoked_subcommand is not None:
        return
    from devices.aloud import DEFAULT_COMMAND
    from devices.gateway import GatewayError, GatewaySettings, run

    chosen = GatewaySettings(
        server=server,
        data=data,
        radio=radio,
        adapters=adapter,
        fallback=fallback,
        say=say or DEFAULT_COMMAND,
        disk_mb=disk_mb,
        falls_model=falls_model,
    )
    try:
        run(chosen)
    except GatewayError as error:
        fail(str(error))


@gateway_app.command("pair")
def gateway_pair(
    code: Annotated[str, typer.Argument(help="The code that 'hearthwatch gateway code' printed on the service.")],
    server: Annotated[str, typer.Option(help="Where the service is, such as https://hearthwatch.example.")],
    data: DataFolder = _GATEWAY_DATA,
) -> None:
    """On the gateway: show the one-time code and receive the key with which it speaks to the service from now on."""
    from devices.gateway import GatewayError, pair

    try:
        name = pair(server, code, data)
    except GatewayError as error:
        fail(str(error))
    typer.echo(f"paired as {name}; start it with: hearthwatch gateway --data {data}")


@gateway_app.command("code")
def gateway_code(
    name: Annotated[str, typer.Argument(help="The gateway's name, such as 'stairway 9'. A known name is paired anew.")],
    centre: Annotated[str | None, typer.Option(help="Its health centre, when there are several.")] = None,
) -> None:
    """On the service: issue a code that lets one gateway in, once, within 24 hours."""

    async def issue(database: Database) -> str:
        from store.pairing import issue_code

        async with database.service() as c:
            return await issue_code(c, await _centre(c, centre), name, datetime.now(UTC))

    code = with_database(issue)
    from store.pairing import command

    typer.echo(f"on the gateway run:  {command(code, settings().public_url)}")


@gateway_app.command("revoke")
def gateway_revoke(
    name: Annotated[str, typer.Argument(help="The gateway's name.")],
    centre: Annotated[str | None, typer.Option(help="Its health centre, when there are several.")] = None,
) -> None:
    """On the service: refuse a gateway from now on, for instance when it was stolen. Its readings so far stay."""

    async def revoke(database: Database) -> bool:
        from store import audit, gateways

        async with database.service() as c:
            done = await gateways.revoke(c, await _centre(c, centre), name, datetime.now(UTC))
            if done:
                await audit.record(c, "gateway_revoked", gateway=name)
            return done

    if not with_database(revoke):
        fail(f"there is no gateway {name!r}; 'hearthwatch status' lists them")
    typer.echo(f"{name} is refused within two seconds")


@user_app.command("add")
def user_add(
    username: Annotated[str, typer.Argument(help="The name to sign in with.")],
    name_zh: Annotated[str, typer.Option(help="The person's name in Chinese.", prompt="Name in Chinese")],
    name_en: Annotated[str, typer.Option(help="The person's name in Latin letters.", prompt="Name in Latin letters")],
    face: Annotated[
        str, typer.Option(help="doctor, care_worker, family, resident or administrator.", prompt="Which pages (face)")
    ],
    phone: Annotated[str | None, typer.Option(help="Telephone, with country code or as dialled in --region.")] = None,
    region: Annotated[str, typer.Option(help="Country of a telephone number written without one.")] = "CN",
    language: Annotated[str, typer.Option(help="zh_Hans or en: of pages and messages.")] = "zh_Hans",
    centre: Annotated[
        str | None, typer.Option(help="Her health centre, when there are several; made when there is none.")
    ] = None,
) -> None:
    """Add a person who may sign in, or give a known sign-in name a new password. Asks for the password."""
    from api import users

    try:
        new = users.check(username, name_zh, name_en, face, phone, region, language)
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        users.check_password(password, username)
    except users.NotUsable as error:
        fail(str(error))
    try:
        told = with_database(lambda database: users.add(database, new, password, centre))
    except users.NotUsable as error:
        fail(str(error))
    typer.echo(told)


async def _centre(c: Connection, name: str | None) -> int:
    from api.users import NotUsable, find_centre

    try:
        return await find_centre(c, name)
    except NotUsable as error:
        fail(str(error))


if __name__ == "__main__":
    main()
