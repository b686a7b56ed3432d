"""Who may do what: every function in each of its scopes, and every request, against every combination of access flags
(spec/admin-and-protocol.md, sections 2, 3, 8, 9 and 10).

What is asked about comes from the registry; what is right comes from the tables here, which are the specification's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import AuthError, EngineError, ForbiddenError
from engine.functions.registry import FUNCTIONS
from engine.language.analysis import MUTATORS, RECEIVER_MUTATORS, TASK_MUTATORS
from engine.outcome import Outcome
from engine.users import CHANGE, FULL, GRANT, JOIN, QUERY, RUN, USER, User
from tests.watch.test_hub import Connection, World

ALL_MASKS = range(32)
SCOPES = {"C": "//stuff", "T": "@t", "N": "@n"}

# --- the specification's tables --------------------------------------------------------------------------------------

CHANGE_IN_COLLECTIONS = frozenset(
    (
        "set_type", "new_type", "mod_type", "del_type", "rename_type", "set_enum", "mod_enum", "del_enum",
        "rename_enum", "import", "new_procedure", "mod_procedure", "rename_procedure", "del_procedure", "task", "wse",
    )
)  # fmt: skip
CHANGE_IN_THINGSDB_TOO = frozenset(
    ("new_procedure", "mod_procedure", "rename_procedure", "del_procedure", "task", "wse")
)
NO_CHANGE_IN_THINGSDB = frozenset(("history", "collection", "collections", "user", "users"))
"""Apart from `has_…` and `…_info`: everything else that exists in `@thingsdb` only makes a change."""

RIGHTS = {
    ("T", GRANT): (
        "new_user", "del_user", "rename_user", "has_user", "users_info", "users", "has_token", "del_expired",
        "whitelist_add", "whitelist_del",
    ),
    ("T", FULL): ("restore",),
    ("N", CHANGE): (
        "reset_counters", "set_log_level", "set_loglevel", "shutdown", "new_backup", "del_backup", "restart_module",
        "set_zone",
    ),
}  # fmt: skip


def makes_change(name: str, kind: str) -> bool:
    """Is a query with a call of the function a change in this kind of scope, by the specification?"""
    if kind == "N":
        return False
    if kind == "C":
        return name in CHANGE_IN_COLLECTIONS
    if len(FUNCTIONS[name].scopes) > 1:
        return name in CHANGE_IN_THINGSDB_TOO
    return not (name.startswith("has_") or name.endswith("_info") or name in NO_CHANGE_IN_THINGSDB)


def needed(name: str, kind: str) -> int:
    """The rights that a query with a call of the function needs on its scope, by the specification."""
    right = QUERY | (CHANGE if makes_change(name, kind) else 0)
    for (scope, mask), names in RIGHTS.items():
        if scope == kind and name in names:
            right |= mask
    return right


# --- a world with a user to whom rights are given ------------------------------------------------------------------


class Place(World):
    """A server with the users `admin`, `iris`, who asks, and `lisa`; a procedure, a room and a thing to watch."""

    def __init__(self) -> None:
        super().__init__()
        self.iris = self.connect("admin")
        for name in ("iris", "lisa"):
            self.query(self.iris, f"new_user('{name}'); set_history('//stuff', true); nil", "@t")
        self.as_admin("commit('start'); new_procedure('read', || 1); new_procedure('write', || .n = 1); nil")
        self.as_admin(".room = room(); .room.set_name('hall'); .x = {l: []}; nil")
        self.iris = self.connect("iris")

    @property
    def user(self) -> User:  # type: ignore[override]
        return self.iris.user

    def as_admin(self, code: str, scope: str = "//stuff") -> Any:
        outcome = self.engine.query(self.connect("admin"), scope, code)
        assert outcome.error is None, outcome.error
        return outcome.value

    def allow(self, scope: str, mask: int, name: str = "iris") -> None:
        """Give a user exactly these rights on a scope."""
        where = self.engine.scope(scope)
        where.access.pop(self.engine.users[name].id, None)
        if mask:
            where.access[self.engine.users[name].id] = mask

    def asks(self, code: str, scope: str = "//stuff") -> Outcome:
        return self.engine.query(self.iris, scope, code)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Place]:
    """Makes places, quickly."""
    from tests.conftest import hashed

    monkeypatch.setattr("engine.engine.hash_password", hashed)
    return Place


def forbidden(found: Outcome) -> bool:
    return isinstance(found.error, ForbiddenError)


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in sorted(FUNCTIONS) for kind in FUNCTIONS[name].scopes]
)
def test_every_function_in_every_scope(place: Callable[[], Place], name: str, kind: str) -> None:
    right = needed(name, kind)
    here = place()
    here.as_admin("grant('@t', 'lisa', FULL)", "@t")
    for mask in ALL_MASKS:
        here.allow(SCOPES[kind], mask)
        found = here.asks(f"{name}()", SCOPES[kind])
        assert forbidden(found) is (mask & right != right), (mask, found.error)


@pytest.mark.parametrize("kind", "CTN")
def test_rights_elsewhere_are_worth_nothing(place: Callable[[], Place], kind: str) -> None:
    here = place()
    for scope in SCOPES.values():
        if scope != SCOPES[kind]:
            here.allow(scope, FULL)
    assert forbidden(here.asks("nil", SCOPES[kind]))


@pytest.mark.parametrize("name", sorted(MUTATORS | RECEIVER_MUTATORS | TASK_MUTATORS))
def test_methods_that_change_stored_things(place: Callable[[], Place], name: str) -> None:
    here = place()
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        found = here.asks(f".x.{name}()")
        assert forbidden(found) is (mask & (QUERY | CHANGE) != QUERY | CHANGE), (mask, found.error)


@pytest.mark.parametrize(
    "code",
    [".n = 1", ".x.l[0] = 1", ".x.n += 1", ".x['n'] = 1", "if (false) wse();", "x = || .n = 1; nil", ".emit('e')"],
)
def test_what_the_text_contains_counts(place: Callable[[], Place], code: str) -> None:
    here = place()
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        assert forbidden(here.asks(code)) is (mask & (QUERY | CHANGE) != QUERY | CHANGE), mask


# What needs a right on another scope than the one that it is called in, or a right that depends on the arguments. In
# `@thingsdb`, where the caller has QUERY and CHANGE: what is asked, on which scope the rights vary, and those it needs.

ON_TARGETS = [
    *(
        (f"{code}", target, GRANT)
        for target in ("//stuff", "@n", "@t")
        for code in (f"grant('{target}', 'lisa', QUERY)", f"revoke('{target}', 'lisa', QUERY)")
    ),
    *(
        (code, target, CHANGE)
        for target in ("//stuff", "@n", "@t")
        for code in (f"set_default_deep('{target}', 1)", f"set_time_zone('{target}', 'UTC')")
    ),
    ("set_default_deep('stuff', 1)", "//stuff", CHANGE),
    ("set_time_zone('stuff', 'UTC')", "//stuff", CHANGE),
    ("set_history('//stuff', true)", "//stuff", QUERY | CHANGE),
    ("history({scope: '//stuff', first: 1})", "//stuff", QUERY | CHANGE),
    ("del_history({scope: '//stuff', first: 1})", "//stuff", QUERY | CHANGE),
    ("del_collection('stuff')", "//stuff", 0),
    ("rename_collection('stuff', 'songs')", "//stuff", 0),
    ("new_collection('songs')", "//stuff", 0),
    ("set_quota('stuff', 'things', 100)", "//stuff", 0),
    ("has_collection('stuff')", "//stuff", 0),
    ("set_password('iris', 'secret')", "@t", 0),
    ("set_password('lisa', 'secret')", "@t", GRANT),
    ("new_token('iris')", "@t", 0),
    ("new_token('lisa')", "@t", GRANT),
    ("user_info('iris')", "@t", GRANT),
    ("user_info('lisa')", "@t", GRANT),
    ("user('lisa')", "@t", GRANT),
]


@pytest.mark.parametrize(("code", "target", "right"), ON_TARGETS)
def test_rights_on_the_target(place: Callable[[], Place], code: str, target: str, right: int) -> None:
    for mask in ALL_MASKS:
        here = place()
        here.allow("@t", QUERY | CHANGE)
        here.allow(target, mask | (QUERY | CHANGE if target == "@t" else 0))
        mask = here.engine.scope(target).access.get(here.user.id, 0)
        found = here.asks(code, "@t")
        assert forbidden(found) is (mask & right != right), (mask, found.error)
        assert found.error is None or forbidden(found), found.error


@pytest.mark.parametrize("on_server", [QUERY, QUERY | CHANGE])
def test_who_sees_a_collection(place: Callable[[], Place], on_server: int) -> None:
    here = place()
    here.allow("@t", on_server)
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        sees = bool(mask & (QUERY | RUN) or on_server & CHANGE)
        for name in ("collection_info", "collection"):
            assert forbidden(here.asks(f"{name}('stuff')", "@t")) is not sees
        for name in ("collections_info", "collections"):
            assert here.asks(f"{name}().len()", "@t").value == int(sees)


def test_another_users_token_is_not_seen(place: Callable[[], Place]) -> None:
    for mask in ALL_MASKS:
        here = place()
        theirs, mine = here.as_admin("[new_token('lisa'), new_token('iris')]", "@t")
        here.allow("@t", mask | QUERY | CHANGE)
        found = here.asks(f"del_token('{mine}')", "@t")
        assert found.error is None
        found = here.asks(f"del_token('{theirs}')", "@t")
        assert (found.error is None) is bool(mask & GRANT)
        assert found.error is None or found.error.code == -54


def test_users_are_shown_in_thingsdb_only(place: Callable[[], Place]) -> None:
    here = place()
    for scope in SCOPES.values():
        here.allow(scope, FULL)
    for scope in ("//stuff", "@n"):
        assert here.asks("user_info().load().name", scope).value == "iris"
        assert forbidden(here.asks("user_info('iris')", scope))


def test_nobody_takes_rights_from_himself(place: Callable[[], Place]) -> None:
    here = place()
    for scope in SCOPES.values():
        here.allow(scope, FULL)
    for scope in SCOPES.values():
        for mask in ALL_MASKS:
            here.allow(scope, FULL)
            found = here.asks(f"revoke('{scope}', 'iris', {mask})", "@t")
            refused = bool(mask & (QUERY | CHANGE | GRANT))
            assert (found.error is not None and found.error.code == -63) is refused
            assert here.engine.scope(scope).access[here.user.id] == (FULL if refused else FULL & ~mask)


@pytest.mark.parametrize("before", ALL_MASKS)
def test_grant_and_revoke_keep_grant_and_change_together(place: Callable[[], Place], before: int) -> None:
    here = place()
    stuff = here.engine.scope("//stuff")
    for mask in ALL_MASKS:
        here.allow("//stuff", 0)
        here.as_admin(f"grant('//stuff', 'iris', {before})", "@t")
        given = before | (CHANGE if before & GRANT else 0)
        assert stuff.access[here.user.id] == given
        here.as_admin(f"revoke('//stuff', 'iris', {mask | 1 << 9})", "@t")
        left = given & ~(mask | (GRANT if mask & CHANGE else 0))
        assert stuff.access.get(here.user.id) == (left or None)


def test_the_owner_of_a_task(place: Callable[[], Place]) -> None:
    here = place()
    number = here.as_admin("task(datetime(4000000000), || nil).id()")
    for mine in ALL_MASKS:
        for theirs in ALL_MASKS:
            if mine & (QUERY | CHANGE) != QUERY | CHANGE:
                continue
            here.allow("//stuff", mine)
            here.allow("//stuff", theirs, "lisa")
            found = here.asks(f"task({number}).set_owner('lisa')")
            assert forbidden(found) is (not theirs & CHANGE or bool(theirs & ~mine)), (mine, theirs)


def test_futures_and_what_they_change(place: Callable[[], Place]) -> None:
    here = place()
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        assert forbidden(here.asks("future(|| 1)")) is not bool(mask & QUERY)
        assert forbidden(here.asks("future(|| .n = 1)")) is (mask & (QUERY | CHANGE) != QUERY | CHANGE)


# --- requests --------------------------------------------------------------------------------------------------------

Request = Callable[[Place], EngineError | None]


def tried(act: Callable[..., Any], *arguments: Any) -> EngineError | None:
    """What a request is answered with, its events said."""
    try:
        answer = act(*arguments)
    except EngineError as error:
        return error
    if isinstance(answer, Outcome):
        return answer.error
    answer.events()
    return None


REQUESTS: dict[str, tuple[Request, int]] = {
    "query": (lambda here: tried(here.engine.query, here.iris, "//stuff", "1"), QUERY),
    "query that changes": (lambda here: tried(here.engine.query, here.iris, "//stuff", ".n = 1"), QUERY | CHANGE),
    "query in @node": (lambda here: tried(here.engine.query, here.iris, "@n", "wse(1)"), 0),
    "procedure from code": (lambda here: tried(here.engine.query, here.iris, "//stuff", "read()"), QUERY),
    "procedure by name": (lambda here: tried(here.engine.query, here.iris, "//stuff", "run('read')"), QUERY),
    "emit from code": (lambda here: tried(here.engine.query, here.iris, "//stuff", "room('hall').emit('e')"), QUERY),
    "run": (lambda here: tried(here.engine.run, here.iris, "//stuff", "read"), RUN),
    "run what changes": (lambda here: tried(here.engine.run, here.iris, "//stuff", "write"), RUN | CHANGE),
    "join": (lambda here: tried(here.requests.join, here.iris, "//stuff", ["hall"]), JOIN),
    "join nothing": (lambda here: tried(here.requests.join, here.iris, "//stuff", []), JOIN),
    "leave": (lambda here: tried(here.requests.leave, here.iris, "//stuff", ["hall"]), JOIN),
    "emit": (lambda here: tried(here.requests.emit, here.iris, "//stuff", ["hall", "e"], False), JOIN),
    "emit to peers": (lambda here: tried(here.requests.emit, here.iris, "//stuff", ["hall", "e"], True), JOIN),
    "watch": (lambda here: tried(here.requests.watch, here.iris, "//stuff", [1]), JOIN),
    "unwatch": (lambda here: tried(here.requests.unwatch, here.iris, "//stuff", [1]), JOIN),
}
"""Every request to a collection, and what it needs there."""


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request(place: Callable[[], Place], name: str) -> None:
    act, right = REQUESTS[name]
    here = place()
    here.allow("@n", QUERY)
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        assert isinstance(act(here), ForbiddenError) is (mask & right != right), mask


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_needs_a_login_and_a_user_who_is_still_there(place: Callable[[], Place], name: str) -> None:
    act, _ = REQUESTS[name]
    here = place()
    for scope in SCOPES.values():
        here.allow(scope, FULL)
    assert act(here) is None
    here.as_admin("del_user('iris')", "@t")
    assert isinstance(act(here), ForbiddenError)
    here.iris.user = None  # type: ignore[assignment]
    assert isinstance(act(here), AuthError)


def test_the_node_is_watched_by_those_who_may_join(place: Callable[[], Place]) -> None:
    here = place()
    for mask in ALL_MASKS:
        here.allow("@n", mask)
        for act in (here.requests.watch, here.requests.unwatch):
            assert isinstance(tried(act, here.iris, "@n", []), ForbiddenError) is not bool(mask & JOIN)


def test_a_procedure_of_thingsdb(place: Callable[[], Place]) -> None:
    here = place()
    here.as_admin("new_procedure('read', || 1); new_procedure('write', || new_collection('c')); nil", "@t")
    for mask in ALL_MASKS:
        here.allow("@t", mask)
        for name, right in (("read", RUN), ("write", RUN | CHANGE)):
            found = here.engine.run(here.iris, "@t", name)
            assert forbidden(found) is (mask & right != right)


def test_a_procedures_text_is_for_those_who_may_change_it(place: Callable[[], Place]) -> None:
    here = place()
    for mask in ALL_MASKS:
        here.allow("//stuff", mask | QUERY)
        info = here.asks("procedure_info('read').load()").value
        assert ("definition" in info) is bool(mask & CHANGE)


# --- whitelists ------------------------------------------------------------------------------------------------------

RULES: list[tuple[list[str] | None, bool]] = [
    (None, True),
    ([], False),
    (["'{name}'"], True),
    (["'other'"], False),
    (["/a/"], True),
    (["/^a$/"], False),
    (["/{NAME}/i"], True),
    (["'other'", "/./"], True),
]
"""Rules of a list, and whether they allow a name with an `a` in it."""


@pytest.mark.parametrize(("rules", "allowed"), RULES)
def test_whitelists(place: Callable[[], Place], rules: list[str] | None, allowed: bool) -> None:
    here = place()
    here.allow("//stuff", FULL)
    for which, name in (("procedures", "read"), ("rooms", "hall")):
        if rules is not None:
            here.as_admin(f"whitelist_add('iris', '{which}')", "@t")
        for rule in rules or ():
            text = rule.replace("{name}", name).replace("{NAME}", name.upper())
            here.as_admin(f"whitelist_add('iris', '{which}', {text})", "@t")
    assert forbidden(here.engine.run(here.iris, "//stuff", "read")) is not allowed
    assert isinstance(tried(here.requests.join, here.iris, "//stuff", ["hall"]), ForbiddenError) is not allowed
    number = here.engine.collections["stuff"].find_room("hall").id
    joined = here.requests.join(here.iris, "//stuff", ["hall", number, "none"]).value
    assert joined == ([number, number, None] if allowed else [None, None, None])
    # They don't limit what code calls, what is left, or what is said.
    assert here.asks("[read(), run('read')]").value == [1, 1]
    assert here.asks("room('hall').emit('e')").error is None
    assert here.requests.leave(here.iris, "//stuff", ["hall"]).value == [number]
    assert tried(here.requests.emit, here.iris, "//stuff", ["hall", "e"], False) is None
    # And they give no rights.
    here.allow("//stuff", FULL & ~(RUN | JOIN))
    assert forbidden(here.engine.run(here.iris, "//stuff", "read"))
    assert isinstance(tried(here.requests.join, here.iris, "//stuff", ["hall"]), ForbiddenError)


def test_a_room_without_a_name_is_on_no_whitelist(place: Callable[[], Place]) -> None:
    here = place()
    here.allow("//stuff", FULL)
    number = here.as_admin(".other = room(); .other.id()")
    here.as_admin("whitelist_add('iris', 'rooms', /.*/)", "@t")
    assert isinstance(tried(here.requests.join, here.iris, "//stuff", [number]), ForbiddenError)


def test_a_joined_room_stays_joined(place: Callable[[], Place]) -> None:
    here = place()
    here.allow("//stuff", FULL)
    here.requests.join(here.iris, "//stuff", ["hall"]).events()
    here.as_admin("whitelist_add('iris', 'rooms'); revoke('//stuff', 'iris', FULL)", "@t")
    admin = here.connect("admin")
    here.iris.taken()
    here.query(admin, "room('hall').emit('still')")
    assert [event["event"] for kind, event in here.iris.taken()] == ["still"]


# --- what goes on while rights change --------------------------------------------------------------------------------

BY_REQUEST = JOIN
BY_QUERY = QUERY | JOIN | RUN


def told(connection: Connection) -> list[str]:
    return [kind for kind, _ in connection.taken() if kind != "reply"]


@pytest.mark.parametrize("mask", ALL_MASKS)
@pytest.mark.parametrize("by_query", [False, True])
def test_a_watch_ends_with_the_right_to_it(place: Callable[[], Place], mask: int, by_query: bool) -> None:
    here = place()
    admin = here.connect("admin")
    here.allow("//stuff", FULL)
    number = here.asks(".x.id()").value
    if by_query:
        here.query(here.iris, ".x.watch()")
    else:
        here.watch(here.iris, number)
    assert told(here.iris) == ["init"]
    here.query(admin, f"revoke('//stuff', 'iris', FULL); grant('//stuff', 'iris', {mask})", "@t")
    kept = here.engine.scope("//stuff").access[here.user.id] & (BY_QUERY if by_query else BY_REQUEST)
    assert told(here.iris) == ([] if kept else ["stop"])
    here.query(admin, ".x.n = 1")
    assert told(here.iris) == (["update"] if kept else [])
    here.query(admin, "grant('//stuff', 'iris', FULL)", "@t")
    here.query(admin, ".x.n = 2")
    assert told(here.iris) == (["update"] if kept else [])


@pytest.mark.parametrize("user_is_deleted", [False, True])
def test_watches_end_with_the_user_or_the_collection(place: Callable[[], Place], user_is_deleted: bool) -> None:
    here = place()
    admin = here.connect("admin")
    here.allow("//stuff", USER)
    here.watch(here.iris, here.asks(".x.id()").value, here.asks(".id()").value)
    here.iris.taken()
    here.query(admin, "del_user('iris')" if user_is_deleted else "del_collection('stuff')", "@t")
    assert told(here.iris) == (["stop", "stop"] if user_is_deleted else ["delete", "delete"])
    assert not here.hub.things


@pytest.mark.parametrize("mask", ALL_MASKS)
def test_a_watch_of_the_node_ends_with_the_right_to_it(place: Callable[[], Place], mask: int) -> None:
    here = place()
    here.allow("@n", FULL)
    here.requests.watch(here.iris, "@n", [])
    assert here.hub.watches_node(here.iris)
    here.query(here.connect("admin"), f"revoke('@n', 'iris', FULL); grant('@n', 'iris', {mask})", "@t")
    assert here.hub.watches_node(here.iris) is bool(mask & JOIN)
