"""What clients of both ages do with queries, procedures and users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serving import Server

ERRORS = {
    "x": "LookupError",
    "1 +": "SyntaxError",
    "1 / 0": "ZeroDivisionError",
    "9223372036854775807 + 1": "OverflowError",
    "'a' + 1": "TypeError",
    "randint(2, 1)": "ValueError",
    "randint(1)": "NumArgumentsError",
    "assert(false)": "AssertionError",
    "raise(forbidden_err('no'))": "ForbiddenError",
    "raise(operation_err('no'))": "OperationError",
    "raise(cancelled_err('no'))": "CancelledError",
    "raise(max_quota_err('no'))": "MaxQuotaError",
    "raise(bad_data_err('no'))": "BadDataError",
    "raise(err(-100, 'hundred'))": "CustomError",
}


@pytest.mark.parametrize("way", ["0.6 over TCP", "1.4 over TCP", "1.4 over WebSocket"])
def test_queries(way: str, client_0_6: Path, client_1_4: Path, shared_server: Server, run: Any) -> None:
    python = client_0_6 if way.startswith("0.6") else client_1_4
    socket = way.endswith("WebSocket")
    host, port = (
        (f"ws://127.0.0.1:{shared_server.ws}", shared_server.ws) if socket else ("127.0.0.1", shared_server.tcp)
    )
    name = "queries_" + "".join(letter for letter in way if letter.isalnum())
    program = run(python, "queries", host, port, name)
    assert not program.logged
    steps = program.steps
    box = steps.pop("things")
    assert box == {"#": box["#"], "size": 3}
    deeper = steps.pop("deeper")
    assert deeper["lid"] == {"#": deeper["lid"]["#"], "open": True}
    assert steps == {
        "not logged in": "AuthError",
        "wrong password": "AuthError",
        "unknown token": "AuthError",
        "values": [True] * 14,
        "several variables": 7,
        "no variables": 2,
        "a set": [1],
        "errors": ERRORS,
        "a custom error": ["CustomError", "hundred"],
        "kept": 1,
        "run": 3,
        "run by name": 7,
        "run a change": ["new", "new"],
        "run without arguments": "TypeError",
        "run what is not there": "LookupError",
        "run elsewhere": "LookupError",
        "by password": [f"{name}_user", 1],
        "by password, a change": "ForbiddenError",
        "by token": [f"{name}_user", 1],
        "by token, a change": "ForbiddenError",
        "users": [False, True],
        "node": 0,
        "counters": True,
        "collections": [name],
        "collection": name,
        "gone": [False, False],
    }
