"""Environments with real clients in them, servers for them to talk to, and small programs that use them.

Clients of different ages can't share an environment, so each has one of its own in `.envs/`, made when first needed
and kept. A program (`programs/`) says what it sees as a line of JSON each; what the client logs is among it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import ROOT, Server

PROGRAMS = Path(__file__).with_name("programs")
LONGEST = 20.0
"""Seconds after which a program has failed."""


def environment(*requirements: str) -> Path:
    """The Python of an environment in which the packages are installed and nothing else."""
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    folder = ROOT / ".envs" / "-".join((*requirements, version)).replace("==", "-")
    python = Path("bin") / "python"
    if not (folder / python).exists():
        folder.parent.mkdir(exist_ok=True)
        # Made elsewhere and put in place whole: another run may be at the same, or this one may be stopped.
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
            subprocess.run(
                [sys.executable, "-m", "pip", "--python", made / python, "install", "--quiet", *requirements],
                check=True,
                stderr=subprocess.PIPE,
            )
            with contextlib.suppress(OSError):  # the other run was faster
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder / python


@pytest.fixture(scope="session")
def client_0_6() -> Path:
    """The last client of the 0.x series, with its watch framework."""
    return environment("python-thingsdb==0.6.24")


@pytest.fixture(scope="session")
def client_1_4() -> Path:
    """A client of today, which speaks over TCP and WebSocket."""
    return environment("python-thingsdb==1.4.1", "websockets==15.0.1")


class Program:
    """A running program, and what it has said so far."""

    def __init__(self, python: Path, name: str, *arguments: object) -> None:
        self.heard: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [python, PROGRAMS / f"{name}.py", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self._timer = threading.Timer(LONGEST, self._process.kill)
        self._timer.start()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors += self._process.stderr

    def until(self, step: str) -> dict[str, Any]:
        """Read on until it says that it is at a step; what it says there."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, Any] = json.loads(line)
            self.heard.append(said)
            if said.get("step") == step:
                return said
        pytest.fail(f"it ended before {step}, having said {self.heard}:\n{''.join(self._errors)}")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it notice nothing meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Read until it ends, as it should."""
        assert self._process.stdout is not None
        self.heard += map(json.loads, self._process.stdout)
        status = self._process.wait()
        self._timer.cancel()
        self._reader.join()
        assert status == 0, f"having said {self.heard}:\n{''.join(self._errors)}"

    def close(self) -> None:
        """Have it gone, whatever it does."""
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    @property
    def steps(self) -> dict[str, Any]:
        """What it said at each step."""
        return {said["step"]: said["is"] for said in self.heard if "step" in said}

    @property
    def logged(self) -> list[str]:
        """What the client had to complain about."""
        return [said["log"] for said in self.heard if "log" in said]


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts programs."""
    programs: list[Program] = []

    def start(python: Path, name: str, *arguments: object) -> Program:
        programs.append(Program(python, name, *arguments))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def run(start: Any) -> Any:
    """Runs a program to its end."""

    def run(python: Path, name: str, *arguments: object) -> Program:
        program: Program = start(python, name, *arguments)
        program.end()
        return program

    return run


def restart(server: Server, number: int, program: Program) -> None:
    """End a server by a signal and start it again, while a program is connected to it."""
    # A process that is killed closes its connections before its door, and the clients don't survive it when they are
    # accepted by the dying: they connect again in no time. So they don't see it before it is over.
    with program.stopped() if number == signal.SIGKILL else contextlib.nullcontext():
        server.stop(number)
    server.start()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that leave it as it is; each uses a collection of its own."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with Server(tmp_path) as server:
        yield server
