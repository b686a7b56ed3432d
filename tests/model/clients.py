"""Clients that mirror what they are told, and complain when what they are told does not fit together.

The rules of every thing in these tests: its property `seq` grows by one with each statement that changes it. So a
client sees of each thing whether it missed or repeats anything, across connections too. What is emitted in the room is
numbered in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server import native
from tests.model.wires import OPENED, WIRES, Asked
from tests.watch.living import patched

__all__ = ["SCOPE", "Client", "Held", "Mirror", "known", "query"]

SCOPE = "//stuff"
LEFT_OUT = 4
"""The code of the warning that events of rooms were left out."""

ALL = float("inf")

Then = Callable[[Any], None]


def query(code: str, scope: str = SCOPE) -> Asked:
    """A query."""
    return Asked(native.QUERY, [scope, code], "query", {"scope": scope, "code": code})


def known(tree: Any) -> Any:
    """A value as a first state shows it: things by their ids. Sets have no order."""
    if isinstance(tree, list):
        return [known(item) for item in tree]
    if isinstance(tree, dict):
        if "#" in tree:
            return {"#": tree["#"]}
        if "$" in tree:
            return {"$": sorted(thing["#"] for thing in tree["$"])}
    return tree


class Mirror:
    """A thing as a watcher knows it: `change` is the last one that it knows jobs of, `jobs` of them; all of them
    (infinity) when a first state showed them. When it is told again, `again` of these are still to be passed over."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.change: int = data["event"]
        self.jobs = ALL
        self.again = 0.0
        self.properties = {name: known(value) for name, value in data["thing"].items() if name != "#"}

    def update(self, data: dict[str, Any], replayed: int) -> None:
        """Take in an update; what comes of changes up to `replayed` may be known."""
        change, jobs = data["event"], data["jobs"]
        assert jobs
        if change <= replayed:
            if change < self.change:
                return
            if change == self.change:
                passed = int(min(self.again, len(jobs)))
                self.again -= passed
                jobs = jobs[passed:]
        if not jobs:
            return
        assert change > self.change or (change == self.change and self.jobs != ALL), ("known already", data)
        if change > self.change:
            assert self.again in (0, ALL), ("what was told before was not told again", data)
            self.change, self.jobs = change, 0
        for job in jobs:
            ((name, argument),) = job.items()
            getattr(self, f"_{name}")(argument)
            self.jobs += 1

    def _set(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name == "seq":
                assert value == self.properties["seq"] + 1, ("a gap or a repetition", self.properties, value)
            self.properties[name] = known(value)

    def _del(self, name: str) -> None:
        del self.properties[name]

    def _splice(self, splices: dict[str, list[Any]]) -> None:
        ((name, (index, count, *items)),) = splices.items()
        mine = self.properties[name]
        assert 0 <= index <= index + count <= len(mine)
        mine[index : index + count] = [known(item) for item in items]

    def _add(self, added: dict[str, list[Any]]) -> None:
        ((name, things),) = added.items()
        ids = {thing["#"] for thing in things}
        mine = set(self.properties[name]["$"])
        assert ids and not ids & mine
        self.properties[name] = {"$": sorted(mine | ids)}

    def _remove(self, removed: dict[str, list[int]]) -> None:
        ((name, ids),) = removed.items()
        mine = set(self.properties[name]["$"])
        assert ids and set(ids) <= mine
        self.properties[name] = {"$": sorted(mine - set(ids))}

    def _event(self, event: list[Any]) -> None:
        assert type(event[0]) is str


class Held:
    """A live query: its result, true at a change."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.id: int | None = None
        self.value: Any = None
        self.change = 0


class Client:
    """One that watches, over any number of connections. `send` is the way out of the present one; `guest`: its user may
    lose rights."""

    def __init__(self, token: str, guest: bool = False) -> None:
        self.token = token
        self.guest = guest
        self.mirrors: dict[int, Mirror] = {}
        self.plain: set[int] = set()  # things that it watches by themselves
        self.deep: dict[int, int] = {}  # and those with what they contain, to a depth
        self.lives: dict[str, Held] = {}  # by code
        self.ended: dict[str, Any] = {}
        self.room: int | None = None  # the number of the last emission seen; -1: the next one is not known
        self.joined = False
        self.history = False  # joined with it
        self.emission = 0  # the number of the last emission, with history
        self.presence: dict[tuple[str, Any], dict[int, str]] = {}
        self.change = 0
        """The last change that it heard of, in part at least."""
        self.refreshes = False
        """It may get fresh state at any time."""
        self.lost = False
        """It may have lost rights."""
        self.send: Callable[[bytes], None] | None = None
        self.begin("tcp")

    def begin(self, wire: str) -> None:
        """A new connection."""
        self.wire = WIRES[wire]()
        self.number = 0
        self.held: list[bytes] = []  # requests that wait for the handshake
        self.waiting: dict[int, tuple[Asked, Then | None]] = {}
        self.errors: list[Any] = []
        self.last = 0  # of this connection's changes
        self.known: dict[int, Mirror] = {}  # from the connection before
        self.replayed = 0  # what is told up to this change may be known

    # --- out ---------------------------------------------------------------------------------------------------------

    def ask(self, asked: Asked, then: Then | None = None) -> None:
        """Send a request."""
        assert self.send is not None
        self.number += 1
        self.waiting[self.number] = (asked, then)
        request = self.wire.asks(self.number, asked)
        if self.wire.open:
            self.send(request)
        else:
            self.held.append(request)

    def log_in(self) -> None:
        """Say who it is."""
        assert self.send is not None
        self.send(self.wire.greeting)
        self.ask(Asked(native.AUTH, self.token, "auth", {"token": self.token}))

    def query(self, code: str, then: Then | None = None, **conditions: Any) -> None:
        """Ask for a query that is to be atomic, or that was decided on what is known at a change."""
        body = [SCOPE, code, None, conditions]
        self.ask(Asked(native.QUERY_WITH, body, "query", {"scope": SCOPE, "code": code, **conditions}), then)

    def watch(self, ids: list[int]) -> None:
        """Watch things."""
        asked = Asked(native.WATCH, [SCOPE, *ids], "watch", {"scope": SCOPE, "ids": ids})
        self.ask(asked, lambda _: self.plain.update(ids))

    def watch_with(
        self, ids: list[int], deep: int | None = None, since: int | None = None, known: list[int] | None = None
    ) -> None:
        """Watch things with options."""
        given = {"deep": deep, "since": since, "known": known}
        options = {"ids": ids} | {name: value for name, value in given.items() if value is not None}

        def then(reply: dict[str, Any]) -> None:
            if deep is None:
                self.plain.update(ids)
            else:
                self.deep.update(dict.fromkeys(ids, deep))
            if since is not None and reply["resumed"]:
                self.last = 0  # what was missed of these things may be older than what was of others
                self._take_up(ids if known is None else known)

        self.ask(Asked(native.WATCH_WITH, [SCOPE, options], "watch", {"scope": SCOPE, **options}), then)

    def _take_up(self, ids: list[int]) -> None:
        """These things are known, and what was missed of them follows."""
        for thing_id in ids:
            if thing_id not in self.mirrors:
                mirror = self.mirrors[thing_id] = self.known[thing_id]
                mirror.again = mirror.jobs if mirror.change >= self.replayed else 0

    def unwatch(self, ids: list[int]) -> None:
        """Watch them no more."""

        def then(_: Any) -> None:
            for thing_id in ids:
                self.plain.discard(thing_id)
                self.deep.pop(thing_id, None)

        self.ask(Asked(native.UNWATCH, [SCOPE, *ids], "unwatch", {"scope": SCOPE, "ids": ids}), then)

    def subscribe(self, asked: dict[str, Any], held: Held | None = None) -> None:
        """Follow a live query; again, when there was one."""
        code = asked["code"]
        since = {} if held is None else {"since": held.change}

        def then(reply: dict[str, Any]) -> None:
            one = held or Held(asked)
            if reply.get("resumed"):
                assert "value" not in reply and held is not None
            else:
                one.value = reply["value"]
            one.id, one.change = reply["subscription"], reply["change"]
            self.lives[code] = one

        body = asked | since
        self.ask(Asked(native.SUBSCRIBE, [SCOPE, body], "subscribe", {"scope": SCOPE, **body}), then)

    def unsubscribe(self, code: str) -> None:
        """End a live query."""
        number = self.lives[code].id
        asked = Asked(native.UNSUBSCRIBE, [number], "unsubscribe", {"subscriptions": [number]})

        def then(_: Any) -> None:
            if code in self.lives and self.lives[code].id == number:
                del self.lives[code]

        self.ask(asked, then)

    def join(self, history: bool = False, since: int | None = None) -> None:
        """Join the room, and learn how far it is; with history, or plainly."""
        joined = self.joined

        def then(reply: Any) -> None:
            self.joined, self.history = True, self.history or history
            if history:
                self.emission = reply["number"] if since is None else since
                if since is not None and not reply["resumed"]:
                    self.room = -1

        def count(number: int) -> None:
            if not joined and self.room is None:
                self.room = number

        given = {"since": since} if since is not None else {}
        if history:
            body = [SCOPE, {"rooms": ["room"], **given}]
            params = {"scope": SCOPE, "rooms": ["room"], **(given or {"history": True})}
            self.ask(Asked(native.JOIN_WITH, body, "join", params), then)
        else:
            self.ask(Asked(native.JOIN, [SCOPE, "room"], "join", {"scope": SCOPE, "rooms": ["room"]}), then)
        self.ask(query(".emitted"), count)

    def leave(self) -> None:
        """Leave the room."""

        def then(_: Any) -> None:
            self.joined, self.history, self.room = False, False, None

        self.ask(Asked(native.LEAVE, [SCOPE, "room"], "leave", {"scope": SCOPE, "rooms": ["room"]}), then)

    def ask_presence(self, subject: tuple[str, Any]) -> None:
        """Ask who is in a room or watches a thing."""
        asked = dict([subject])

        def then(reply: dict[str, Any]) -> None:
            self.presence[subject] = {one["connection"]: one["user"] for one in reply["present"]}

        self.ask(Asked(native.PRESENCE, [SCOPE, asked], "presence", {"scope": SCOPE, **asked}), then)

    def set_slow(self, policy: str, size: int) -> None:
        """Say what is to happen when it is slow."""
        options = {"slow": policy, "bytes": size}

        def then(_: Any) -> None:
            self.refreshes = policy == "refresh"

        self.refreshes = self.refreshes or policy == "refresh"
        self.ask(Asked(native.OPTIONS, options, "options", options), then)

    # --- connections -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The connection is gone."""
        self.send = None

    def come_back(self, wire: str, how: str) -> None:
        """Log in on a new connection, and take up what there was (`resume`), ask for it anew (`again`) or forget it."""
        plain, deep, lives, presence = self.plain, self.deep, self.lives, list(self.presence)
        mirrors, since = self.mirrors, max(self.change - 1, 0)
        joined, history, room, emission = self.joined, self.history, self.room, self.emission
        self.begin(wire)
        self.mirrors, self.plain, self.deep, self.lives, self.presence = {}, set(), {}, {}, {}
        self.joined, self.history, self.room, self.refreshes = False, False, None, False
        self.log_in()
        if how == "forget":
            self.change = 0
            return
        resume = how == "resume"
        if resume:
            self.known, self.replayed = mirrors, self.change
        known_ids = sorted(plain & mirrors.keys())
        if known_ids:
            self.watch_with(known_ids, None, since) if resume else self.watch(known_ids)
        deep = {thing_id: depth for thing_id, depth in deep.items() if thing_id in mirrors}
        for thing_id, depth in deep.items():
            if resume and len(deep) == 1:
                self.watch_with([thing_id], depth, since, sorted(mirrors.keys() - plain))
            else:
                self.watch_with([thing_id], depth)
        for held in lives.values():
            self.subscribe(held.asked, held if resume else None)
        if joined:
            if resume and history:
                self.room = room
            self.join(history, emission if resume and history else None)
        for subject in presence:
            self.ask_presence(subject)

    # --- in ----------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes have come."""
        for heard in self.wire.hears(data):
            if heard is OPENED:
                assert self.send is not None
                self.send(b"".join(self.held))
                continue
            if heard.number is None:
                assert heard.kind is not None
                self._event(heard.kind, heard.data)
                continue
            assert heard.number == next(iter(self.waiting)), ("an answer out of turn", heard, self.waiting)
            asked, then = self.waiting.pop(heard.number)
            if heard.error is not None:
                self.errors.append((asked, heard.error))
            elif then is not None:
                then(heard.data)

    def _told(self, change: int) -> None:
        assert change >= self.last, ("changes out of order", change, self.last)
        self.last = change
        self.change = max(self.change, change)

    def _event(self, kind: int, data: Any) -> None:
        handler = getattr(self, f"_on_{_NAMES[kind]}", None)
        if handler is not None:
            handler(data)

    def _on_init(self, data: dict[str, Any]) -> None:
        thing_id = data["thing"]["#"]
        self._told(data["event"])
        mirror, before = Mirror(data), self.mirrors.get(thing_id)
        if before is not None and not self.refreshes and data["event"] > self.replayed:
            assert before.properties == mirror.properties, ("something was missed", before.properties, data)
        self.mirrors[thing_id] = mirror

    def _on_update(self, data: dict[str, Any]) -> None:
        self._told(data["event"])
        mirror = self.mirrors.get(data["#"])
        assert mirror is not None or data["event"] <= self.replayed, ("what is not watched", data)
        if mirror is not None:
            mirror.update(data, self.replayed)

    def _on_delete(self, data: dict[str, Any]) -> None:
        thing_id = data["#"]
        if self.replayed and thing_id not in self.mirrors:
            return
        del self.mirrors[thing_id]
        self.plain.discard(thing_id)
        self.deep.pop(thing_id, None)

    def _on_stop(self, data: dict[str, Any]) -> None:
        thing_id = data["#"]
        if self.replayed and thing_id not in self.mirrors:
            return
        del self.mirrors[thing_id]
        if thing_id in self.plain or thing_id in self.deep:
            assert self.lost, ("a watch ended", data)
            self.plain.discard(thing_id)
            self.deep.pop(thing_id, None)

    def _on_warning(self, data: dict[str, Any]) -> None:
        if data["warn_code"] == LEFT_OUT:
            assert self.refreshes
            self.room = -1

    def _on_emit(self, data: dict[str, Any]) -> None:
        (number,) = data["args"]
        assert self.joined
        assert ("number" in data) == self.history
        if self.history:
            assert data["number"] > self.emission
            self.emission = data["number"]
        if self.room is not None:
            assert self.room in (-1, number - 1), ("emissions were missed or repeated", self.room, number)
            self.room = number

    def _on_live_update(self, data: dict[str, Any]) -> None:
        self._told(data["change"])
        (held,) = (held for held in self.lives.values() if held.id == data["subscription"])
        assert data["change"] > held.change or self.refreshes, ("a result of an older change", data, held.change)
        held.change = data["change"]
        held.value = patched(held.value, data["patch"]) if "patch" in data else data["value"]

    def _on_live_end(self, data: dict[str, Any]) -> None:
        (code,) = (code for code, held in self.lives.items() if held.id == data["subscription"])
        del self.lives[code]
        self.ended[code] = data

    def _on_presence_join(self, data: dict[str, Any]) -> None:
        there = self._there(data)
        if there is not None:
            assert data["connection"] not in there or self.refreshes, ("who is there already came", data)
            there[data["connection"]] = data["user"]

    def _on_presence_leave(self, data: dict[str, Any]) -> None:
        there = self._there(data)
        if there is not None:
            assert data["connection"] in there or self.refreshes, ("who was not there left", data)
            there.pop(data["connection"], None)

    def _on_presence_end(self, data: dict[str, Any]) -> None:
        subject = self._subject(data)
        self.presence.pop(subject, None)

    def _there(self, data: dict[str, Any]) -> dict[int, str] | None:
        return self.presence.get(self._subject(data))

    def _subject(self, data: dict[str, Any]) -> tuple[str, Any]:
        return ("room", "room") if "room" in data else ("thing", data["thing"])


_NAMES = {
    native.INIT: "init",
    native.UPDATE: "update",
    native.DELETE: "delete",
    native.STOP: "stop",
    native.WARNING: "warning",
    native.ROOM_EMIT: "emit",
    native.LIVE_UPDATE: "live_update",
    native.LIVE_END: "live_end",
    native.PRESENCE_JOIN: "presence_join",
    native.PRESENCE_LEAVE: "presence_leave",
    native.PRESENCE_END: "presence_end",
    native.NODE_STATUS: "status",
    native.ROOM_JOIN: "room_join",
    native.ROOM_LEAVE: "room_leave",
    native.ROOM_DELETE: "room_delete",
}
