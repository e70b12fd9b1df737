"""The service's real door for its telephone provider, over a test's database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI
from pydantic import SecretStr

from alerts.channels import utc_now
from api import problems, webhooks
from api.settings import Settings
from store.postgres import Database
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN


def open_door(database: Database, port: int, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """What answers at ``/webhooks/twilio`` of a service on this port."""
    app = FastAPI()
    app.state.database = database
    app.state.clock = clock
    app.state.settings = Settings(
        database_url=database.dsn,
        public_url=f"http://127.0.0.1:{port}",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=SecretStr(TOKEN),
        twilio_from=NUMBER,
    )
    problems.install(app)
    app.include_router(webhooks.router)
    return app
