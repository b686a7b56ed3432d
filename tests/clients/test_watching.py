"""The watch framework of the 0.x client, flow by flow, and the requests that it is made of."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Program, restart
from tests.serving import Server


def events_before(program: Program, step: str) -> list[list[Any]]:
    """The events between a step and the one before it: kind and data."""
    events: list[list[Any]] = []
    for said in program.heard:
        if "event" in said:
            events.append([said["event"], said["data"]])
        elif "step" in said:
            if said["step"] == step:
                return events
            events = []
    raise AssertionError(step)


def test_requests_and_events(client_0_6: Path, shared_server: Server, run: Any) -> None:
    program = run(client_0_6, "raw", shared_server.tcp, "raw")
    assert not program.logged
    root, a, b = program.steps["ids"]
    inner = a + 1
    watched = events_before(program, "watched")
    assert [kind for kind, _ in watched] == ["init", "warning", "init"]
    number = watched[0][1]["event"]
    assert watched[0][1] == {"event": number, "thing": {"#": b}, "collection": "raw"}
    assert watched[2][1] == {
        "event": number, "thing": {"#": a, "x": 1, "l": [1, {"#": inner}]}, "collection": "raw",
    }  # fmt: skip
    number += 1
    assert events_before(program, "own change") == [
        ["update", {"#": a, "event": number, "jobs": [{"set": {"x": 2}}]}],
        ["update", {"#": b, "event": number, "jobs": [{"set": {"x": 3}}]}],
        [
            "update",
            {
                "#": a, "event": number,
                "jobs": [{"splice": {"l": [2, 0, {"#": b + 1, "z": 1}, {"#": b}]}}, {"set": {"x": 4}}],
            },
        ],
    ]  # fmt: skip
    number += 1
    assert events_before(program, "another's change") == [
        [
            "update",
            {
                "#": a, "event": number,
                "jobs": [
                    {"set": {"s": {"$": [{"#": b}]}}},
                    {"add": {"s": [{"#": b + 2, "n": 1}]}},
                    {"remove": {"s": [b]}},
                    {"del": "s"},
                ],
            },
        ]
    ]  # fmt: skip
    (again,) = events_before(program, "watched again")
    assert again == [
        "init",
        {"event": number, "thing": {"#": a, "x": 4, "l": again[1]["thing"]["l"]}, "collection": "raw"},
    ]
    assert events_before(program, "unwatched") == [["stop", {"#": a}], ["stop", {"#": b}]]
    assert [kind for kind, _ in events_before(program, "deleted")] == ["init", "delete"]
    assert {step: said for step, said in program.steps.items() if step.startswith("refused")} == {
        "refused //raw": "BadDataError",
        "refused @t": "LookupError",
        "refused //nothing": "LookupError",
        "refused nothing": "ValueError",
    }
    ((kind, init),) = events_before(program, "root watched")
    assert kind == "init"
    assert set(init) == {"event", "thing", "collection", "enums", "types", "procedures"}
    assert events_before(program, "collection gone") == [["delete", {"#": root}]]


def test_emitters(client_0_6: Path, shared_server: Server, run: Any) -> None:
    program = run(client_0_6, "emitters", shared_server.tcp, "emitters")
    assert not program.logged
    assert None not in program.steps["ids"]
    assert [(said["by"], said["rang"]) for said in program.heard if "rang" in said] == [
        ("RootBell", [1]),
        ("HomeBell", ["two", [3], {"x": 4}]),
        ("IdBell", [{"x": {"y": 5}}]),
        ("HomeBell", []),
        ("RootBell", [6]),
    ]
    assert (program.steps["one less"], program.steps["two less"]) == (1, 2)


@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGKILL], [signal.SIGKILL, signal.SIGTERM]])
def test_reconnecting(numbers: list[int], client_0_6: Path, server: Server, start: Any) -> None:
    program = start(client_0_6, "reconnect", server.tcp, "shop", len(numbers))
    for count, number in enumerate(numbers):
        assert program.until("ready")["is"] == count * 10
        restart(server, number, program)
        assert program.until("again")["is"] == [True, (count + 1) * 10, ["a"] + ["b"] * (count + 1)]
    program.end()
    assert [said["rang"] for said in program.heard if "rang" in said] == [[10], [20]][: len(numbers)]
    # Nothing was misunderstood: all that was said is that the connection was lost, and tried again.
    for said in program.logged:
        assert any(word in said for word in ("lost connection", "connecting to", "re-watching", "will try again")), said
