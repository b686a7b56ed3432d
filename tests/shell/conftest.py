"""A server, and the command `livethings` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import ROOT, Server
from tests.terminal import Terminal

COMMAND = (sys.executable, "-m", "server.cli")
LONGEST = 20.0
"""Seconds after which a command has failed."""


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that leave it as it is; those that write use names of their own."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with Server(tmp_path) as server:
        yield server


def environment(server: Server | None, **variables: str) -> dict[str, str]:
    """What a command finds around it: where the server is, and the password of its user."""
    ours = {"PYTHONPATH": str(ROOT), "LIVETHINGS_PASSWORD": "pass"}
    if server is not None:
        ours["LIVETHINGS_URL"] = f"tcp://127.0.0.1:{server.tcp}"
    return {name: value for name, value in os.environ.items() if not name.startswith("LIVETHINGS_")} | ours | variables


def livethings(
    server: Server | None, *arguments: object, given: str | bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in no terminal; what became of it."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given.encode() if isinstance(given, str) else given,
        env=environment(server, **variables),
        capture_output=True,
        timeout=LONGEST,
        start_new_session=True,  # away from the terminal of whoever runs the tests
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Any]:
    """Runs the command in a terminal."""
    terminals: list[Terminal] = []

    def start(server: Server | None, *arguments: object, **variables: str) -> Terminal:
        around = environment(server, **variables)
        wanted = {name: around[name] for name in around if name.startswith("LIVETHINGS_") or name in variables}
        command = [*COMMAND, *map(str, arguments)]
        terminals.append(Terminal(command, tmp_path, **{"PYTHONPATH": str(ROOT)} | wanted))
        return terminals[-1]

    yield start
    for one in terminals:
        one.close()
