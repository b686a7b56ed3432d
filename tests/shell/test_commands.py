"""`livethings watch`, `status`, `backup` and `restore`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Server
from tests.shell.conftest import COMMAND, environment, livethings


class Watching:
    """`livethings watch`, read line by line."""

    def __init__(self, server: Server, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "watch", *map(str, arguments)],
            env=environment(server),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def event(self) -> dict[str, Any]:
        """The next event."""
        assert self._process.stdout is not None
        event: dict[str, Any] = json.loads(self._process.stdout.readline())
        return event

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """End it by a signal, or wait for its end: its exit status, and what it has said since."""
        if number is not None:
            self._process.send_signal(number)
        said, errors = self._process.communicate(timeout=20)
        return self._process.returncode, said, errors

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def watch() -> Iterator[Any]:
    started: list[Watching] = []

    def start(server: Server, *arguments: object) -> Watching:
        started.append(Watching(server, *arguments))
        return started[-1]

    yield start
    for watching in started:
        watching.close()


def change(server: Server, code: str) -> Any:
    done = livethings(server, "query", code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching(number: int, watch: Any, shared_server: Server) -> None:
    one, two = change(shared_server, ".watched = [{x: 1}, {y: 2}]; .watched.map(|thing| thing.id());")
    watching = watch(shared_server, "//stuff", one, two)
    second, first = sorted((watching.event(), watching.event()), key=lambda event: -event["id"])
    assert first == {
        "event": "init", "id": one, "change": first["change"], "collection": "stuff", "thing": {"#": one, "x": 1},
    }  # fmt: skip
    assert (second["id"], second["thing"]) == (two, {"#": two, "y": 2})
    change(shared_server, ".watched[0].x = nil;")
    assert watching.event() == {
        "event": "update", "id": one, "change": first["change"] + 1, "jobs": [{"set": {"x": None}}],
    }  # fmt: skip
    change(shared_server, ".watched.pop(); nil;")
    assert {**watching.event(), "change": 0} == {"event": "delete", "id": two, "change": 0}
    assert watching.end(number) == (0, "", "")


def test_watching_deep(watch: Any, shared_server: Server) -> None:
    top, low = change(shared_server, ".deep = {one: {two: {}}}; [.deep.id(), .deep.one.two.id()];")
    watching = watch(shared_server, "//stuff", top, "--deep", 2)
    assert low in {watching.event()["id"] for _ in range(3)}
    change(shared_server, ".deep.one.two.x = 1;")
    update = watching.event()
    assert (update["event"], update["id"], update["jobs"]) == ("update", low, [{"set": {"x": 1}}])
    change(shared_server, ".deep.del('one'); nil;")
    assert {watching.event()["event"] for _ in range(3)} <= {"update", "stop", "delete"}
    assert watching.end(signal.SIGINT) == (0, "", "")
    done = livethings(shared_server, "watch", "//stuff", "--deep", "128")
    assert done.returncode == 2 and "from 0 to 127" in done.stderr


def test_no_command_gets_help() -> None:
    done = livethings(None)
    assert (done.returncode, done.stdout) == (2, "")
    assert "livethings serve" in done.stderr


def test_watching_the_root_until_nobody_reads(watch: Any, shared_server: Server) -> None:
    watching = watch(shared_server, "//stuff")
    assert watching.event()["event"] == "init"
    watching._process.stdout.close()
    change(shared_server, ".nobody_reads_this = 1;")
    change(shared_server, ".nobody_reads_this = 2;")
    assert watching._process.wait(20) == 1
    assert watching._process.stderr.read() == ""


def test_watching_what_is_not_there(watch: Any, shared_server: Server) -> None:
    status, said, errors = watch(shared_server, "//stuff", 999_999).end()
    assert (status, said) == (1, "")
    assert "999999" in errors
    status, said, errors = watch(shared_server, "//nothing").end()
    assert (status, said) == (1, "")
    assert "nothing" in errors


def test_watching_over_a_restart(watch: Any, server: Server) -> None:
    change(server, ".x = 1;")
    watching = watch(server, "//stuff")
    assert watching.event()["thing"]["x"] == 1
    server.stop(signal.SIGKILL)
    server.start()
    change(server, ".x = 2;")
    again = watching.event()
    if again["event"] == "init":  # it starts anew, from before the change or after it
        assert again["restart"]
        again = watching.event() if again["thing"]["x"] == 1 else {"jobs": [{"set": {"x": again["thing"]["x"]}}]}
    assert again["jobs"] == [{"set": {"x": 2}}]
    status, said, errors = watching.end(signal.SIGINT)
    assert (status, said) == (0, "")
    assert "disconnected" in errors and "again" in errors


# --- status ----------------------------------------------------------------------------------------------------------


def test_status(shared_server: Server) -> None:
    done = livethings(shared_server, "status")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["node"]["status"] == "READY"
    assert told["counters"]["queries_success"] >= 0
    assert livethings(None, "status", "--url", "tcp://127.0.0.1:1").returncode == 3


def test_status_on_a_terminal(terminal: Any, shared_server: Server) -> None:
    shown = terminal(shared_server, "status")
    assert shown.end() == 0
    assert re.match(r"Status +READY\nVersion +\d", shown.text)
    assert shown.colours("READY") == {"green"}


# --- backups ---------------------------------------------------------------------------------------------------------


def test_backup_and_restore(server: Server, tmp_path: Path) -> None:
    change(server, ".kept = 'before';")
    online, offline = tmp_path / "online.tar.gz", tmp_path / "offline.tar.gz"
    done = livethings(server, "backup", online)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"The server has written {online}.\n", "")
    assert change(server, ".kept;") == "before"
    assert livethings(server, "query", "-s", "@n", "backups_info().len();").stdout == "0\n"
    change(server, ".kept = 'after';")
    done = livethings(None, "backup", offline, "--data-dir", server.data)
    assert done.returncode == 1 and "has it open" in done.stderr and "leave --data-dir out" in done.stderr
    done = livethings(None, "restore", online, "--data-dir", server.data, "--force")
    assert done.returncode == 1 and "has it open" in done.stderr
    server.stop()
    done = livethings(None, "backup", offline, "--data-dir", server.data)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(offline))} holds everything up to change \d+.\n", done.stdout)

    done = livethings(None, "restore", online, "--data-dir", server.data)
    assert done.returncode == 1 and "not empty" in done.stderr and "--force" in done.stderr
    server.start()
    assert change(server, ".kept;") == "after"
    server.stop()
    done = livethings(None, "restore", online, "--data-dir", server.data, "--force")
    assert (done.returncode, done.stderr) == (0, "")
    server.start()
    assert change(server, ".kept;") == "before"
    server.stop()
    server.data = tmp_path / "new"
    done = livethings(None, "restore", offline, "--data-dir", server.data)
    assert (done.returncode, done.stderr) == (0, "")
    server.start()
    assert change(server, ".kept;") == "after"


def test_backups_that_fail(shared_server: Server, tmp_path: Path) -> None:
    done = livethings(shared_server, "backup", tmp_path / "no.zip")
    assert done.returncode == 2 and ".tar.gz" in done.stderr
    (tmp_path / "file").touch()
    done = livethings(shared_server, "backup", tmp_path / "file" / "b.tar.gz")
    assert done.returncode == 1 and "could not write" in done.stderr
    done = livethings(None, "backup", tmp_path / "b.tar.gz", "--data-dir", tmp_path / "nothing")
    assert done.returncode == 1 and "there is no store" in done.stderr
    taken = tmp_path / "taken.tar.gz"
    taken.write_text("mine")
    done = livethings(None, "backup", taken, "--data-dir", tmp_path / "nothing")
    assert done.returncode == 1 and "--force" in done.stderr
    assert taken.read_text() == "mine"
    done = livethings(None, "restore", taken, "--data-dir", tmp_path / "restored")
    assert done.returncode == 1 and "taken.tar.gz" in done.stderr


def test_progress_on_a_terminal(terminal: Any, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    shown = terminal(server, "backup", file)
    shown.until("The server writes")
    assert shown.end() == 0
    assert shown.text.replace("\n", "") == f"The server has written {file}."
    server.stop()
    shown = terminal(None, "restore", file, "--data-dir", tmp_path / "new")
    assert shown.end() == 0
    assert re.match(r"Restoring .*100%", shown.text)


# --- a Unix socket ---------------------------------------------------------------------------------------------------


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with Server(tmp_path, more=("--unix-socket", path)):
        done = livethings(None, "query", "--url", f"unix://{path}", "1 + 1")
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    done = livethings(None, "query", "--url", f"unix://{path}", "1 + 1")
    assert done.returncode == 3
    assert f"serve --unix-socket {path}" in done.stderr
    for arguments, said in (
        (("--url", "unix://relative"), "whole path"),
        (("--url", f"unix://{path}", "--port", "5"), "no --host and no --port"),
    ):
        done = livethings(None, "query", *arguments, "1")
        assert done.returncode == 2 and said in done.stderr
