"""Random changes, watches, deep watches, live queries, disconnects and SIGKILLs on a server process: each client's
mirror is what there is whenever all is quiet."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from engine.engine import Engine
from engine.store import SqliteStore
from server import native
from tests.conftest import Admin
from tests.model.clients import Client
from tests.model.machine import SETUP, Machine
from tests.model.wires import Asked
from tests.serving import Server

EXAMPLES = int(os.environ.get("LIVETHINGS_EXAMPLES", "4"))
"""How many runs; of up to so many steps."""

STEPS = int(os.environ.get("LIVETHINGS_STEPS", "40"))

WAIT = 20.0
"""Seconds within which the server must have said what it has to say."""

PING = Asked(native.PING, None, "ping", {})


@cache
def prepared() -> tuple[Path, list[str]]:
    """A folder with the store of a server on which `SETUP` was run, and the tokens that it gave."""
    folder = Path(tempfile.mkdtemp())
    store = SqliteStore.open(folder, create=True)
    engine = Engine()
    engine.open(store)
    for scope, code in SETUP:
        outcome = engine.query(Admin(engine), scope, code)
        assert outcome.change is not None, outcome.error
        store.write_batch(outcome.change.id, [outcome.change.packed], time.time())
    store.write_checkpoint(engine.checkpoint())
    store.close()
    return folder, outcome.value


class Processes(Machine):
    """The server is a process, which is killed at any moment; everybody reads and writes as the sockets allow."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: dict[Client, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        self.server: Server | None = None

    intervals = (0.02, 0.1)

    # --- the world ---------------------------------------------------------------------------------------------------

    def open_world(self) -> list[str]:
        store, tokens = prepared()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(store, self.folder / "data")
        self.server = Server(self.folder, (Path(__file__).parents[1] / "crash" / "serve.py",))
        self.server.start()
        return tokens

    @property
    def running(self) -> bool:
        return self.server is not None and self.server.process is not None

    def plug(self, client: Client, wire: str) -> None:
        assert self.server is not None
        line = socket.create_connection(("127.0.0.1", self.server.tcp if wire == "tcp" else self.server.ws), WAIT)
        self.sockets[client] = line
        self.selector.register(line, selectors.EVENT_READ, client)
        client.begin(wire)
        client.send = line.sendall

    def unplug(self, client: Client) -> None:
        client.cut()
        self.close(client)

    def close(self, client: Client) -> None:
        line = self.sockets.pop(client)
        self.selector.unregister(line)
        line.close()

    def read(self, seconds: float) -> bool:
        """Have everybody read what has come, waiting for so long; False when nothing came."""
        ready = self.selector.select(seconds)
        for key, _ in ready:
            client, line = key.data, self.sockets[key.data]
            try:
                data = line.recv(1 << 20)
            except ConnectionError:
                data = b""
            if data:
                client.receive(data)
            else:
                assert not self.running, (self.server and self.server.said, client.errors)
                self.unplug(client)
        return bool(ready)

    def quiet(self) -> None:
        # A change that is on disk lets everything go out that was said before it, and live queries run after it.
        end = time.monotonic() + WAIT
        for _ in range(2):
            for client in self.sockets:
                client.ask(PING)
            while any(client.waiting for client in self.sockets):
                self.read(0.05)
                assert time.monotonic() < end, "the server does not answer"
        while self.read(0.0):
            pass

    def check_lives(self, auditor: Client, client: Client) -> None:
        end = time.monotonic() + WAIT
        while self.disagreeing(auditor, client) and time.monotonic() < end:
            self.quiet()
        super().check_lives(auditor, client)

    # --- what happens in it ------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def reads(self, count: int) -> None:
        for _ in range(count):
            self.read(0.001)

    @precondition(lambda self: self.running)
    @rule(number=st.sampled_from([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]), waits=st.integers(0, 20))
    def ends(self, number: signal.Signals, waits: int) -> None:
        """The server is killed, or told to end."""
        assert self.server is not None
        time.sleep(waits / 1000)
        self.server.stop(number)
        while self.sockets:
            self.read(0.1)

    @precondition(lambda self: not self.running)
    @rule()
    def starts(self) -> None:
        assert self.server is not None
        self.server.start()

    def teardown(self) -> None:
        if self.server is None:
            return
        try:
            if not self.running:
                self.starts()
            self.check()
            assert "Traceback" not in self.server.said
        finally:
            for client in list(self.sockets):
                self.close(client)
            self.selector.close()
            self.server.stop(signal.SIGKILL)
            shutil.rmtree(self.folder)


def test_every_mirror_is_what_there_is() -> None:
    run_state_machine_as_test(
        Processes,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
