"""Modules from repositories: downloaded, called by what they expose, refreshed, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.modules import system
from server.native import DATA, QUERY
from tests.modules.hub import Hub
from tests.modules.test_modules import FORBIDDEN, LOOKUP, OPERATION, PROGRAMS, ask, connected
from tests.server.fakes import Client, bytes_of
from tests.serving import Server

TYPE = -61


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def server(tmp_path: Path, hub: Hub) -> Iterator[Server]:
    options = ("--modules-path", tmp_path / "modules", "--github-url", hub.url, "--wait-for-modules", "1")
    with Server(tmp_path, more=options) as made:
        yield made
    assert "Traceback" not in made.said


def publish(hub: Hub, where: str = "people/many", tag: str = "", **described: Any) -> None:
    """Put the module `many` into a repository, with what its description says."""
    described = {"main": {system(): "src/many.py"}, "version": "0.1.0", **described}
    suffix = f"@{tag}" if tag else ""
    hub.files[f"{where}/module.json{suffix}"] = json.dumps(described).encode()
    hub.files[f"{where}/src/many.py{suffix}"] = (PROGRAMS / "many.py").read_bytes()


async def status(client: Client, name: str = "many") -> str:
    """The module's status, once it is no passing one."""
    while (found := await ask(client, f"module_info('{name}').load().status;", "@t")) in (
        "installing module...", "module not loaded", "stopping module...",
    ):  # fmt: skip
        await asyncio.sleep(0.02)
    assert isinstance(found, str)
    return found


EXPOSES = {
    "echo": {"doc": "Gives back what it got.", "argmap": ["x", "y", "*"], "defaults": {"do": "echo", "deep": 2}},
    "raw": {"defaults": {"do": "echo", "load": False}},
    "twice": "|m, x| { 'Asks twice.'; future(nil, m.echo(x), m({do: 'echo', x:})).then(|_, a, b| 'both'); }",
    "keep": "|m, x| .kept = x",
}


async def test_what_a_repository_exposes(server: Server, hub: Hub, tmp_path: Path) -> None:
    publish(hub, doc="Many things.", defaults={"load": True, "origin": "hub"}, exposes=EXPOSES, includes=["doc/a b.md"])
    hub.files["people/many/doc/a b.md"] = b"# many"
    client = await connected(server)
    assert await ask(client, "many.echo(1);") == LOOKUP
    assert await ask(client, "new_module('many', 'github.com/people/many');", "@t") is None
    assert await ask(client, "many.nothing;") == TYPE
    assert await status(client) == "running"
    assert (tmp_path / "modules/many/doc/a b.md").read_text() == "# many"
    info = await ask(client, "module_info('many');", "@t")
    assert info["file"] == str(tmp_path / "modules/many/src/many.py")
    assert (info["version"], info["doc"], info["exposes"]["echo"]) == (
        "0.1.0", "Many things.", "Gives back what it got.",
    )  # fmt: skip

    sent = {"do": "echo", "origin": "hub"}
    code = "return many.echo(1, {a: {b: 1}}, {z: 2}, 'more').then(|r, more| [r, more]), 9;"
    assert await ask(client, code) == [{**sent, "x": 1, "y": {"a": {}}, "z": 2}, "more"]
    assert await ask(client, "many.echo().then(|r| r);") == sent
    assert await ask(client, "many.echo(1, nil, nil, 4).then(|r, four| [r, four]);") == [
        {**sent, "x": 1, "y": None}, 4,
    ]  # fmt: skip
    assert await ask(client, "many.echo(1, 2, {deep: 3, load: false, y: 3}).then(|r| type(r));") == "mpdata"
    assert await ask(client, "many.raw({x: 1}).then(|r| r);") == {**sent, "x": 1}
    assert await ask(client, "many.echo(1, 2, 3);") == TYPE
    # What the module defaults to holds for its other requests too, and gives way to what they say.
    assert await ask(client, "many({do: 'echo', origin: 'me'}).then(|r| r.origin);") == "me"
    assert await ask(client, "future({module: 'many', do: 'echo'}).then(|r| r.origin);") == "hub"
    # Closures get the module first.
    assert await ask(client, "many.twice(3);") == "both"
    assert await ask(client, "many.keep(3);") == OPERATION
    assert await ask(client, "wse(many.keep(3));") == 3
    assert await ask(client, "many.nothing();") == LOOKUP
    assert await ask(client, "m = many; m.echo(5).then(|r| r.x);") == 5
    assert await ask(client, "[type(many), str(many), is_thing(many)];") == ["module", "module:many", False]
    assert await ask(client, ".m = many; .l = [many]; [.m, .l];") == [None, [None]]
    assert await ask(client, "set_module_scope('many', '@t');", "@t") is None
    assert await ask(client, "many.echo(1);") == FORBIDDEN
    client.send(bytes_of(QUERY, ["@t", "deploy_module('many', code);", {"code": b"x"}]))
    assert (await client.read())[2]["error_code"] == OPERATION


async def test_tags_and_tokens(server: Server, hub: Hub) -> None:
    publish(hub, "people/secret", "v2", exposes={"echo": {"defaults": {"do": "echo"}}})
    hub.tokens["people/secret"] = "s3cr3t"
    client = await connected(server)
    assert await ask(client, "new_module('a', 'github.com/people/secret:s3cr3t@v2');", "@t") is None
    assert await status(client, "a") == "running"
    assert hub.asked == ["people/secret/module.json@v2", "people/secret/src/many.py@v2"]
    assert await ask(client, "new_module('b', 'github.com/people/secret:wr0ng@v2');", "@t") is None
    assert "refused" in await status(client, "b")
    assert await ask(client, "new_module('c', 'github.com/people/secret@v2');", "@t") is None
    assert "needs a token" in await status(client, "c")
    assert "s3cr3t" not in server.said and "wr0ng" not in server.said


async def test_a_repository_is_refreshed_when_asked(server: Server, hub: Hub, tmp_path: Path) -> None:
    publish(hub)
    client = await connected(server)
    assert await ask(client, "new_module('many', 'github.com/people/many', {a: 1});", "@t") is None
    assert await status(client) == "running"
    asked = len(hub.asked)

    # A server that starts again has it, whether there is a network or not.
    server.stop()
    hub.files.clear()
    server.start()
    client = await connected(server)
    assert await ask(client, "module_info('many').load().status;", "@t") == "running"  # it has waited for it
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r.a);") == 1
    assert len(hub.asked) == asked

    # A refresh that fails leaves what is there, and one that succeeds replaces it.
    assert await ask(client, "refresh_module('many');", "@t") is None
    while "could not be installed" not in server.said:
        await asyncio.sleep(0.02)
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r.a);") == 1
    publish(hub, version="0.2.0", exposes={"pid": {"defaults": {"do": "pid", "load": True}}})
    assert await ask(client, "many.pid();") == LOOKUP
    assert await ask(client, "refresh_module('many');", "@t") is None
    while await ask(client, "module_info('many').load().version;", "@t") != "0.2.0":
        await asyncio.sleep(0.02)
    assert await status(client) == "running"
    pid = await ask(client, "many.pid().then(|pid| pid);")
    assert isinstance(pid, int) and pid > 0

    # It keeps its files under another name, and takes them along when it goes.
    assert await ask(client, "rename_module('many', 'lots');", "@t") is None
    assert await status(client, "lots") == "running"
    assert not (tmp_path / "modules/many").exists()
    assert await ask(client, "del_module('lots');", "@t") is None
    while (tmp_path / "modules/lots").exists():
        await asyncio.sleep(0.02)


BROKEN: list[tuple[dict[str, Any], dict[str, bytes], str]] = [
    ({"main": {"none/none": "x"}}, {}, "no file for"),
    ({"main": "none.py"}, {}, "there is no none.py in github.com/people/broken1"),
    ({"includes": ["none"]}, {}, "there is no none"),
    ({}, {"module.json": b"{"}, "no JSON"),
    ({}, {"module.json": b" " * (1 << 20) + b" "}, "too large"),
    ({"requirements": ["./no-such-package"]}, {}, "pip could not install ./no-such-package"),
]
"""What a description says, the files of a repository, and what is said of them."""


async def test_what_can_not_be_installed(server: Server, hub: Hub) -> None:
    client = await connected(server)
    for number, (described, files, said) in enumerate(BROKEN):
        name = f"broken{number}"
        publish(hub, f"people/{name}", **described)
        hub.files |= {f"people/{name}/{file}": data for file, data in files.items()}
        assert await ask(client, f"new_module('{name}', 'github.com/people/{name}');", "@t") is None
        assert said in await status(client, name)
        assert await ask(client, f"{name}({{do: 'echo'}});") == OPERATION
        assert "file" not in await ask(client, f"module_info('{name}').load();", "@t")
    publish(hub, "people/broken0")
    assert await ask(client, "restart_module('broken0');", "@n") is None
    assert await status(client, "broken0") == "running"


async def test_an_api_that_is_not_there(server: Server, hub: Hub) -> None:
    hub.close()
    client = await connected(server)
    assert await ask(client, "new_module('many', 'github.com/people/many');", "@t") is None
    assert "can't be downloaded" in await status(client)


async def test_required_packages(server: Server, hub: Hub, tmp_path: Path) -> None:
    wheel = tmp_path / "greetings-1.0-py3-none-any.whl"
    about = "greetings-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("greetings.py", "WORD = 'hello'\n")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"greetings.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    publish(hub, requirements=[f"greetings @ {wheel.as_uri()}"])
    hub.files["people/many/src/many.py"] = b"import greetings\n" + hub.files["people/many/src/many.py"].replace(
        b"conf = None", b"conf = greetings.WORD", 1
    )
    client = await connected(server)
    client.send(bytes_of(QUERY, ["@t", "new_module('many', 'github.com/people/many');"]))
    assert (await client.read())[1] == DATA
    assert await status(client) == "running"
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r);") == "hello"
