"""The web server round the app: it ends open pages first, so that stopping does not wait for them."""

from __future__ import annotations

import socket
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.settings import Settings

_GRACE_S: Final = 5


class Server(uvicorn.Server):
    """A server that tells the live streams to end before it waits for requests under way."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end streams, finish what is under way."""
        self._app.state.hub.close()
        await super().shutdown(sockets)


def make_server(settings: Settings) -> Server:
    """A server for these settings, not yet running."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
    )
    return Server(config, app)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    make_server(settings).run()
