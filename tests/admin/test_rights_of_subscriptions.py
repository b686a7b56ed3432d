"""What goes on after a request, against every combination of access flags: live queries, watches with options,
presence, rooms; and what becomes of it when rights go (spec/admin-and-protocol.md, section 8; docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import AuthError, EngineError, ForbiddenError
from engine.outcome import Outcome
from engine.users import CHANGE, FULL, JOIN, QUERY, RUN
from tests.admin.test_rights import ALL_MASKS, Place, place, told, tried  # noqa: F401  (a fixture)
from watch import Live
from watch.events import LIVE_END, LIVE_UPDATE

# --- live queries ----------------------------------------------------------------------------------------------------


class Watched(Place):
    """A place with live queries."""

    def __init__(self) -> None:
        super().__init__()
        self.as_admin("set_history('//stuff', false)", "@t")
        self.live = Live(self.engine, self.say)

    def subscribe(self, **asked: Any) -> Any:
        """The reply, or the error."""
        try:
            return self.live.subscribe(self.iris, "//stuff", asked)
        except EngineError as error:
            return error

    def change(self, code: str, scope: str = "//stuff") -> None:
        """What admin changes; what is due runs."""
        outcome = self.engine.query(self.connect("admin"), scope, code)
        assert outcome.error is None
        self.live.changed(outcome)
        self.live.run(1.0, self.engine.last_change)


@pytest.fixture
def watched(place: Callable[[], Place]) -> Callable[[], Watched]:  # noqa: F811
    """Makes places, quickly."""
    return Watched


LIVE: list[tuple[dict[str, Any], int]] = [
    ({"code": ".n"}, QUERY),
    ({"code": "read()"}, QUERY),
    ({"procedure": "count"}, RUN),
]


@pytest.mark.parametrize(("asked", "right"), LIVE)
def test_who_may_subscribe(watched: Callable[[], Watched], asked: dict[str, Any], right: int) -> None:
    here = watched()
    here.as_admin(".n = 0; new_procedure('count', || .n)")
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        found = here.subscribe(**asked)
        assert isinstance(found, ForbiddenError) is (mask & right != right), (mask, found)
    here.iris.user = None  # type: ignore[assignment]
    assert isinstance(here.subscribe(**asked), AuthError)


@pytest.mark.parametrize("asked", [{"code": ".n = 1"}, {"procedure": "write"}])
def test_nobody_subscribes_to_a_change(watched: Callable[[], Watched], asked: dict[str, Any]) -> None:
    here = watched()
    here.allow("//stuff", FULL)
    change = here.engine.last_change
    assert isinstance(here.subscribe(**asked), EngineError)
    assert here.engine.last_change == change


@pytest.mark.parametrize(("asked", "right"), LIVE[::2])
@pytest.mark.parametrize("mask", ALL_MASKS)
def test_a_live_query_ends_with_the_right_to_it(
    watched: Callable[[], Watched], asked: dict[str, Any], right: int, mask: int
) -> None:
    here = watched()
    here.as_admin(".n = 0; new_procedure('count', || .n)")
    here.allow("//stuff", FULL)
    number = here.subscribe(**asked)["subscription"]
    here.change(f"revoke('//stuff', 'iris', FULL); grant('//stuff', 'iris', {mask})", "@t")
    kept = mask & right == right
    ends = [(kind, data["subscription"], data["error_code"]) for kind, data in here.iris.taken()]
    assert ends == ([] if kept else [(LIVE_END, number, -55)])
    here.change(".n += 1")
    assert [kind for kind, _ in here.iris.taken()] == ([LIVE_UPDATE] if kept else [])
    here.change("grant('//stuff', 'iris', FULL)", "@t")
    here.change(".n += 1")
    assert [kind for kind, _ in here.iris.taken()] == ([LIVE_UPDATE] if kept else [])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("del_user('iris')", -55),
        ("del_collection('stuff')", -54),
        ("whitelist_add('iris', 'procedures')", -55),
        ("whitelist_add('iris', 'procedures', 'read')", -55),
        ("whitelist_add('iris', 'procedures', /count/)", None),
    ],
)
def test_what_else_ends_a_live_procedure(watched: Callable[[], Watched], code: str, error: int | None) -> None:
    here = watched()
    here.as_admin(".n = 0; new_procedure('count', || .n)")
    here.allow("//stuff", FULL)
    here.subscribe(procedure="count")
    here.change(code, "@t")
    assert [data["error_code"] for _, data in here.iris.taken()] == ([] if error is None else [error])
    if error is None:
        here.change(".n += 1")
        assert len(here.iris.taken()) == 1


def test_a_live_query_is_its_users_also_when_the_connection_is_somebody_elses(watched: Callable[[], Watched]) -> None:
    here = watched()
    here.as_admin(".n = 0")
    here.allow("//stuff", FULL)
    here.subscribe(code=".n")
    here.iris.user = here.engine.users["admin"]  # who logs in on the same connection
    here.change("revoke('//stuff', 'iris', FULL)", "@t")
    assert [kind for kind, _ in here.iris.taken()] == [LIVE_END]


# --- watches, rooms and presence with options ------------------------------------------------------------------------

REQUESTS: dict[str, Callable[[Place, int], Any]] = {
    "watch since": lambda here, thing: here.requests.watch_with(
        here.iris, "//stuff", {"ids": [thing], "since": here.engine.last_change}
    ),
    "watch deep": lambda here, thing: here.requests.watch_with(here.iris, "//stuff", {"ids": [thing], "deep": 3}),
    "join with history": lambda here, thing: here.requests.join_with(
        here.iris, "//stuff", {"rooms": ["hall"], "since": 0}
    ),
    "presence of a room": lambda here, thing: here.hub.presence.ask(here.iris, "//stuff", {"room": "hall"}),
    "presence at a thing": lambda here, thing: here.hub.presence.ask(here.iris, "//stuff", {"thing": thing}),
}
"""Requests with options, each of which takes JOIN."""

ATOMIC: dict[str, tuple[Callable[[Place, Any], Outcome], int]] = {
    "query": (lambda here, asked: here.engine.query(here.iris, "//stuff", "1", None, asked), QUERY),
    "query that changes": (
        lambda here, asked: here.engine.query(here.iris, "//stuff", ".n = 1", None, asked),
        QUERY | CHANGE,
    ),
    "run": (lambda here, asked: here.engine.run(here.iris, "//stuff", "read", None, asked), RUN),
    "run what changes": (lambda here, asked: here.engine.run(here.iris, "//stuff", "write", None, asked), RUN | CHANGE),
}


def present(here: Place, asked: dict[str, Any]) -> None:
    here.hub.presence.ask(here.iris, "//stuff", asked)


def refusal(act: Callable[[Place, int], Any], here: Place, thing: int) -> EngineError | None:
    try:
        act(here, thing)
    except EngineError as error:
        return error
    return None


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_with_options(place: Callable[[], Place], name: str) -> None:  # noqa: F811
    here = place()
    thing = here.as_admin(".x.id()")
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        found = refusal(REQUESTS[name], here, thing)
        assert isinstance(found, ForbiddenError) is not bool(mask & JOIN), (mask, found)
        assert found is None or isinstance(found, ForbiddenError)
    here.iris.user = None  # type: ignore[assignment]
    assert isinstance(refusal(REQUESTS[name], here, thing), AuthError)


@pytest.mark.parametrize("name", ATOMIC)
def test_atomic_requests(place: Callable[[], Place], name: str) -> None:  # noqa: F811
    act, right = ATOMIC[name]
    here = place()
    for mask in ALL_MASKS:
        here.allow("//stuff", mask)
        for asked in ({"atomic": True}, {"decided_at": here.engine.last_change, "things": [1]}):
            found = act(here, asked).error
            assert isinstance(found, ForbiddenError) is (mask & right != right), (mask, found)
    here.iris.user = None  # type: ignore[assignment]
    assert isinstance(act(here, {"atomic": True}).error, AuthError)


@pytest.mark.parametrize("mask", ALL_MASKS)
def test_a_deep_watch_ends_with_the_right_to_it(place: Callable[[], Place], mask: int) -> None:  # noqa: F811
    here = place()
    admin = here.connect("admin")
    here.query(admin, ".x.y = {z: {}}")
    here.allow("//stuff", FULL)
    here.requests.watch_with(here.iris, "//stuff", {"ids": [here.asks(".x.id()").value], "deep": 2}).events()
    assert told(here.iris) == ["init", "init", "init"]
    here.query(admin, f"revoke('//stuff', 'iris', FULL); grant('//stuff', 'iris', {mask})", "@t")
    assert told(here.iris) == ([] if mask & JOIN else ["stop", "stop", "stop"])
    here.query(admin, ".x.y.z.n = 1; .x.more = {}")
    assert told(here.iris) == (["update", "update", "init"] if mask & JOIN else [])


@pytest.mark.parametrize("mask", ALL_MASKS)
@pytest.mark.parametrize("asked", ["room", "thing"])
def test_presence_ends_with_the_right_to_it(
    place: Callable[[], Place],  # noqa: F811
    asked: str,
    mask: int,
) -> None:
    here = place()
    admin = here.connect("admin")
    here.allow("//stuff", FULL)
    thing, room = here.as_admin("[.x.id(), .room.id()]")
    present(here, {asked: room if asked == "room" else thing})
    here.query(admin, f"revoke('//stuff', 'iris', FULL); grant('//stuff', 'iris', {mask})", "@t")
    assert told(here.iris) == ([] if mask & JOIN else ["presence.end"])
    here.requests.join(admin, "//stuff", [room]).events()
    here.watch(admin, thing)
    assert told(here.iris) == (["presence.join"] if mask & JOIN else [])


@pytest.mark.parametrize("mask", ALL_MASKS)
def test_a_joined_room_stays_joined_whatever_right_is_left(place: Callable[[], Place], mask: int) -> None:  # noqa: F811
    here = place()
    admin = here.connect("admin")
    here.allow("//stuff", FULL)
    here.requests.join(here.iris, "//stuff", ["hall"]).events()
    here.query(admin, f"revoke('//stuff', 'iris', FULL); grant('//stuff', 'iris', {mask})", "@t")
    here.iris.taken()
    here.query(admin, "room('hall').emit('still')")
    assert told(here.iris) == ["emit"]
    here.requests.emit(admin, "//stuff", ["hall", "there"], False).events()
    assert told(here.iris) == ["emit"]
    # It takes the right to leave it, or to join it again.
    for request in (here.requests.leave, here.requests.join):
        assert isinstance(tried(request, here.iris, "//stuff", ["hall"]), ForbiddenError) is not bool(mask & JOIN)
