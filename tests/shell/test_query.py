"""`livethings query`, and how every command finds its server."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import threading
from typing import Any

import pytest

from shell.output import as_json
from shell.query import variables
from tests.serving import Server
from tests.shell.conftest import COMMAND, environment, livethings


def test_a_result_is_one_line_of_json(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "{a: [1, nil, true, 0.5], b: 'é', c: bytes('a')};")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"a":[1,null,true,0.5],"b":"é","c":"YQ=="}\n'


def test_a_scope(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "-s", "@t", "collections_info().len() > 0;")
    assert (done.returncode, done.stdout) == (0, "true\n")


def test_standard_input(shared_server: Server) -> None:
    for arguments in ((), ("-",)):
        done = livethings(shared_server, "query", *arguments, given="x = 'é';\n\nx.len();\n")
        assert (done.returncode, done.stdout) == (0, "2\n")
    done = livethings(shared_server, "query", given=b"\xff")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not UTF-8" in done.stderr


def test_variables(shared_server: Server) -> None:
    given = ("--set", "a=[1,2]", "--set", "b=text", "--set", "scope=1.5", "--set", "self=")
    done = livethings(shared_server, "query", "[a.len(), b, scope, self];", *given)
    assert (done.returncode, done.stdout) == (0, '[2,"text",1.5,""]\n')
    done = livethings(shared_server, "query", "1;", "--set", "a b=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'a b=1'" in done.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1.5e3", -1500.0), ("true", True), ("null", None), ('"1"', "1"), ("{", "{"), ("NaN", "NaN"),
        ("a=b", "a=b"), ('{"a": [1]}', {"a": [1]}), ("", ""), ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda given: str(given)[:20],
)  # fmt: skip
def test_values_of_variables(text: str, value: Any) -> None:
    assert variables([f"x={text}"]) == {"x": value}


def test_raw_output(shared_server: Server) -> None:
    assert livethings(shared_server, "query", "-r", "'two\nlines';").stdout == "two\nlines\n"
    assert livethings(shared_server, "query", "-r", "bytes('ab');").stdout == "ab"
    assert livethings(shared_server, "query", "-r", "[1];").stdout == "[1]\n"


def test_what_a_query_logs_goes_to_standard_error(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "log('one'); log('two'); 3;")
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert done.stderr.count("livethings: ") == 2
    assert done.stderr.index("one") < done.stderr.index("two")


def test_an_error_of_the_query(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "1/0;")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("livethings: ZeroDivisionError (-58): ")
    done = livethings(shared_server, "query", "raise(err(-100, 'mine \x1b[2J'));")
    assert done.stderr == "livethings: CustomError (-100): mine \ufffd[2J\n"
    done = livethings(shared_server, "query", "-s", "//nothing", "1;")
    assert done.returncode == 1 and "nothing" in done.stderr


def test_all_or_nothing(shared_server: Server) -> None:
    for arguments, kept in (((), "true\n"), (("--atomic",), "false\n")):
        assert livethings(shared_server, "query", ".atomic = 1; 1/0;", *arguments).returncode == 1
        assert livethings(shared_server, "query", "x = .has('atomic'); .unset('atomic'); x;").stdout == kept


def test_no_server() -> None:
    done = livethings(None, "query", "1;", "--url", "ws://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "livethings: no server answers at ws://127.0.0.1:1; start one with `livethings serve`, or name another with "
        "--url\n"
    )


def test_what_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-somebody else\r\n")
                while connection.recv(1024):
                    pass

        answering = threading.Thread(target=answer)
        answering.start()
        port = listener.getsockname()[1]
        done = livethings(None, "query", "1;", "--port", port)
        answering.join()
    assert done.returncode == 3 and str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_every_way_to_connect(shared_server: Server) -> None:
    for url in (f"tcp://127.0.0.1:{shared_server.tcp}", f"ws://127.0.0.1:{shared_server.ws}"):
        assert livethings(None, "query", "1;", "--url", url).stdout == "1\n"
    assert livethings(None, "query", "1;", "--port", shared_server.tcp).stdout == "1\n"
    host_and_port = ("--host", "127.0.0.1", "--port", shared_server.tcp)
    assert livethings(None, "query", "1;", "--url", "tcp://nowhere.invalid", *host_and_port).stdout == "1\n"


def test_every_way_to_log_in(shared_server: Server) -> None:
    code = "new_user('shell'); set_password('shell', 'word'); grant('@node', 'shell', QUERY); new_token('shell');"
    made = livethings(shared_server, "query", "-s", "@t", code)
    token = json.loads(made.stdout)
    asked = ("query", "-s", "@n", "user_info().load().name;")
    assert livethings(shared_server, *asked).stdout == '"admin"\n'
    assert livethings(shared_server, *asked, "--user", "shell", LIVETHINGS_PASSWORD="word").stdout == '"shell"\n'
    assert livethings(shared_server, *asked, LIVETHINGS_USER="shell", LIVETHINGS_PASSWORD="word").stdout == '"shell"\n'
    assert livethings(shared_server, *asked, "--token", token).stdout == '"shell"\n'
    assert livethings(shared_server, *asked, LIVETHINGS_TOKEN=token).stdout == '"shell"\n'
    # A user that is named wins over a token that is around.
    assert livethings(shared_server, *asked, "-u", "admin", LIVETHINGS_TOKEN=token).stdout == '"admin"\n'
    done = livethings(shared_server, *asked, "-u", "admin", "--token", token)
    assert done.returncode == 2 and "not with both" in done.stderr


def test_a_wrong_login(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "1;", LIVETHINGS_PASSWORD="wrong")
    assert (done.returncode, done.stdout) == (3, "")
    assert "does not let admin in" in done.stderr


def test_no_password_and_nobody_to_ask(shared_server: Server) -> None:
    done = livethings(shared_server, "query", "1;", "--password")
    assert (done.returncode, done.stdout) == (2, "")
    assert "LIVETHINGS_PASSWORD" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "0"), ("--port", "70000"), ("--port", "x"), ("--url", "http://127.0.0.1"), ("--url", "tcp://[::"),
        ("--url", "tcp://admin:pass@127.0.0.1"), ("--tls-ca", "/nothing/here.pem"),
    ],
)  # fmt: skip
def test_connections_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    done = livethings(None, "query", "1;", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr and "Traceback" not in done.stderr


def test_values_that_json_lacks() -> None:
    assert as_json([float("nan"), float("inf"), -float("inf")]) == '["NaN","Infinity","-Infinity"]'
    assert as_json(2**63) == "9223372036854775808"
    assert as_json("\udcff\x1b\x9b\u202e") == '"\ufffd\\u001b\\u009b\\u202e"'
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deep"):
        as_json(deep)


def test_a_terminal_gets_colours_and_indentation(terminal: Any, shared_server: Server) -> None:
    shown = terminal(shared_server, "query", "{number: 42};")
    assert shown.end() == 0
    assert shown.text == '{\n  "number": 42\n}'
    assert len(shown.colours('"number": 42')) > 1
    plain = terminal(shared_server, "query", "{number: 42};", NO_COLOR="1")
    assert plain.end() == 0
    assert plain.text == '{\n  "number": 42\n}'
    assert plain.colours('"number": 42') == {"default"}


def test_a_terminal_is_asked_for_the_password(terminal: Any, shared_server: Server) -> None:
    shown = terminal(shared_server, "query", "1 + 1;", "-p", "-u", "admin")
    shown.until("Password of admin:")
    shown.type("pass\n")
    assert shown.end() == 0
    assert shown.text == "Password of admin:\n2"
    shown = terminal(shared_server, "query", "1;", "-p")
    shown.until("Password")
    shown.press("c")
    assert shown.end() == 130


def test_a_reader_that_has_enough(shared_server: Server) -> None:
    command = " ".join(map(shlex.quote, COMMAND))
    for rest in ("functions", "query 'range(100000);'"):
        done = subprocess.run(
            ["bash", "-c", f"{command} {rest} | head -c 10"], env=environment(shared_server), capture_output=True
        )
        assert len(done.stdout) == 10
        assert done.stderr == b""
