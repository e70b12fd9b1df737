"""Starts ``hearthwatch demo`` as a newcomer would, and follows the story it writes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from store.embedded import EmbeddedPostgres

Event = dict[str, Any]
ENDS_S = 40


class Demo:
    """A running demo. ``events`` reads what it has written so far."""

    def __init__(self, data: Path, port: int, phones_port: int) -> None:
        self.data = data
        self.record = data / f"story-{port}.jsonl"
        self.service_url = f"http://127.0.0.1:{port}"
        self.phones_url = f"http://127.0.0.1:{phones_port}"
        ports = ("--port", str(port), "--phones-port", str(phones_port))
        command = [sys.executable, "-m", "api.cli", "demo", "--data", str(data), "--record", str(self.record), *ports]
        self.output = data / "terminal.txt"
        with self.output.open("ab") as terminal:
            self.process = subprocess.Popen(
                command, stdout=terminal, stderr=terminal, env={**os.environ, "LANG": "C.UTF-8"}
            )

    def events(self) -> list[Event]:
        lines = self.record.read_text(encoding="utf-8").splitlines() if self.record.exists() else []
        return [json.loads(line) for line in lines]

    def until(self, name: str, within_s: float = 150, **wanted: Any) -> Event:
        """The first event of this name and these values; fails with the terminal's words when it does not come."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for event in self.events():
                if event["event"] == name and all(event.get(k) == v for k, v in wanted.items()):
                    return event
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        said = self.output.read_text(errors="replace")[-4000:]
        raise AssertionError(f"no {name} {wanted} came within {within_s} s; the terminal says:\n{said}")

    def pid(self, part: str) -> int:
        """The process number of a part: postgres, service, gateway, street or telephone."""
        if part == "postgres":
            return int((self.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        return int((self.data / "logs" / f"{part}.pid").read_text())

    def kill(self, part: str) -> None:
        """End a part as a power cut would, and wait until the demo has started it again."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self._risen(part, before), 30)

    def _risen(self, part: str, before: int) -> bool:
        try:
            return self.pid(part) != before
        except (FileNotFoundError, IndexError, ValueError):
            return False

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the record, as its superuser."""
        with psycopg.connect(EmbeddedPostgres(self.data / "postgres").dsn, autocommit=True) as c:
            return c.execute(sql.encode()).fetchall()

    def phone_messages(self) -> list[tuple[str, str]]:
        """What the service sent to each number, message by message."""
        phones = httpx.get(f"{self.phones_url}/phones.json").json()["phones"]
        return [(p["number"], m["body"]) for p in phones for m in p["messages"] if m["direction"] == "outbound-api"]

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ENDS_S)


@contextmanager
def running(data: Path) -> Iterator[Demo]:
    """A demo on ``data``, ended afterwards whatever happens."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o755)
    demo = Demo(data, free_port(), free_port())
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            try:
                demo.stop()
            except subprocess.TimeoutExpired:
                demo.process.kill()
                demo.process.wait()


def wait_for(condition: Callable[[], bool], within_s: float) -> None:
    """Wait until something holds; fails when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        time.sleep(0.1)


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process is there, and more than a remainder waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
