"""The examples of client/examples/, as their readers run them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from jupyter_client.manager import AsyncKernelManager

from tests.client.conftest import Open, url_of
from tests.server.fakes import free_ports, within
from tests.serving import ROOT, Server

EXAMPLES = ROOT / "client" / "examples"


def loaded(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- a notebook -------------------------------------------------------------------------------------------------------


async def run_notebook(path: Path, folder: Path) -> list[str | None]:
    """Run the cells of a notebook in a kernel of its own; what each one with code shows at the end, also what it was
    made to show while later ones ran. Raises AssertionError for a cell that fails."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    manager = AsyncKernelManager(transport="ipc", ip=str(folder / "kernel"))
    await manager.start_kernel(cwd=str(folder))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        shown: list[str | None] = []
        displays: dict[str, int] = {}
        for number, cell in enumerate(cells):
            asked = client.execute("".join(cell["source"]))
            shown.append(None)
            while True:
                message = await client.get_iopub_msg(timeout=60)
                kind, content = message["msg_type"], message["content"]
                assert kind != "error", "\n".join(content["traceback"])
                display = content.get("transient", {}).get("display_id")
                if kind == "update_display_data":
                    shown[displays[display]] = content["data"]["text/plain"]
                elif kind in ("display_data", "execute_result"):
                    displays[display] = number
                    shown[number] = content["data"]["text/plain"]
                elif content.get("execution_state") == "idle" and message["parent_header"].get("msg_id") == asked:
                    break
        return shown
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def test_the_notebook(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVETHINGS_URL", url_of(server))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shown = await run_notebook(EXAMPLES / "sensors.ipynb", tmp_path)
    _, temperatures, warm, changed, first, second, _ = shown
    assert temperatures == "[20.0, 20.0, 20.0]"
    assert warm == "['cellar', 'roof']"  # which became so while later cells ran
    assert changed == "28.0"
    assert first is not None and first.count("Sensor #") == 3 and "celsius=31.5" in first
    assert second is not None and second.count("Sensor #") == 4 and "celsius=17.5" in second and "attic" in second


# --- FastAPI ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of an ASGI application that is served on a port."""
    (port,) = free_ports(1)
    http = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    http.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(http.serve())
    try:
        while not http.started and not task.done():
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        http.should_exit = True
        await task


async def test_fastapi(server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVETHINGS_URL", url_of(server))
    other = await opened(server)
    votes = loaded("votes")

    async def shown(lines: AsyncIterator[str]) -> Any:
        """The data of the next event."""
        while True:
            line = await within(anext(lines))
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))

    async with serving(votes.app) as client:
        async with client.stream("GET", "/votes") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert await shown(lines) == [{"dish": dish, "votes": 0} for dish in ("pizza", "soup", "salad")]
            assert (await client.post("/votes/soup")).json() == {"dish": "soup", "votes": 1}
            assert (await shown(lines))[0] == {"dish": "soup", "votes": 1}
            await other.query("//stuff", ".lunch.salad = 5")
            assert (await shown(lines))[0] == {"dish": "salad", "votes": 5}
        missing = await client.post("/votes/stew")
        assert (missing.status_code, missing.json()) == (404, {"detail": "there is no stew today"})
        assert "EventSource" in (await client.get("/")).text
        while votes.app.state.db._link._subscriptions:  # the browser that went away is noticed
            await asyncio.sleep(0.01)


# --- a chat -----------------------------------------------------------------------------------------------------------


class Chatter:
    """Somebody with the chat in a terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self._keys, self._screen = process, process.stdin, process.stdout

    @classmethod
    async def open(cls, name: str, url: str) -> Chatter:
        """Start it."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-u", str(EXAMPLES / "chat.py"), name]
        environment = os.environ | {"LIVETHINGS_URL": url}
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment))

    def say(self, text: str) -> None:
        """Type a line."""
        self._keys.write(f"{text}\n".encode())

    async def sees(self, *expected: str) -> None:
        """Read until all of these lines have come."""
        missing = list(expected)
        while missing:
            line = (await within(self._screen.readline())).decode()
            assert line, f"it has ended, and {missing} did not come"
            missing = [one for one in missing if one not in line]

    async def leave(self) -> None:
        """End the input."""
        self._keys.close()
        assert await within(self._process.wait()) == 0


async def test_the_chat(server: Server) -> None:
    ann = await Chatter.open("ann", url_of(server))
    await ann.sees("is here")
    ann.say("good morning")
    await ann.sees("ann: good morning")
    bob = await Chatter.open("bob", url_of(server))
    await bob.sees("ann: good morning", "is here")
    await ann.sees("is here")
    bob.say("hello ann")
    await ann.sees("bob: hello ann")
    await bob.sees("bob: hello ann")
    await bob.leave()
    await ann.sees("has left")
    await ann.leave()
