"""The watch framework's models: built in a collection, loaded, and kept as the collection is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.clients.test_watching import events_before
from tests.serving import Server


def test_a_model(client_0_6: Path, shared_server: Server, run: Any) -> None:
    program = run(client_0_6, "model", shared_server.tcp, "model")
    steps = dict(program.steps)
    types = dict(steps.pop("types"))
    assert types == {
        "Cup": [["size", "int"]],
        "Song": [["tune", "str"], ["taste", "Taste"], ["likes", "[str]"]],
        "Home": [["num", "int"], ["songs", "[Song]"], ["cups", "{Cup}"], ["taste", "Taste"], ["guest", "Home?"]],
    }
    gone, (no_guest, guest) = steps.pop("gone"), steps.pop("no guest")
    fields, things = steps.pop("fields"), steps.pop("things")
    assert steps == {
        "enums": [[["SOUR", "lemon"], ["SWEET", "date"]]],
        "loaded": {
            "open": True,
            "home": ["Home", 1, [], [], "SOUR"],
            "song": ["Song", "a", "lemon", []],
            "guest": None,
        },
        "set": [2, False],
        "run": 3,
        "run by the model": 4,
        "push": [["b", ["x"]]],
        "splice": [["c", "SOUR"], ["d", "SWEET"]],
        "a list of text": ["y"],
        "a known thing": True,
        "add": [1, 2],
        "remove": [2],
        "a member": ["SWEET", "date", True],
        "a new member": ["SALT", "sea"],
        "a renamed member": ["SALTY", "sea"],
        "after another default": "SWEET",
        "nested": ["Home", 7, "g"],
        "a changed type": [1970, False],
        "a new procedure": "late",
        "a renamed procedure": [False, True],
        "no procedure": False,
        "another home": 9,
        "unwatched": 9,
        "watched again": 10,
    }
    assert no_guest is None
    assert sorted(fields.values()) == [
        ["num", "songs", "cups", "taste", "guest"], ["size"], ["title", "taste", "year"],
    ]  # fmt: skip
    assert [said["rang"] for said in program.heard if "rang" in said] == [["twice", {"x": 1}, [2]], ["once", 5]]
    # What is gone was told to be, once each: the last home with all that it held, but for the song that the root has.
    deleted = [said["data"]["#"] for said in program.heard if said.get("event") == "delete"]
    assert len(deleted) == len(set(deleted))
    assert {gone, guest} < set(deleted)
    assert len(events_before(program, "another home")) == 6
    # Siblings are asked for together, and answered last first.
    push, delete, first, second = events_before(program, "splice")
    assert [push[0], delete[0], first[0], second[0]] == ["update", "delete", "init", "init"]
    assert first[1]["thing"]["#"] == second[1]["thing"]["#"] + 1
    assert not set(things) & set(deleted)
    # The client has no more to say than that a field of its model is gone, and a thing no longer watched.
    assert {said.partition(" on ")[0].partition(" #")[0] for said in program.logged} == {
        "property `likes`", "stopped watching thing",
    }  # fmt: skip
