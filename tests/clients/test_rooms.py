"""Rooms of the client of today, which joins them again after a restart of the server."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Program, restart
from tests.serving import Server


def heard(program: Program, room: str) -> list[dict[str, Any]]:
    """What the program heard in a room, in order."""
    return [
        {word: what for word, what in said.items() if word != "room"}
        for said in program.heard
        if said.get("room") == room
    ]


@pytest.mark.parametrize("way", ["TCP", "WebSocket"])
def test_rooms(way: str, client_1_4: Path, server: Server, start: Any) -> None:
    host, port = ("127.0.0.1", server.tcp) if way == "TCP" else (f"ws://127.0.0.1:{server.ws}", server.ws)
    program = start(client_1_4, "rooms", host, port, "rooms")
    assert program.until("ready")["is"] is True
    assert heard(program, "chat") == [
        {"joined": True}, {"said": [1, {"x": [2]}]}, {"said": ["to others"]}, {"other": ["sung", "la"]},
    ]  # fmt: skip
    assert heard(program, "mine") == [
        {"joined": True}, {"said": [1, {"x": [2]}]}, {"other": ["sung", "la"]}, {"left": True},
    ]  # fmt: skip
    assert heard(program, "quiet") == [{"joined": True}, {"gone": True}]
    assert not program.logged
    program.heard.clear()
    restart(server, signal.SIGKILL if way == "TCP" else signal.SIGTERM, program)
    program.end()
    assert heard(program, "chat") == [{"joined": True}, {"said": ["again"]}], program.heard
