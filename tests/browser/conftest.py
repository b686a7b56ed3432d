"""A real server in a process of its own, and a real Chromium that looks at its pages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from websockets.sync.client import connect

from tests import serving

from .window import Window

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium can't set up when it runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)


def needed(*names: str) -> str:
    """The path of the first program of these names. Without one: failure in CI, else the test is skipped."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"none of these programs is installed: {', '.join(names)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Server(serving.Server):
    """A server whose pages are looked at, which may come back on another WebSocket port than they know."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.page_port = self.ws

    def start(self, port: int | None = None, **options: Any) -> None:
        """Start it, on another WebSocket port if asked, and wait until it is ready."""
        self.ws = port or self.page_port
        super().start(**options)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page_port}"

    def query(self, code: str, scope: str = "//stuff", **variables: Any) -> Any:
        """Run a query beside the browser."""
        with connect(f"ws://127.0.0.1:{self.ws}/") as socket:

            def call(method: str, params: dict[str, Any]) -> Any:
                socket.send(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))
                while (answer := json.loads(socket.recv(timeout=10))).get("id") != method:
                    pass
                assert "error" not in answer, answer
                return answer["result"]

            call("auth", {"user": "admin", "password": "pass"})
            return call("query", {"scope": scope, "code": code, "vars": variables})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = needed(*BROWSERS)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(needed("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(driver: Any, server: Server) -> Iterator[Callable[..., Window]]:
    """Opens a page of the server in a window of its own, logged in unless told otherwise.

    Each window has a session of its own, as for another person. At the end no page may have complained: an error in a
    script, or something that the pages' content security policy forbids.
    """
    windows: list[Window] = []

    def open_page(page: str, log_in: bool = True) -> Window:
        window = Window(driver, f"{server.url}/{page}")
        windows.append(window)
        if log_in:
            window.log_in()
        return window

    driver.get_log("browser")
    first = driver.current_window_handle
    yield open_page
    complaints = [entry["message"] for window in windows for entry in window.complaints()]
    for window in windows:
        window.close()
    driver.switch_to.window(first)
    assert complaints == []
