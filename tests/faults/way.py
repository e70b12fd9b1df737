"""The way from one process to another, which can be cut in the middle of everything, or fall silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

Reached = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Way:
    """Carries TCP connections on ``port`` to whatever ``reach`` connects to."""

    def __init__(self, reach: Reached, port: int = 0) -> None:
        self.port = port
        self._reach = reach
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self, for_s: float) -> None:
        """Tear what is under way, and let nothing through for a while."""
        self._is_cut = True
        self._tear()
        await asyncio.sleep(for_s)
        self._is_cut = False

    async def hold(self, for_s: float) -> None:
        """Let nothing through for a while, though every connection seems to stand; then go on as if nothing had been."""
        self._flows.clear()
        await asyncio.sleep(for_s)
        self._flows.set()

    def stop(self) -> None:
        self._tear()
        if self._server is not None:
            self._server.close()

    def _tear(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._reach()
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()
