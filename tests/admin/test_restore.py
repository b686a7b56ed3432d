"""A backup is restored: into a data directory, and by a server that goes on serving. Whatever happens on the way, what
is there afterwards is all of the old or all of the new."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.encoding import log_packer
from engine.engine import Engine
from engine.errors import BadDataError, EngineError, LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.restoring import Backup, check_empty, restore, restore_directory
from engine.store import SqliteStore, StoreError
from engine.store.archive import check_archive, write_archive
from engine.users import User
from server.native import AUTH, DATA, ERROR, EVENT_ID, OK, QUERY, WATCH
from tests.server.fakes import Client
from tests.server.test_serve import ROOT, Server, Start, start  # noqa: F401  (a fixture)
from tests.things.state import stored
from watch.events import WATCH_DELETE, WATCH_INIT

CONTENTS = (
    "set_type('Person', {name: 'str', friends: '{Person}'});"
    "set_enum('Colour', {red: 1, blue: 2});"
    "new_procedure('twice', |x| x * 2);"
    ".iris = Person{name: 'Iris'}; .leo = Person{name: 'Leo', friends: set(.iris)};"
    ".room = room(); .list = [1, {a: {b: Colour{red}}}]; .when = datetime(1);"
    ".task = task(datetime(4000000000), |t, x| .ran = x, [{of: 'task'}]);"
    "nil"
)


class As:
    """A caller who gets no events."""

    subscriber = None

    def __init__(self, user: User) -> None:
        self.user = user


class Node:
    """An engine with a store on disk, what it does being durable at once."""

    def __init__(self, directory: Path) -> None:
        self.store = SqliteStore.open(directory, create=True)
        self.engine = Engine()
        self.engine.open(self.store)

    def query(self, code: str, scope: str = "//stuff", user: str = "admin") -> Any:
        outcome = self.engine.query(As(self.engine.users[user]), scope, code)
        for part in (outcome, *(outcome.more or ())):
            if part.change is not None:
                self.store.write_batch(part.change.id, [part.change.packed], time.time())
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def state(self) -> Any:
        pack = log_packer().pack
        collections = {name: pack(sorted(stored(self.engine, name).items())) for name in self.engine.collections}
        return collections, sorted(self.engine.users), self.query("users_info()", "@t")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "origin")
    yield node
    node.store.close()


@pytest.fixture
def archive(node: Node, tmp_path: Path) -> Path:
    """A backup of a node with something of everything."""
    node.query("new_user('iris'); set_password('iris', 'secret'); grant('//stuff', 'iris', FULL); nil", "@t")
    node.query("new_collection('music'); new_procedure('hello', || 'hi'); new_token('iris'); nil", "@t")
    node.query(CONTENTS)
    node.store.write_checkpoint(node.engine.checkpoint())
    node.query(".late = {in: 'the log'}; .gone = {}; .del('gone'); nil")
    node.query(".song = {title: 'One'}; nil", "//music")
    path = tmp_path / "backups" / "one.tar.gz"
    write_archive(node.store, path)
    return path


# --- into a data directory -------------------------------------------------------------------------------------------


def test_all_that_the_backup_holds_is_there(node: Node, archive: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    last = restore_directory(archive, tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert seen and seen[-1][0] == seen[-1][1] > 0
    other = Node(tmp_path / "new")
    assert other.state() == node.state()
    assert other.engine.last_change == last > node.engine.last_change
    assert other.query("twice(tasks()[0].args()[0].of.len())") == 8
    assert other.query("hello()", "@t") == "hi"
    other.query(".new = {}")
    assert other.query(".new.id()") >= node.engine.next_id
    other.store.close()
    assert not list((tmp_path / "new").glob(".restore-*"))


def test_tasks_can_be_left_out(archive: Path, tmp_path: Path) -> None:
    restore_directory(archive, tmp_path / "new", tasks=False)
    other = Node(tmp_path / "new")
    assert other.query("[tasks(), str(.task), bool(.task)]") == [[], "task:nil", False]
    other.store.close()


def test_a_store_with_something_in_it_is_replaced_only_when_that_is_said(archive: Path, tmp_path: Path) -> None:
    other = Node(tmp_path / "other")
    for _ in range(30):
        other.query(".x = {}; .y = {}; nil")
    next_id, last = other.engine.next_id, other.engine.last_change
    other.store.close()
    with pytest.raises(StoreError, match="not empty"):
        restore_directory(archive, tmp_path / "other")
    other = Node(tmp_path / "other")
    assert other.query(".keys()") == ["x", "y"]
    other.store.close()
    restore_directory(archive, tmp_path / "other", replace=True)
    other = Node(tmp_path / "other")
    assert other.engine.last_change > last
    other.query(".new = {}")
    assert other.query(".new.id()") >= next_id
    assert other.query(".iris.name") == "Iris"
    other.store.close()


@pytest.mark.parametrize("damage", ["missing", "no archive", "cut off", "other contents", "damaged store", "no file"])
def test_what_is_no_backup_changes_nothing(archive: Path, tmp_path: Path, damage: str) -> None:
    bad = tmp_path / "bad.tar.gz"
    data = archive.read_bytes()
    if damage == "no archive":
        bad.write_bytes(b"something else" * 100)
    elif damage == "cut off":
        bad.write_bytes(data[: len(data) // 2])
    elif damage == "no file":
        os.mkfifo(bad)
    elif damage in ("other contents", "damaged store"):
        name = "livethings.db" if damage == "damaged store" else "other.db"
        Path(tmp_path, name).write_bytes(b"SQLite format 3\0" + bytes(5000))
        with tarfile.open(bad, "w:gz") as target:
            target.add(tmp_path / name, arcname=name)
    Node(tmp_path / "other").store.close()
    with pytest.raises(StoreError):
        restore_directory(bad, tmp_path / "other")
    other = Node(tmp_path / "other")
    assert other.query(".keys()") == []
    other.store.close()
    assert not list((tmp_path / "other").glob(".restore-*"))


def test_a_directory_in_use_is_left_alone(archive: Path, node: Node) -> None:
    with pytest.raises(StoreError, match="has it open"):
        restore_directory(archive, node.store.path.parent, replace=True)


# --- what may be restored, and how it is asked for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "code", "error"),
    [
        ("//stuff", ".x = 1", OperationError),
        ("//stuff", "new_procedure('p', || 1)", OperationError),
        ("//stuff", "set_type('T', {}); nil", OperationError),
        ("@t", "task(datetime(4000000000), || nil)", LookupFailed),
    ],
)
def test_nothing_that_is_there_gets_lost(
    archive: Path, tmp_path: Path, scope: str, code: str, error: type[EngineError]
) -> None:
    other = Node(tmp_path / "other")
    check_empty(other.engine)
    backup = Backup(archive, tmp_path, tasks=True, clock=time.time)
    other.query(code, scope)  # while the backup was being read
    before = other.engine.last_change
    with pytest.raises(error):
        restore(other.engine, backup, None)
    assert other.engine.last_change == before
    backup.close()
    other.store.close()


class Host:
    """Says what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def check_backup(self, file: str) -> None:
        try:
            check_archive(Path(file))
        except StoreError as error:
            raise BadDataError(str(error)) from None

    def restore(self, *asked: Any) -> None:
        self.asked.append(asked)


def test_arguments(archive: Path, tmp_path: Path) -> None:
    other = Node(tmp_path / "other")
    host = Host()
    other.engine.host = host  # type: ignore[assignment]
    for arguments, error in (
        ("1", TypeFailed),
        (f"'{archive}', nil", TypeFailed),
        (f"'{archive}', {{x: true}}", ValueFailed),
        (f"'{archive}', {{take_access: 1}}", TypeFailed),
        (f"'{archive}', {{take_access: true, restore_tasks: true}}", ValueFailed),
        (f"'{tmp_path}/none.tar.gz'", BadDataError),
        ("''", BadDataError),
    ):
        with pytest.raises(error):
            other.query(f"restore({arguments})", "@t")
    other.query("new_user('iris'); grant('@t', 'iris', FULL); revoke('@t', 'iris', JOIN)", "@t")
    with pytest.raises(EngineError) as raised:
        other.query("restore()", "@t", user="iris")
    assert raised.value.code == -55
    assert other.query(f"restore('{archive}')", "@t") is None
    assert other.query(f"restore('{archive}', {{restore_tasks: true, take_access: false}})", "@t") is None
    assert other.query(f"restore('{archive}', {{take_access: true}})", "@t") is None
    me = other.engine.users["admin"]
    path = str(archive)
    assert host.asked == [(path, None, False), (path, None, True), (path, me, False)]
    other.store.close()


def test_taking_the_access(archive: Path, tmp_path: Path) -> None:
    other = Node(tmp_path / "other")
    other.query("new_user('lisa'); grant('@t', 'lisa', FULL); set_password('lisa', 'mine'); nil", "@t")
    key = other.query("new_token('lisa')", "@t")
    lisa = other.engine.users["lisa"]
    backup = Backup(archive, tmp_path, tasks=False, clock=time.time)
    outcome, checkpoint = restore(other.engine, backup, lisa)
    assert outcome.error is None
    other.store.write_checkpoint(checkpoint)
    backup.close()
    for again in (False, True):
        if again:
            other.store.close()
            other = Node(tmp_path / "other")
        assert list(other.engine.users) == ["lisa"]
        assert other.engine.users["lisa"] is not lisa
        assert other.engine.login_token(key) is other.engine.users["lisa"]
        info = other.query("user_info().load().access.map(|a| [a.scope, a.privileges])", user="lisa")
        assert info == [["@node", "FULL"], ["@thingsdb", "FULL"]] + [
            [f"@collection:{name}", "FULL"] for name in other.engine.collections
        ]
        assert other.query(".iris.name", user="lisa") == "Iris"
    assert lisa.deleted
    other.store.close()


# --- while serving ---------------------------------------------------------------------------------------------------


async def until_gone(client: Client) -> None:
    """Ask until the client's user is gone."""
    while True:
        kind, value = await client.request(QUERY, ["@t", "nil"])
        if kind == ERROR:
            assert value["error_code"] == -55
            return


async def test_a_server_restores_and_serves_on(start: Start, archive: Path, node: Node) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    watcher, admin = await server.client(), await server.client()
    kind, root = await watcher.request(QUERY, ["//stuff", ".id()"])
    assert kind == DATA
    assert await watcher.request(WATCH, ["//stuff", root]) == (OK, None)
    assert (await watcher.read())[1] == WATCH_INIT
    kind, value = await admin.request(QUERY, ["@t", f"restore('{archive}'); try(restore('{archive}')).code()"])
    assert (kind, value) == (DATA, -63)
    assert await watcher.read() == (EVENT_ID, WATCH_DELETE, {"#": root})
    await until_gone(admin)
    await until_gone(watcher)
    assert await watcher.request(AUTH, ["iris", "secret"]) == (OK, None)
    assert await watcher.request(QUERY, ["//stuff", ".iris.name"]) == (DATA, "Iris")
    assert await watcher.request(QUERY, ["//stuff", "twice(4) + .list[1].a.b.value()"]) == (DATA, 9)
    assert await admin.request(AUTH, ["admin", "pass"]) == (OK, None)
    kind, number = await admin.request(QUERY, ["//stuff", ".new = {}; .new.id()"])
    assert kind == DATA and number >= node.engine.next_id
    await server.end(signal.SIGKILL)

    server = await start()
    await server.ready()
    admin = await server.client()
    assert await admin.request(QUERY, ["//stuff", "[.new.id(), .iris.name, tasks()]"]) == (DATA, [number, "Iris", []])
    assert await server.end() == 0


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("wait", [0, 1, 3])
async def test_a_server_that_is_stopped_on_the_way_has_all_or_nothing(
    start: Start,  # noqa: F811
    archive: Path,
    tmp_path: Path,
    stop: signal.Signals,
    wait: int,
) -> None:
    server = await start()
    await server.ready()
    admin = await server.client()
    assert await admin.request(QUERY, ["@t", "new_user('old'); nil"]) == (DATA, None)
    assert await admin.request(QUERY, ["@t", f"restore('{archive}')"]) == (DATA, None)
    for _ in range(wait * 10):
        await admin.request(QUERY, ["@t", "nil"])
    await server.end(stop)
    other = Node(tmp_path / "data")
    if "old" in other.engine.users:
        assert other.query(".keys()") == []
    else:
        assert sorted(other.engine.users) == ["admin", "iris"]
        assert other.query("[.iris.name, .late.in]") == ["Iris", "the log"]
    other.store.close()


async def test_a_backup_that_turns_out_to_be_damaged(start: Start, archive: Path) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    admin = await server.client()
    data = bytearray(archive.read_bytes())
    data[-1000:] = bytes(1000)
    archive.write_bytes(data)
    code = f"restore('{archive}')"
    assert await admin.request(QUERY, ["@t", code]) == (DATA, None)
    while True:  # until another one may be tried
        kind, value = await admin.request(QUERY, ["@t", f"is_err(try({code}, operation_err()))"])
        assert kind == DATA
        if not value:
            break
    assert await admin.request(QUERY, ["//stuff", ".keys()"]) == (DATA, [])
    assert await server.end() == 0
    assert "is not restored" in await server.said()


def test_a_crash_while_the_store_is_written(archive: Path, tmp_path: Path) -> None:
    Node(tmp_path / "other").store.close()
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from engine import restoring\n"
        "things = restoring.Backup.things\n"
        "def broken(self):\n"
        "    for place, row in enumerate(things(self)):\n"
        "        if place == 3: os._exit(9)\n"
        "        yield row\n"
        "restoring.Backup.things = broken\n"
        "restoring.restore_directory(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, archive, tmp_path / "other"], cwd=ROOT, check=False)
    assert done.returncode == 9
    other = Node(tmp_path / "other")
    assert other.query(".keys()") == []
    assert other.query("users_info().len()", "@t") == 1
    other.store.close()
    restore_directory(archive, tmp_path / "other")
    other = Node(tmp_path / "other")
    assert other.query(".iris.name") == "Iris"
    other.store.close()
