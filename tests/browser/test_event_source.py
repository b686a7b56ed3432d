"""A browser's own reader of event streams: it comes back by itself, and misses nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Server
from .window import Window

BEGIN = """
window.told = [];
const query = new URLSearchParams({ scope: "//stuff", thing: arguments[0], token: arguments[1] });
const stream = new EventSource(`/events?${query}`);
for (const name of ["watch.init", "watch.update"])
  stream.addEventListener(name, ({ data }) => window.told.push([name, JSON.parse(data)]));
"""


@pytest.fixture
def window(driver: Any, server: Server) -> Iterator[Window]:
    window = Window(driver, f"http://127.0.0.1:{server.http}/healthy")  # a page that allows scripts
    yield window
    window.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_over_a_restart(window: Window, server: Server, end: signal.Signals) -> None:
    root = server.query(".n = 0; .id()")
    token = server.query("new_token('admin')", "@t")
    window.driver.execute_script(BEGIN, str(root), token)

    def told() -> list[Any]:
        found: list[Any] = window.driver.execute_script("return window.told")
        return found

    window.until(lambda: len(told()) == 1, "there is no first state")
    server.query(".n = 1")
    window.until(lambda: len(told()) == 2, "there is no update")
    server.stop(end)
    server.start()
    for n in range(2, 6):  # most of it, or all, before the browser is back
        server.query(".n = n", n=n)
    window.until(lambda: len(told()) >= 6, "what was missed does not come")
    server.query(".n = 6")
    window.until(lambda: len(told()) >= 7, "it does not go on")
    names = [name for name, _ in told()]
    assert names == ["watch.init", *["watch.update"] * 6]
    assert [data["jobs"] for _, data in told()[1:]] == [[{"set": {"n": n}}] for n in range(1, 7)]
