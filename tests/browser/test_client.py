"""The browser client against the real server, in a page: nothing is missed or repeated, whatever happens between."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.fakes import free_ports
from tests.serving import ROOT

from .conftest import Server
from .window import Window

Open = Callable[..., Window]

BEGIN = """
const [scope, board, done] = arguments;
(async () => {
  const { connect } = await import("/livethings.js");
  const retry = { retryDelay: 20, retryDelayMax: 100 };
  const db = window.db = await connect({ user: "admin", password: "pass", ...retry });
  const seen = window.seen = { numbers: [], count: [], tree: null, room: [], present: [], missed: 0 };
  const follow = (store, tell) => new Promise((resolve) => {
    store.subscribe((value) => value !== undefined && (tell(value), resolve()));
  });
  await Promise.all([
    db.watch(scope, board, {
      init: ({ thing }) => seen.numbers.push(["init", thing.number]),
      update: (jobs) => seen.numbers.push(...jobs.flatMap(({ set }) => (set && "number" in set ? [set.number] : []))),
    }),
    follow(db.live(scope, ".board.lists.map(|list| list.items.len())"), (value) => seen.count.push(value)),
    follow(db.tree(scope, board, 2), (value) => (seen.tree = value)),
    follow(db.presence(scope, { thing: board }), (value) => (seen.present = value)),
  ]);
  const room = db.room(scope, "hall", { history: true });
  room.on("said", (what) => seen.room.push(what));
  room.onMissed(() => (seen.missed += 1));
  await new Promise((resolve) => room.status.subscribe(({ state }) => state === "live" && resolve()));
})().then(() => done(null), (error) => done(String(error)));
"""

SET_UP = """
.board = {number: 0, lists: [{items: []}, {items: []}], cards: [], done: [], tags: set({tag: 'a'})};
.board.owner = {name: 'ann'};
.hall = room();
.hall.set_name('hall');
.board.id();
"""

STEPS = (
    "b.lists[b.number % 2].items.push(b.number);",
    "b.cards.unshift({number: b.number, owner: b.owner, notes: [{text: 'new'}]});",
    "if (b.cards.len() > 3) b.cards.pop();",
    "if (b.cards.len()) b.done.push(b.cards.shift());",
    "if (b.done.len()) b.cards.unshift(b.done.pop());",
    "if (b.cards.len() && b.done.len()) { t = b.cards[0]; b.cards[0] = b.done[0]; b.done[0] = t; };",
    "if (b.cards.len()) { b.cards[0].notes.push({text: `note {b.number}`}); b.cards[0].notes[0].text = 'old'; };",
    "b.owner.name = `ann {b.number}`; b.owner = {name: 'bob'};",
    "b.tags.add({tag: `t{b.number}`}); if (b.tags.len() > 4) b.tags.remove(b.tags.one());",
    "b.cards.sort(|card| card.number); if (b.done.len() > 3) b.done.clear();",
)
"""What a step does besides counting; each is one change, of several things often."""


class Steps:
    """Changes of the board, any of them, but the same in each run."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._random = random.Random(20)
        self.number = 0

    def take(self, count: int, then: str = "", **variables: Any) -> None:
        for _ in range(count):
            self.number += 1
            code = f"b = .board; b.number += 1; {self._random.choice(STEPS)} {then} nil;"
            self._server.query(code, **variables)


def begin(window: Window, board: int) -> None:
    window.driver.set_script_timeout(20)
    assert window.driver.execute_async_script(BEGIN, "//stuff", board) is None


def seen(window: Window) -> Any:
    return json.loads(window.driver.execute_script("return JSON.stringify(window.seen)"))


def until_the_same(window: Window, server: Server) -> None:
    """Wait until the page's tree and live query are what the server has."""
    expected = server.query("return .board, 3;")
    lengths = [len(one["items"]) for one in expected["lists"]]

    def same() -> bool:
        now = seen(window)
        return bool(plain(now["tree"]) == plain(expected) and now["count"][-1] == lengths)

    window.until(same, "the page does not become as the server is")


def plain(value: Any) -> Any:
    """A value of a tree or a result, with sets as lists in the order of ids."""
    if isinstance(value, dict):
        if "$" in value:
            return sorted((plain(item) for item in value["$"]), key=lambda item: item["#"])
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        items = [plain(item) for item in value]
        if items and all(isinstance(item, dict) and "tag" in item for item in items):
            items.sort(key=lambda item: item["#"])
        return items
    return value


def test_a_page_goes_on_without_a_gap_through_crashes(open_page: Open, server: Server) -> None:
    board = server.query(SET_UP)
    window = open_page("index.html", log_in=False)
    begin(window, board)
    steps = Steps(server)
    steps.take(6)
    until_the_same(window, server)
    for time in range(1, 3):
        server.stop(signal.SIGKILL)
        window.until(lambda: window.driver.execute_script("return db.state") == "reconnecting")
        server.start(*free_ports(1))  # where the page does not find it
        steps.take(8, "room('hall').emit('said', time);", time=time)
        server.stop(signal.SIGKILL)
        server.start()
        steps.take(4)
        until_the_same(window, server)
    assert seen(window)["numbers"] == [["init", 0], *range(1, steps.number + 1)]
    window.until(lambda: [one["user"] for one in seen(window)["present"]] == ["admin"])
    assert seen(window)["room"] == [*[1] * 8, *[2] * 8]
    assert seen(window)["missed"] == 0


def test_a_page_that_was_left_misses_nothing_when_it_is_back(open_page: Open, server: Server) -> None:
    board = server.query(SET_UP)
    window = open_page("index.html", log_in=False)
    begin(window, board)
    steps = Steps(server)
    server.query(".hall.emit('said', 0);")
    window.until(lambda: seen(window)["room"] == [0])
    for time in range(1, 4):
        window.driver.execute_script("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
        window.until(lambda: window.driver.execute_script("return db.state") == "reconnecting")
        steps.take(5, "room('hall').emit('said', time);", time=time)
        window.driver.execute_script("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        steps.take(3)
        until_the_same(window, server)
    now = seen(window)
    assert now["numbers"] == [["init", 0], *range(1, steps.number + 1)]
    assert now["room"] == [0, *[1] * 5, *[2] * 5, *[3] * 5]
    assert now["missed"] == 0


RUN = """
const done = arguments[0];
window.logged = [];
console.log = (...values) => window.logged.push(values);
(async () => {
  %s
})().then(() => done(null), (error) => done(String(error)));
"""


def shown(page: str) -> str:
    """The first example of the client in a page of the documentation, with its import as a script can have it."""
    found = re.search(r"^```js\n(import \{ connect \} .*?)^```", (ROOT / page).read_text(), re.M | re.S)
    assert found is not None
    return re.sub(r"import (.*) from (\".*\");", r"const \1 = await import(\2);", found[1])


@pytest.mark.parametrize(("page", "logged"), [("README.md", [{"done": False}]), ("docs/javascript.md", 1)])
def test_what_the_documentation_shows_runs(open_page: Open, server: Server, page: str, logged: Any) -> None:
    server.query(".board = {cards: [{done: true}, {done: false}]}; .todo = []; nil;")
    window = open_page("index.html", log_in=False)
    window.driver.set_script_timeout(20)
    assert window.driver.execute_async_script(RUN % shown(page)) is None

    def last() -> Any:
        value = window.driver.execute_script("return window.logged.at(-1)?.[0]")
        return [{"done": card["done"]} for card in value] if isinstance(value, list) else value

    window.until(lambda: last() == logged)
