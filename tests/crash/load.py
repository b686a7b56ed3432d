"""Load on a server of which everything can be accounted for afterwards.

Each writer changes a thing of its own, in a row of operations that its number determines, one change each. So what the
thing is says how many of the operations were done, and what it is after so many is known. Watchers keep mirrors.
A spoiler changes the same things in atomic queries that fail, so that nobody ever knows of it.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from server.native import AUTH, DATA, ERROR, EVENT_ID, INIT, OK, QUERY, QUERY_WITH, UPDATE, WATCH
from tests.server.fakes import Client, bytes_of, within

__all__ = ["BEGINNING", "Spoiler", "Watcher", "Writer", "ask", "connected", "shown"]

IN_FLIGHT = 40
"""Requests of a writer that are not answered yet."""


def operate(name: str, seed: int, number: int, model: dict[str, Any]) -> str:
    """Do operation `number` of the writer `name` to its model. The query that does the same to its thing; its result is
    the id of the change."""
    chance = random.Random(seed * 1_000_003 + number)
    thing = f".{name}"
    items = model["list"]
    match chance.choice(["push", "splice", "thing", "add", "set", "clear", "text"]):
        case "push":
            new: list[Any] = [number, f"item {number}"][: chance.randint(1, 2)]
            items += new
            statement = f"{thing}.list.push({', '.join(map(repr, new))})"
        case "splice":
            start = chance.randint(0, len(items))
            count = min(chance.randint(0, 8), len(items) - start)
            items[start : start + count] = [number]
            statement = f"{thing}.list.splice({start}, {count}, {number})"
        case "thing":
            model["thing"] = {"n": number, "in": {"list": [{}, number]}}
            statement = f"{thing}.thing = {{n: {number}, in: {{list: [{{}}, {number}]}}}}"
        case "add":
            model["set"].append(number)
            statement = f"{thing}.set.add({{n: {number}}})"
        case "set":
            model["set"] = [number]
            statement = f"{thing}.set = set({{n: {number}}})"
        case "clear":
            model["set"], model["list"] = [], []
            statement = f"{thing}.set.clear(); {thing}.list.clear()"
        case _:
            model["text"] = "x" * chance.choice([1, 50, 3000])
            statement = f"{thing}.text = {model['text']!r}"
    model["n"] = number
    return f"{thing}.n = {number}; {statement}; change_id();"


BEGINNING = "{n: 0, list: [], set: set(), thing: {}, text: ''}"


def beginning() -> dict[str, Any]:
    """What a writer's thing is at first."""
    return {"n": 0, "list": [], "set": [], "thing": {}, "text": ""}


def copied(model: dict[str, Any]) -> dict[str, Any]:
    """A model that does not change with it."""
    return {name: list(value) if isinstance(value, list) else value for name, value in model.items()}


def shown(tree: Any) -> Any:
    """A result or a mirror like a model: no ids, sets by their members' numbers."""
    if isinstance(tree, dict):
        if "$" in tree:
            return sorted(thing["n"] for thing in tree["$"])
        return {name: shown(value) for name, value in tree.items() if name != "#"}
    if isinstance(tree, list):
        return [shown(item) for item in tree]
    return tree


async def connected(port: int) -> Client:
    """A client that is logged in."""
    reader, writer = await within(asyncio.open_connection("127.0.0.1", port))
    client = Client(reader, writer)
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


class Writer:
    """One that changes a thing of its own, `.w0`, `.w1`, …"""

    def __init__(self, which: int) -> None:
        self.which = which
        self.name = f"w{which}"
        self.model = beginning()  # after all that was asked for
        self.asked = 0
        self.states: dict[int, dict[str, Any]] = {0: beginning()}  # by how much was done, from what is known to be done
        self.acknowledged: dict[int, int] = {}  # operation -> id of its change

    def next(self) -> bytes:
        """The request of the next operation."""
        self.asked += 1
        text = operate(self.name, self.which, self.asked, self.model)
        self.states[self.asked] = copied(self.model)
        return bytes_of(QUERY, ["//stuff", text], self.asked & 0x7FFF)

    async def work(self, client: Client) -> None:
        """Ask for operations, many at a time, until the connection ends."""
        first = self.asked
        try:
            while True:
                while self.asked - first - len(self.acknowledged) < IN_FLIGHT:
                    client.send(self.next())
                package_id, kind, data = await client.read()
                if package_id == EVENT_ID:  # the status of a server that goes down
                    continue
                assert kind == DATA, (self.which, data)
                number = first + len(self.acknowledged) + 1
                assert package_id == number & 0x7FFF
                self.acknowledged[number] = data
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    def settle(self, done: int) -> None:
        """So many operations turned out to be done; go on from there."""
        self.model = self.states[done]
        self.asked = done
        self.states = {done: copied(self.model)}
        self.acknowledged.clear()


class Spoiler:
    """One that changes the writers' things in vain."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.failed = 0

    def next(self) -> bytes:
        """The request of the next atomic query, which fails."""
        number = self.failed
        name = self.names[number % len(self.names)]
        text = (
            operate(name, number, -1, beginning()) + f"x = .{name}; .del('{name}'); x.list.push({{}}); .new = x; 1/0;"
        )
        return bytes_of(QUERY_WITH, ["//stuff", text, None, {"atomic": True}])

    async def work(self, client: Client) -> None:
        """Ask for one after the other, until the connection ends."""
        try:
            while True:
                client.send(self.next())
                package_id, kind, data = await client.read()
                while package_id == EVENT_ID:  # the status of a server that goes down
                    package_id, kind, data = await client.read()
                assert (kind, data["error_code"]) == (ERROR, -58), data
                self.failed += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass


class Watcher:
    """One that mirrors all writers' things."""

    def __init__(self) -> None:
        self.mirrors: dict[int, dict[str, Any]] = {}
        self.changes: dict[int, list[int]] = {}  # ids of the changes seen of each thing, in order

    async def watch(self, client: Client, ids: list[int]) -> None:
        """Have first states of all things."""
        self.mirrors.clear()
        self.changes = {thing_id: [] for thing_id in ids}
        client.send(bytes_of(WATCH, ["//stuff", *ids]))
        while len(self.mirrors) < len(ids):
            self._take(*await client.read())
        for thing_id, mirror in self.mirrors.items():
            # Things in a first state are but their ids; what they are is asked for, so that mirrors can be compared.
            whole = await ask(client, f"return thing({thing_id}), 3;")
            assert mirror["thing"] == {"#": whole["thing"]["#"]}
            assert {one["#"] for one in mirror["set"]["$"]} == {one["#"] for one in whole["set"]}
            mirror |= whole
            mirror["set"] = {"$": whole["set"]}

    async def follow(self, client: Client) -> None:
        """Keep the mirrors until the connection ends."""
        try:
            while True:
                self._take(*await client.read())
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    def _take(self, package_id: int, kind: int, data: Any) -> None:
        if package_id != EVENT_ID:
            assert kind == OK, data
        elif kind == INIT:
            thing = data["thing"]
            self.mirrors[thing["#"]] = thing
        elif kind == UPDATE:
            self.changes[data["#"]].append(data["event"])
            for job in data["jobs"]:
                self._apply(self.mirrors[data["#"]], job)

    @staticmethod
    def _apply(thing: dict[str, Any], job: dict[str, Any]) -> None:
        ((kind, argument),) = job.items()
        ((name, value),) = argument.items()
        if kind == "set":
            thing[name] = value
        elif kind == "splice":
            index, count, *items = value
            thing[name][index : index + count] = items
        elif kind == "add":
            thing[name]["$"] += value
        else:
            assert kind == "remove"
            thing[name]["$"] = [held for held in thing[name]["$"] if held["#"] not in value]


async def ask(client: Client, text: str) -> Any:
    """The result of a query."""
    kind, data = await client.request(QUERY, ["//stuff", text])
    assert kind != ERROR, data
    return data
