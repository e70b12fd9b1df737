"""What every test may ask for: a real PostgreSQL, a migrated database of one's own, the reference data."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import structlog
from playwright.sync_api import Browser, sync_playwright

from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database

# A traceback with every local variable takes seconds where those are columns of many residents.
structlog.configure(
    [
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

PROJECT = Path(__file__).resolve().parent.parent
CHROMIUM_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick ones first, those with a browser last. The stories, which wait more than they work, stand far apart among
    them: beside each the others go on, and at the end nobody waits for one alone."""
    items.sort(key=lambda item: "browser" in item.keywords)
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    stories = [those for those in files.values() if "story" in those[0].keywords]
    order = [those for those in files.values() if "story" not in those[0].keywords]
    for number, story in enumerate(stories, 1):
        order.insert(number * len(order) // (len(stories) + 2), story)
    items[:] = [item for those in order for item in those]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def unavailable(reason: str) -> None:
    """This machine lacks what a test needs: said plainly, and a failure in CI, where nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that lies beside the project in CI."""
    folder = Path(os.environ.get("HEARTHWATCH_SHARED", PROJECT.parent / "shared"))
    if not folder.is_dir():
        unavailable("the reference data are not beside the project; set HEARTHWATCH_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that another user may enter too: PostgreSQL does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hearthwatch-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_dsn(scratch: Path) -> Iterator[str]:
    """A server's superuser: the embedded one, or the one named by HEARTHWATCH_TEST_DATABASE (TimescaleDB in CI)."""
    if dsn := os.environ.get("HEARTHWATCH_TEST_DATABASE"):
        yield dsn
        return
    with EmbeddedPostgres(scratch / "pg", settings=("-c", "fsync=off", "-c", "max_connections=200")) as server:
        yield server.dsn


@pytest.fixture(scope="session")
def template(server_dsn: str) -> str:
    """The name of a migrated database from which each test's own is copied."""
    name = f"template_{uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute(f'CREATE DATABASE "{name}"'.encode())
    migrate(with_database(server_dsn, name))
    with psycopg.connect(server_dsn, autocommit=True) as c:
        # A database in use cannot be copied, and TimescaleDB's own workers visit every one that lets them in.
        c.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
    return name


@pytest.fixture
def database_url(server_dsn: str, template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [template])
        c.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield with_database(server_dsn, name)
        finally:
            c.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url, max_size=6) as db:
        yield db


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium: HEARTHWATCH_CHROMIUM, or the one on PATH. Its driver keeps an event loop running in this
    thread, so it goes with its module, before a test with a loop of its own comes."""
    path = os.environ.get("HEARTHWATCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        unavailable("there is no Chromium: install it, or set HEARTHWATCH_CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


def with_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)
