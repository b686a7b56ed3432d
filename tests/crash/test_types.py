"""Types, relations and enums in mid-life survive SIGKILL.

Random programs run on a server that is killed again and again, and on an engine in this process that never is. After
each kill, what the server left on disk must be what the engine had after some number of the queries, at least as many
as were acknowledged; and the server, started again, must go on from there as the engine does.
"""

from __future__ import annotations

import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.store import SqliteStore
from server.native import AUTH, DATA, ERROR, OK, QUERY
from tests.conftest import Admin
from tests.server.fakes import bytes_of
from tests.serving import Server
from tests.types.programs import programs
from tests.types.state import check_rules, kept

SERVE = Path(__file__).with_name("serve_deterministic.py")


def new_engine() -> Engine:
    """An engine like that of the server."""
    return Engine(clock=lambda: 1_500_000_000.0, seed=1)


def state_of(engine: Engine) -> dict[Any, Any]:
    """All that is stored, but for what differs from server to server: the user's salted password."""
    return {key: value for key, value in kept(engine).items() if key[0] != "user"}


def state_on_disk(data: Path) -> tuple[dict[Any, Any], int]:
    """What a start finds in the store, and how many queries were done."""
    store = SqliteStore.open(data, create=False)
    try:
        engine = new_engine()
        engine.open(store)
        check_rules(engine)
        return state_of(engine), done_in(engine)
    finally:
        store.close()


def done_in(engine: Engine) -> int:
    """How many queries are done: each says so."""
    root = engine.collections["stuff"].root
    return int(root.get("done", 0))


class Connection:
    """A client that sends queries without waiting."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(60)
        self.unpacked = b""
        self.socket.sendall(bytes_of(AUTH, ["admin", "pass"]))
        assert self.reply() == OK

    def send(self, texts: list[str]) -> None:
        self.socket.sendall(b"".join(bytes_of(QUERY, ["//stuff", text]) for text in texts))

    def reply(self) -> int | None:
        """The type of the next reply; None when the connection has ended."""
        while True:
            length = int.from_bytes(self.unpacked[:4], "little") + 8
            if len(self.unpacked) >= max(length, 8):
                package, self.unpacked = self.unpacked[:length], self.unpacked[length:]
                if package[6] in (OK, DATA, ERROR):
                    if package[6] == ERROR:
                        assert msgpack.unpackb(package[8:])["error_code"] != -1, package
                    return package[6]
                continue
            try:
                received = self.socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not received:
                return None
            self.unpacked += received


@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(programs(24), st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_types_in_mid_life(program: list[str], kills: list[int]) -> None:
    queries = [f".done = {number}; {text}" for number, text in enumerate(program, 1)]
    model = new_engine()
    model.initialise()
    admin = Admin(model)
    states = [state_of(model)]
    for text in queries:
        model.query(admin, "//stuff", text)
        states.append(state_of(model))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), (SERVE,))
        try:
            done = 0
            for enough in [*kills, len(queries)]:
                server.start()
                connection = Connection(server.tcp)
                connection.send(queries[done:])
                acknowledged = done
                while acknowledged < min(done + enough, len(queries)):
                    assert connection.reply() is not None, server.said
                    acknowledged += 1
                assert server.stop(signal.SIGKILL) == -signal.SIGKILL
                while connection.reply() is not None:
                    acknowledged += 1
                connection.socket.close()
                found, done = state_on_disk(server.data)
                assert acknowledged <= done <= len(queries)
                assert found == states[done]
        finally:
            server.stop()
        assert "Traceback" not in server.said
