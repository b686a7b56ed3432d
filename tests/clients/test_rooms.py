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


@pytest.mark.parametrize("way", ["TCP", "WebSocket"])
def test_corners_of_rooms(way: str, client_1_4: Path, shared_server: Server, run: Any) -> None:
    host = "127.0.0.1" if way == "TCP" else f"ws://127.0.0.1:{shared_server.ws}"
    program = run(client_1_4, "more_rooms", host, shared_server.tcp if way == "TCP" else shared_server.ws, way.lower())
    assert not program.logged
    assert program.steps == {
        "default scope": True,
        "refused": ["LookupError", "LookupError", "TypeError", "LookupError", "TypeError", "LookupError"],
        "emitted": None,
        "many": None,
        "may not join": ["ForbiddenError", "ForbiddenError"],
        "left again": None,
        "gone": ["LookupError", "LookupError"],
    }
    said: dict[str, list[dict[str, Any]]] = {}
    for fact in program.heard:
        if "ear" in fact:
            said.setdefault(fact["ear"], []).append({word: what for word, what in fact.items() if word != "ear"})
    whole = {"count": 1, "rest": [None, True, 2.5, "é", {"bytes": "bytes"}, [[{"deep": [{}]}]]]}
    thing = {"other": "thing", "arguments": [{"inner": {"leaf": {"end": 1}}}]}
    peers = [{"other": "", "arguments": []}, {"other": "big", "arguments": ["x" * 300_000]}]
    joined, last = {"known": 1}, {"count": 400, "rest": []}
    crowds = {}
    for ear, before, after in (
        ("by id", [joined, whole, *peers], [thing, last, {"count": 401, "rest": []}]),
        ("by name", [joined, whole], [thing, last, {"left": True}]),
    ):
        crowds[ear] = said[ear][len(before) : -len(after)]
        assert said[ear] == [*before, *crowds[ear], *after]
    # Both hear the same in the same order, and each speaker's words in the order in which they were said.
    assert crowds["by id"] == crowds["by name"]
    for start, who in ((100, "there"), (200, "here"), (300, "code")):
        numbers = [fact["count"] for fact in crowds["by id"] if fact["rest"] == [who]]
        assert numbers == list(range(start, start + 100))
    assert len(crowds["by id"]) == 300
    # A right that is lost does not put anybody out of a room.
    assert said["guest"] == [joined, last]
    assert said["elsewhere"] == [joined, {"gone": True}]
    for number in range(12):
        assert said[f"many {number}"] == [joined, {"count": number, "rest": []}, {"gone": True}]
    gone = [fact["ear"] for fact in program.heard if fact.get("gone")]
    assert sorted(gone[:2]) == ["many 0", "many 11"]
