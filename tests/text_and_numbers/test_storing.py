"""Regexes and packed data in stored things: in the log, replayed, shown, to clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import LookupFailed, TypeFailed
from engine.replay import Replay
from engine.result import Result
from engine.values.equality import equal
from engine.values.mpdata import Mpdata
from engine.values.regex import Regex

Query = Callable[..., Any]


def test_a_stored_regex_is_replayed(engine: Engine, outcome: Query) -> None:
    done = [
        outcome(".r = /a\\/b+/gi; .l = [regex('a/b'), regex('')]"),
        outcome(".t = {r: /x/m}"),
    ]
    assert done[0].change.mutations[0][1] == {"set": {"r": {"*": "/a\\/b+/gi"}}}
    assert done[0].change.mutations[1][1] == {"set": {"l": [{"*": "/a/b/"}, {"*": "//"}]}}
    twin = Engine()
    twin.initialise()
    replay = Replay(twin)
    for result in done:
        replay.apply(result.change.packed)
    mine, other = (each.collections["stuff"].root.props for each in (engine, twin))
    assert type(other["r"]) is Regex
    assert equal(mine["r"], other["r"])
    assert equal(mine["l"], other["l"])
    assert equal(mine["t"].props["r"], other["t"].props["r"])


@pytest.fixture
def data(engine: Engine) -> Mpdata:
    """Packed data, stored as `.m` and in a list."""
    made = Mpdata.of({"name": "X", "fields": [["x", "int"]], "raw": b"\xff", "odd": "\udcff", "big": 2**64 - 1})
    props = engine.collections["stuff"].root.props
    props["m"] = Mpdata.of({"name": "X", "fields": [["x", "int"]]})
    props["l"] = (props["m"], made)
    return made


def test_packed_data_goes_through_the_log(engine: Engine, outcome: Query, data: Mpdata) -> None:
    done = outcome(".copy = .m; .both = .l")
    twin = Engine()
    twin.initialise()
    Replay(twin).apply(done.change.packed)
    props = twin.collections["stuff"].root.props
    assert type(props["copy"]) is Mpdata
    assert [item.data for item in props["both"]] == [engine.collections["stuff"].root.props["m"].data, data.data]


def test_packed_data_in_use(query: Query, data: Mpdata) -> None:
    assert query(".m") == {"name": "X", "fields": [["x", "int"]]}
    assert query("[.m == .m, .m == .l[0], .m == .l[1], bool(.m), is_mpdata(.m), is_raw(.m), is_bytes(.m)]") == [
        True, True, False, True, True, True, False,
    ]  # fmt: skip
    assert query("m = .m.load(); [m.name, type(m), m.fields, type(m.fields), type(m.fields[0]), type(.m)]") == [
        "X", "thing", [["x", "int"]], "list", "tuple", "mpdata",
    ]  # fmt: skip
    assert query("[.m.len() == bytes(.m).len(), base64_decode(base64_encode(.m)) == bytes(.m)]") == [True, True]
    assert query("json_dump(.m)") == '{"name":"X","fields":[["x","int"]]}'
    for code in (".m.name", ".m[0]", ".m + 'x'", ".m < 1", "str(.m)", "int(.m)", "float(.m)"):
        with pytest.raises(TypeFailed):
            query(code)
    with pytest.raises(LookupFailed):
        query(".m.nope()")


def test_packed_data_is_shown_whole(engine: Engine, data: Mpdata) -> None:
    assert Result(None).show(data, 0) == data.tree()
