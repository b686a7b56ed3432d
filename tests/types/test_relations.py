"""Relations: both sides agree, whatever is done to one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.change import Internal
from engine.engine import Engine
from engine.errors import InternalError, OperationError, TypeFailed
from tests.conftest import Admin

from .state import Disk, check_rules, fresh, kept, replayed

Query = Callable[..., Any]

ONE_TO_MANY = (
    "new_type('P'); set_type('W', {ps: '{P}'}); set_type('P', {w: 'W?'}); mod_type('P', 'rel', 'w', 'ps');"
    " .w = W{}; .v = W{}; .p = P{}; .q = P{}; nil"
)


def test_watchers_hear_what_the_query_did(query: Query, outcome: Query) -> None:
    query(ONE_TO_MANY)
    done = outcome(".w.ps.add(.p, P{}); .p.w = .v; nil")
    public = [(thing, job) for thing, job in done.change.mutations if type(job) is not Internal]
    new = {".": 0, "#": 6, "": [{"#": 2}]}
    assert public == [(2, {"add": {"ps": [{"#": 4}, new]}}), (4, {"set": {"w": {"#": 3}}})]
    assert query("[.w.ps.map_id(), .v.ps.map_id()]") == [[6], [4]]


@pytest.mark.parametrize(
    "text",
    [
        ".w.ps.each(|p| p.w = nil)",
        ".w.ps.each(|p| p.w = .v)",
        ".w.ps.each(|p| .v.ps.add(p))",
        ".w.ps.each(|p| .v.ps = set(p))",
        ".w.ps.map(|p| .w.ps = set())",
        "for (p in .w.ps) {p.w = nil;}",
    ],
)
def test_a_set_in_use_follows_nothing(query: Query, engine: Engine, text: str) -> None:
    query(ONE_TO_MANY + "; .w.ps.add(.p, .q); nil")
    with pytest.raises(OperationError):
        query(text)
    assert query("[.w.ps.len(), .p.w == .w, .v.ps.len()]") == [2, True, 0]
    check_rules(engine)


def test_copies_are_not_related(query: Query, engine: Engine) -> None:
    query(ONE_TO_MANY + "; .w.ps.add(.p); nil")
    assert query("[.w.dup().ps.len(), new('P', .p).w, .w.copy().ps.len()]") == [0, None, 1]
    query(".z = .w.dup(2); .y = .p.dup(); nil")
    check_rules(engine)


def test_a_value_that_cannot_be_stored_relates_nothing(query: Query, engine: Engine) -> None:
    query(ONE_TO_MANY + "; mod_type('P', 'add', 'x', 'any'); nil")
    with pytest.raises(OperationError):
        query("p = P{x: [1]}; l = []; for (i in range(300)) {l = [l];}; p.x = l; q = p; .w.ps.add(q)")
    assert query(".w.ps.len()") == 0
    check_rules(engine)


@pytest.mark.parametrize(
    ("setup", "fields"),
    [
        (".a.f = .c; .b.f = .c;", "'f', 'g'"),
        (".a.f = .c; .c.g = .b;", "'f', 'g'"),
        (".a.f = .c; .b.f = .d; .c.g = .b;", "'f', 'g'"),
        (".a.f = .b; .b.f = .c; .c.f = .a;", "'f', 'f'"),
        (".a.s.add(.c); .b.s.add(.c);", "'s', 'g'"),
        (".a.s.add(.c); .c.g = .b;", "'s', 'g'"),
        (".a.g = .b; .c.s.add(.a)", "'g', 's'"),
        ("v = T{};", "'f', 'g'"),
    ],
)
def test_things_that_cannot_agree(query: Query, setup: str, fields: str) -> None:
    query("set_type('T', {f: 'T?', g: 'T?', s: '{T}'}); .a = T{}; .b = T{}; .c = T{}; .d = T{}; nil")
    query("nil" if setup.startswith("v") else f"{setup}; nil")
    before = query("return root(), 3")
    with pytest.raises(TypeFailed):
        query(f"{setup if setup.startswith('v') else ''} mod_type('T', 'rel', {fields})")
    assert query("return root(), 3") == before
    assert query("type_info('T').load().relations") == {}


def test_an_instance_under_way_is_not_related(query: Query, engine: Engine) -> None:
    query("set_type('T', {f: 'T?', g: 'T?'}); .a = T{}; nil")
    with pytest.raises(TypeFailed):
        query("[T{f: .a}, mod_type('T', 'rel', 'f', 'g')]")
    query(".l = [T{}, mod_type('T', 'rel', 'f', 'g')]; .l[0].f = .a; nil")
    assert query(".a.g == .l[0]") is True


_KINDS = {"one to one": ("'B?'", "'A?'"), "one to many": ("'{B}'", "'A?'"), "many to many": ("'{B}'", "'{A}'")}
_A = st.sampled_from((".a0", ".a1", ".a2"))
_B = st.sampled_from((".b0", ".b1", ".b2"))


def _changes(owner: str, member: str, is_set: bool) -> list[str]:
    """What can be done to a side."""
    if not is_set:
        return [f"{owner} = {member}", f"{owner} = nil", f"{owner} = NEW{{}}"]
    return [
        f"{owner}.add({member})", f"{owner}.add({member}, NEW{{}})", f"{owner}.remove({member})", f"{owner}.clear()",
        f"{owner} = set({member})", f"{owner} = set({member}, NEW{{}})", f"{owner} |= set({member})",
        f"{owner} -= set({member})", f"{owner} ^= set({member})", f"{owner} &= set({member})", f"{owner} = set()",
        f"{owner}.remove(|x| true)",
    ]  # fmt: skip


_KIND = st.sampled_from(sorted(_KINDS))
_STEPS = st.lists(st.tuples(st.booleans(), _A, _B, st.integers(0, 11)), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_KIND, _STEPS, st.integers(0, 12), st.booleans())
def test_both_sides_agree(kind: str, steps: list[tuple[bool, str, str, int]], related_at: int, back: bool) -> None:
    """Values of both sides before the relation is made, then the relation if they can agree, then changes."""
    engine = fresh()
    admin = Admin(engine)
    disk = Disk(engine)
    changes = []

    def run(text: str) -> Any:
        done = engine.query(admin, "//stuff", text)
        assert not isinstance(done.error, InternalError)
        if done.change is not None:
            changes.append(done.change.packed)
        disk.checkpoint()
        return done.error

    f, g = _KINDS[kind]
    assert run(f"new_type('A'); set_type('B', {{g: {g}}}); set_type('A', {{f: {f}}}); nil") is None
    assert run(".a0 = A{}; .a1 = A{}; .a2 = A{}; .b0 = B{}; .b1 = B{}; .b2 = B{}; nil") is None
    for number, (on_a, a, b, which) in enumerate(steps):
        if number == related_at:
            run("mod_type('B', 'rel', 'g', 'f')" if back else "mod_type('A', 'rel', 'f', 'g')")
        options = _changes(f"{a}.f", b, "{" in f) if on_a else _changes(f"{b}.g", a, "{" in g)
        assert run(options[which % len(options)].replace("NEW", "B" if on_a else "A") + "; nil") is None
        check_rules(engine)
    assert kept(replayed(changes)) == kept(engine)
    assert kept(disk.loaded()) == kept(engine)
