"""The processes that are measured: how they are started, ended, and what the system says of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

__all__ = ["HOST", "Target", "against", "baseline", "cpu_seconds", "resident_bytes", "serve", "started"]

HOST = "127.0.0.1"

EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Settings of the C library with which memory that is freed goes back to the system. By default some of it stays: what
a login took for hashing the password would hide what thousands of connections take."""

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Target:
    """Something to measure. `pid` is None for a server that is not ours to look into; ports that it has not are 0."""

    name: str
    host: str = HOST
    native: int = 0
    websocket: int = 0
    http: int = 0
    echo: int = 0
    publish: int = 0
    watch: int = 0
    pid: int | None = None
    user: str = "admin"
    password: str = "pass"
    scope: str = "//stuff"

    @property
    def bare(self) -> bool:
        """Is it the baseline?"""
        return bool(self.echo)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [open_.getsockname()[1] for open_ in sockets]
    for open_ in sockets:
        open_.close()
    return ports


@contextmanager
def _process(command: list[str], exact_memory: bool = False) -> Iterator[tuple[subprocess.Popen[str], IO[bytes]]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVETHINGS_")}
    if exact_memory:
        environment |= EXACT_MEMORY
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield process, errors
        finally:
            ended = process.poll()
            process.kill()  # nothing of it is needed any more
            process.wait()
            if ended is not None:
                errors.seek(0)
                said = errors.read().decode(errors="replace")
                print(f"{command[1]} has ended by itself, with status {ended}: {said}", file=sys.stderr)
            if process.stdout is not None:
                process.stdout.close()


def _first_line(process: subprocess.Popen[str], errors: IO[bytes]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        errors.seek(0)
        raise RuntimeError(f"a server did not start: {errors.read().decode(errors='replace')}")
    return line


@contextmanager
def serve(data: Path | None = None, *, exact_memory: bool = False) -> Iterator[Target]:
    """Our server, as a process of its own, on a folder (default: an empty one that is removed afterwards)."""
    with started(data, exact_memory=exact_memory) as (target, _):
        yield target


@contextmanager
def started(data: Path | None = None, *, exact_memory: bool = False) -> Iterator[tuple[Target, float]]:
    """The same, with the seconds from the start of the process to the line that says it is ready."""
    with TemporaryDirectory(prefix="livethings-bench-") as folder:
        tcp, ws, http = _free_ports(3)
        command = ["-m", "server.cli", "serve", "--data-dir", str(data or folder)]
        command += ["--tcp-port", str(tcp), "--ws-port", str(ws), "--http-port", str(http), "--log-level", "error"]
        began = time.perf_counter()
        with _process(command, exact_memory) as (process, errors):
            _first_line(process, errors)
            took = time.perf_counter() - began
            yield Target("livethings", native=tcp, websocket=ws, http=http, pid=process.pid), took


@contextmanager
def baseline(*, exact_memory: bool = False) -> Iterator[Target]:
    """The bare server (`bench.baseline`)."""
    with _process(["-m", "bench.baseline"], exact_memory) as (process, errors):
        ports = json.loads(_first_line(process, errors))
        yield Target("baseline", pid=process.pid, **ports)


def against(address: str, user: str, password: str, scope: str) -> Target:
    """A running server that speaks the native protocol, by `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    return Target("other", host=host.strip("[]") or HOST, native=int(port), user=user, password=password, scope=scope)


# --- what the system says --------------------------------------------------------------------------------------------


def resident_bytes(pid: int) -> int:
    """Bytes of memory that the process has in RAM."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system says no memory for process {pid}")


_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that the process has used so far, the system's work for it included."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
