"""A browser's own reader of event streams, on a page of another origin than the server."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from .conftest import Server
from .window import Window

READ = """
window.seen = [];
const stream = new EventSource(arguments[0]);
for (const name of ["watch.init", "watch.update", "room.emit", "warning", "node.status"]) {
  stream.addEventListener(name, ({ data, lastEventId }) => seen.push([name, JSON.parse(data), lastEventId]));
}
stream.addEventListener("error", () => seen.push(["error", stream.readyState]));
"""


class Elsewhere(BaseHTTPRequestHandler):
    """Serves an empty page. It has to come from this machine: browsers let no others talk to it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def window(driver: Any) -> Iterator[Window]:
    """A page of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        serving = Thread(target=elsewhere.serve_forever)
        serving.start()
        first = driver.current_window_handle
        window = Window(driver, f"http://127.0.0.1:{elsewhere.server_port}/")
        yield window
        window.close()
        driver.switch_to.window(first)
        elsewhere.shutdown()
        serving.join()


def seen(window: Window) -> list[Any]:
    found: list[Any] = window.driver.execute_script("return window.seen")
    return found


def test_a_watch_goes_on_over_a_restart(window: Window, server: Server) -> None:
    root = server.query(".x = 1; .room = room(); .room.set_name('lobby'); .id()")
    token = server.query(
        "new_user('viewer'); grant('//stuff', 'viewer', JOIN); new_token('viewer', datetime().move('days', 1))", "@t"
    ).replace("+", "%2B")
    url = f"http://127.0.0.1:{server.http}/events?scope=//stuff&thing={root}&room=lobby&token={token}"
    window.driver.execute_script(READ, url)
    window.until(lambda: len(seen(window)) == 1, "there is no first state")
    server.query(".x = 'two'; .room.emit('hello', 3)")
    window.until(lambda: len(seen(window)) == 3)
    first, emit, update = seen(window)
    change, number = first[2].split(".")
    assert (first[0], first[1]["thing"]["x"], change) == ("watch.init", 1, str(first[1]["event"]))
    assert (emit[0], emit[1]["args"], emit[2]) == ("room.emit", [3], f"{change}.{emit[1]['number']}")
    assert emit[1]["number"] > int(number)
    assert (update[0], update[1]["jobs"]) == ("watch.update", [{"set": {"x": "two"}}])
    assert update[2] == f"{update[1]['event']}.{emit[1]['number']}"
    server.stop()
    server.start()
    server.query(".x = 'three'")
    window.until(lambda: seen(window)[-1][0] == "watch.update" and len(seen(window)) > 5)
    assert seen(window)[-1][1]["jobs"] == [{"set": {"x": "three"}}]
    assert [event[0] for event in seen(window)].count("watch.init") == 1
    lost = [event[1]["rooms"] for event in seen(window) if event[0] == "warning"]
    assert lost == [[emit[1]["id"]]]  # what is emitted is kept in memory
    assert [event[1]["status"] for event in seen(window) if event[0] == "node.status"] == ["SHUTTING_DOWN", "OFFLINE"]
    assert {event[1] for event in seen(window) if event[0] == "error"} == {0}  # connecting, never given up


def test_a_wrong_token_is_the_end(window: Window, server: Server) -> None:
    window.driver.execute_script(READ, f"http://127.0.0.1:{server.http}/events?scope=//stuff&thing=1&token=wrong")
    window.until(lambda: seen(window) == [["error", 2]])
