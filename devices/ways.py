"""Two ways to the service: the main one, and one for when it fails, such as a stick for the mobile network.

An emergency takes whichever works. Everything else takes the fallback only when the main way has been gone for long,
because mobile data costs money; raw acceleration never does. Pure but for :class:`Way`, which carries the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection, HTTPException
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx

PATIENCE_S: Final = 600.0
"""The main way must have failed for so long before anything but an emergency takes the fallback."""
PROBE_S: Final = 60.0
"""While the fallback is in use the main way is tried this often."""
_ANSWER_BYTES: Final = 4 * 1024 * 1024
_INTERFACE: Final = re.compile(r"[A-Za-z0-9._:-]{1,15}")  # IFNAMSIZ of Linux is 16, with the zero at its end


class Haste(Enum):
    """How much what is sent matters."""

    EMERGENCY = "emergency"
    ORDINARY = "ordinary"
    SPARE = "spare"


class WayName(Enum):
    """As the heartbeat tells it."""

    MAIN = "main"
    FALLBACK = "fallback"


class NoEnd(Exception):
    """An answer is longer, or takes longer, than any answer may."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another way: another address of the service, a network interface of this machine, or the address of one.

    What is None is as on the main way.
    """

    server: str | None = None
    interface: str | None = None
    source: str | None = None

    @classmethod
    def parse(cls, words: str) -> Fallback:
        """From a setting such as ``wwan0``, ``192.168.8.100`` or ``https://care2.example.org wwan0``, in any order.

        ``ValueError`` says what is wrong with it.
        """
        found: dict[str, str] = {}
        for word in words.split():
            name = _part(word)
            if name in found:
                raise ValueError(f"{words!r} names two of one thing: {found[name]} and {word}")
            found[name] = word
        if not found:
            raise ValueError("the fallback names neither an address of the service nor a network interface")
        return cls(**found)


def _part(word: str) -> str:
    if "://" in word:
        check_server(word)
        return "server"
    try:
        ipaddress.ip_address(word)
    except ValueError:
        if not _INTERFACE.fullmatch(word):
            raise ValueError(f"{word!r} is neither an address nor the name of a network interface") from None
        return "interface"
    return "source"


def check_server(server: str) -> str:
    """The service's address without its last slash. ``ValueError`` when it is none."""
    address = urlsplit(server)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f"{server!r} is not the address of a service; it looks like https://care.example.org")
    return server.rstrip("/")


class Choice:
    """Which way to take. Times are of a clock that only goes forward, in seconds."""

    def __init__(self, *, patience_s: float = PATIENCE_S, probe_s: float = PROBE_S) -> None:
        self.in_use = WayName.MAIN
        self._patience_s = patience_s
        self._probe_s = probe_s
        self._failing_since: float | None = None
        self._tried_at = 0.0

    def order(self, haste: Haste, now_s: float) -> tuple[WayName, ...]:
        """The ways to try, one after the other until one works."""
        main, fallback = WayName.MAIN, WayName.FALLBACK
        if haste is Haste.SPARE:
            return (main,)
        if haste is Haste.EMERGENCY:
            return (main, fallback) if self._failing_since is None else (fallback, main)
        if self._failing_since is None or now_s - self._failing_since < self._patience_s:
            return (main,)
        return (main, fallback) if now_s - self._tried_at >= self._probe_s else (fallback,)

    def worked(self, way: WayName) -> None:
        """The service answered by this way."""
        self.in_use = way
        if way is WayName.MAIN:
            self._failing_since = None

    def failed(self, way: WayName, now_s: float) -> None:
        """The service did not answer by this way."""
        if way is WayName.MAIN:
            self._tried_at = now_s
            if self._failing_since is None:
                self._failing_since = now_s


class Way(Protocol):
    """Carries one request to ``server``."""

    server: str

    async def post(
        self, path: str, content: bytes, headers: Mapping[str, str], wait_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body. ``httpx.HTTPError``, :class:`NoEnd` or ``TimeoutError`` when there are none."""

    async def close(self) -> None:
        """Close its connections."""


class MainWay:
    """By whatever route the machine has."""

    def __init__(self, server: str, wait_s: float) -> None:
        self.server = server
        self._client = httpx.AsyncClient(timeout=wait_s)

    async def post(
        self, path: str, content: bytes, headers: Mapping[str, str], wait_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """See :class:`Way`."""
        async with (
            asyncio.timeout(wait_s),
            self._client.stream("POST", self.server + path, content=content, headers=headers) as response,
        ):
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                _require_end(body)
            return response.status_code, response.headers, bytes(body)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


class FallbackWay:
    """By the interface it names, whatever the machine's routes say. The service's name is looked up as for every way.

    Not by httpx: it sets a socket's options after it has connected (``httpcore/_backends`` 1.0, ``connect_tcp``), and
    which interface to use must be said before. In a thread of its own, which ends when the socket is shut.
    """

    def __init__(self, main: str, fallback: Fallback) -> None:
        self.server = check_server(fallback.server) if fallback.server else main
        self._fallback = fallback
        self._tls = httpx.create_ssl_context() if self.server.startswith("https:") else None

    async def post(
        self, path: str, content: bytes, headers: Mapping[str, str], wait_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """See :class:`Way`."""
        address = urlsplit(self.server)
        assert address.hostname is not None
        connection = _Bound(address.hostname, address.port, self._fallback, self._tls, wait_s)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.to_thread(_exchange, connection, address.path + path, content, headers)
        except (OSError, HTTPException) as error:
            if isinstance(error, TimeoutError):
                raise
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        finally:
            connection.end()

    async def close(self) -> None:
        """Nothing is kept open."""


class _Bound(HTTPConnection):
    """A connection from one interface or source address of this machine."""

    def __init__(
        self, host: str, port: int | None, fallback: Fallback, tls: ssl.SSLContext | None, wait_s: float
    ) -> None:
        super().__init__(host, port or (443 if tls else 80), timeout=wait_s)
        self._fallback = fallback
        self._tls = tls
        self._wait_s = wait_s

    def connect(self) -> None:
        """Connect by the first of the host's addresses that answers."""
        error = OSError(f"{self.host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            self.sock = socket.socket(family, kind, protocol)
            try:
                self._bind(self.sock)
                self.sock.connect(address)
                if self._tls is not None:
                    self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
                return
            except OSError as failed:
                self.sock.close()
                error = failed
        raise error

    def _bind(self, sock: socket.socket) -> None:
        sock.settimeout(self._wait_s)
        if self._fallback.interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._fallback.interface.encode() + b"\0")
        if self._fallback.source is not None:
            sock.bind((self._fallback.source, 0))

    def end(self) -> None:
        """End whatever goes on, also in another thread."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            self.sock.close()


def _exchange(
    connection: HTTPConnection, path: str, content: bytes, headers: Mapping[str, str]
) -> tuple[int, httpx.Headers, bytes]:
    connection.request("POST", path, content, dict(headers))
    response = connection.getresponse()
    body = response.read(_ANSWER_BYTES + 1)
    _require_end(body)
    return response.status, httpx.Headers(response.getheaders()), body


def _require_end(body: bytes | bytearray) -> None:
    if len(body) > _ANSWER_BYTES:
        raise NoEnd
