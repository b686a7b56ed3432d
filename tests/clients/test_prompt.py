"""The terminal client of the language's makers, typed into by somebody at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import environment
from tests.serving import Server
from tests.terminal import Terminal


@pytest.fixture(scope="session")
def thingsprompt() -> Path:
    return environment("thingsprompt==1.0.11", "python-thingsdb==1.4.1")


@pytest.fixture
def prompt(thingsprompt: Path, shared_server: Server, tmp_path: Path) -> Iterator[Any]:
    """Starts it with arguments of the test's."""
    terminals: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        address = ("--node", "127.0.0.1", "--port", str(shared_server.tcp))
        terminals.append(Terminal([thingsprompt, "-m", "thingsprompt", *address, *arguments], tmp_path))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def test_a_visit(prompt: Any) -> None:
    terminal = prompt("--user", "admin", "--scope", "//stuff")
    terminal.until("password:")
    terminal.type("pass\n")
    terminal.until("(//stuff)>")
    terminal.type("{sum: 40 + 2, list: ['é', 1.5, nil]};\n")
    terminal.until('"sum": 42')
    assert '{\n    "list": [\n        "\\u00e9",\n        1.5,\n        null\n    ],\n    "sum": 42\n}' in terminal.text
    terminal.type("nothing_here;\n")
    terminal.until("LookupError: ")
    terminal.type("@t has_user('admin');\n")
    terminal.until("true")
    terminal.type("@n\n")
    terminal.until("(@n)>")
    terminal.type("node_info().load().status;\n")
    terminal.until('"READY"')
    terminal.press("d")
    assert terminal.end() == 0


def test_a_wrong_password(prompt: Any) -> None:
    terminal = prompt("--user", "admin")
    terminal.until("password:")
    terminal.type("wrong\n")
    assert terminal.end() == 1
    assert "AuthError: " in terminal.text


def test_export_and_import(prompt: Any, tmp_path: Path) -> None:
    login = ("--user", "admin", "--password", "pass")
    terminal = prompt(*login, "--scope", "@t")
    terminal.until("(@t)>")
    terminal.type("new_collection('prompted');\n")
    terminal.until('"prompted"')
    terminal.type("@:prompted .x = [1, {y: 2}]; set_type('Pair', {a: 'int'}); 'stored';\n")
    terminal.until('"stored"')
    terminal.press("d")
    terminal.end()
    for options, kind in (((), "mp"), (("--structure-only",), "ti")):
        file = tmp_path / f"prompted.{kind}"
        assert prompt(*login, "--scope", "//prompted", "export", str(file), *options).end() == 0
        assert prompt(*login, "--scope", f"//again_{kind}", "import", str(file)).end() == 0
    terminal = prompt(*login, "--scope", "//again_mp")
    terminal.until("(//again_mp)>")
    terminal.type("[.x[1].y, has_type('Pair')].len();\n")
    terminal.until("\n2\n")
    terminal.press("d")
    assert terminal.end() == 0
