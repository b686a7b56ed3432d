"""What the README shows works: its commands, queries and programs, one after the other, against a real server. Its
lines for browsers run in tests/browser/test_readme.py."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livethings import connect
from websockets.sync.client import connect as connect_websocket

from tests.documents import Block, PythonReader, blocks, pointed_at
from tests.serving import ROOT, Server
from tests.terminal import Terminal

BIN = Path(sys.executable).parent
ENDLESS = ("livethings watch", "curl -N")
INSTALLERS = ("pip", "pipx", "uv")
LOGIN = {"user": "admin", "password": "pass"}


class Reader:
    """Follows a document step by step, from an empty folder."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._exports: list[str] = []
        self._shell: Terminal | None = None
        self._python = PythonReader(server)

    def close(self) -> None:
        if self._shell is not None:
            self._shell.close()

    def run(self, block: Block) -> None:
        """Do what a block says."""
        if block.language == "sh":
            for command in re.sub(r"\\\n\s*", "", block.text).splitlines():
                self._command(command)
        elif block.language == "ti":
            self._queries(block)
        elif block.language == "python":
            asyncio.run(self._python.run(block))
        elif block.language == "json":
            self._frame(block.text)
        else:
            assert block.language == "js", f"{block}: nobody tests {block.language}"

    def _command(self, line: str) -> None:
        """A command at a prompt of the system."""
        command = line.partition("  #")[0].strip()
        name = command.split()[0]
        if command.startswith("export "):
            self._exports.append(command)
        elif name == "make":
            assert f"\n{command.split()[1]}:" in (ROOT / "Makefile").read_text()
        elif name in INSTALLERS:
            assert set(command.split()[2:]) <= {"livethings", "./client", ".", *distributions()}
        elif command == "livethings shell":
            self._shell = Terminal([BIN / "livethings", "shell"], self._folder, **self._environment(False))
            self._shell.until("//stuff>")
        elif command.startswith("livethings serve"):
            home = self._folder / "var"
            home.mkdir()
            options = command.replace("/var/lib", str(home)).split()[2:]
            with Server(home, more=tuple(options)) as another:  # ready, or it raises
                assert another.process is not None
        elif command.startswith("livethings restore"):
            self._server.stop()
            self._run(command)
            self._server.start()
        elif name != ".":  # which is what the environment's PATH does
            self._run(command)

    def _environment(self, with_password: bool = True) -> dict[str, str]:
        names = {"PATH": f"{BIN}:{os.environ['PATH']}", "LIVETHINGS_URL": f"tcp://127.0.0.1:{self._server.tcp}"}
        return names if with_password else names | {"LIVETHINGS_PASSWORD": "pass"}

    def _run(self, command: str) -> None:
        command = pointed_at(self._server, command).replace("/backups/", f"{self._folder}/")
        script = "; ".join([*self._exports, command])
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", f"exec 2>&1; {script}"],
            cwd=self._folder,
            env=os.environ | self._environment(),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            assert process.stdout is not None
            if command.startswith(ENDLESS):
                line = process.stdout.readline()
                os.killpg(process.pid, 9)
                assert "error" not in line.lower() and line.strip(), f"{command}: {line}"
                return
            said = process.stdout.read()
        assert process.returncode == 0, f"{command}: {said}"

    def _queries(self, block: Block) -> None:
        """Queries: at the prompt that was opened before, else as one."""
        if self._shell is not None:
            before = self._shell.text.count(">")
            self._shell.type(block.text + "\n")
            self._shell.until(lambda: self._shell is not None and self._shell.text.count(">") > before)
            self._shell.press("d")
            assert self._shell.end() == 0 and "Error" not in self._shell.text, self._shell.text
            self._shell = None
            if "set_password" in block.text:
                (password,) = re.findall(r"set_password\('admin', '(.*?)'\)", block.text)
                self._query("@thingsdb", "set_password('admin', 'pass')", password)
            return
        self._query("//stuff", block.text)

    def _query(self, scope: str, code: str, password: str = "pass") -> None:
        async def query() -> None:
            url = f"tcp://127.0.0.1:{self._server.tcp}"
            async with connect(url, user="admin", password=password) as db:
                await db.query(scope, code)

        asyncio.run(query())

    def _frame(self, text: str) -> None:
        """A frame of JSON-RPC on a WebSocket."""
        with connect_websocket(f"ws://127.0.0.1:{self._server.ws}") as socket:
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "auth", "params": LOGIN}))
            assert "error" not in json.loads(socket.recv())
            socket.send(text)
            assert "error" not in json.loads(socket.recv())


def distributions() -> set[str]:
    """The names of ours."""
    files = (ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml")
    return {tomllib.loads(file.read_text())["project"]["name"] for file in files}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Server(tmp_path) as server:
        (tmp_path / "program.ti").write_text(".board.cards.len();")
        reader = Reader(server, tmp_path)
        yield reader
        reader.close()


def test_the_readme(reader: Reader) -> None:
    for block in blocks("README.md"):
        try:
            reader.run(block)
        except Exception as error:
            raise AssertionError(f"{block} does not work") from error


def chat(db: Any) -> Any:
    """Somebody else, who does what examples wait for."""

    async def meanwhile() -> None:
        await db.query("//stuff", "try(.chat.emit('said', 'ann', 'hello')); try(.songs[0].likes += 1); nil")

    return meanwhile


@pytest.mark.parametrize("name", ["client/README.md", "docs/python.md"])
async def test_the_documents_of_the_python_client(name: str, tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        url = f"ws://127.0.0.1:{server.ws}"
        async with connect(url, **LOGIN) as db, connect(url, **LOGIN) as other:
            reader = PythonReader(server)
            for block in blocks(name):
                if block.language == "python":
                    reader.names["db"] = db  # which those that connect by themselves have closed
                    try:
                        await reader.run(block, chat(other))
                    except Exception as error:
                        raise AssertionError(f"{block} does not work") from error
