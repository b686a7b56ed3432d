"""`livethings shell`, typed into by somebody at a terminal."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Server
from tests.shell.conftest import livethings
from tests.terminal import Terminal

PROMPT = "//stuff>"


@pytest.fixture
def prompt(terminal: Any, shared_server: Server) -> Any:
    """Starts a shell and waits for its prompt."""

    def start(*arguments: str, **variables: str) -> Terminal:
        shown: Terminal = terminal(shared_server, "shell", *arguments, **variables)
        shown.until(lambda: shown.line == PROMPT)
        return shown

    return start


def enter(shown: Terminal, text: str, answer: str = "", prompt: str = PROMPT) -> None:
    """Type a line, and wait for an answer and the next prompt."""
    before = shown.text.count(prompt)
    shown.type(f"{text}\n")
    shown.until(lambda: answer in shown.text and shown.text.count(prompt) > before and shown.line == prompt)


def test_queries(prompt: Any) -> None:
    shown = prompt()
    enter(shown, "{sum: 40 + 2, text: 'é'};", '{\n  "sum": 42,\n  "text": "é"\n}')
    assert len(shown.colours('"sum": 42')) > 1
    enter(shown, "1/0;", "ZeroDivisionError (-58): ")
    assert shown.colours("ZeroDivisionError (-58)") == {"red"}
    enter(shown, "", "")
    enter(shown, "log('logged'); 7;", "logged")
    assert "\n7\n" in shown.text
    shown.press("d")
    assert shown.end() == 0


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_leaving_by_a_word(word: str, prompt: Any) -> None:
    shown = prompt()
    shown.type(f"{word}\n")
    assert shown.end() == 0


def test_a_query_of_several_lines(prompt: Any) -> None:
    shown = prompt()
    shown.type("[1, 2].map(|x| {\n")
    shown.until(lambda: shown.line == "........")
    assert shown.screen.cursor.x == len(PROMPT) + 1 + len("    ")
    shown.type("x * 21;\n});")
    enter(shown, "", "[\n  21,\n  42\n]")
    shown.type("5;\x1b\r")  # Alt-Enter
    shown.until(lambda: shown.line == "........")
    enter(shown, "1000 + 500;", "1500")


def test_highlighting(prompt: Any) -> None:
    shown = prompt()
    shown.type("if (true) 'text' else 12345")
    shown.until("12345")
    shown.until(lambda: shown.colours("'text'") != {"default"})
    assert len({*shown.colours("'text'"), *shown.colours("else"), *shown.colours("12345")}) == 3
    assert shown.colours("(") == {"default"}


def test_scopes(prompt: Any, shared_server: Server) -> None:
    livethings(shared_server, "query", "-s", "@t", "new_collection('other');")
    shown = prompt()
    enter(shown, "@n node_info().load().status;", '"READY"')
    enter(shown, "@thingsdb", prompt="@thingsdb>")
    enter(shown, "has_collection('other');", "true", prompt="@thingsdb>")
    enter(shown, "@//nothing", "LookupError (-54): ", prompt="@thingsdb>")
    enter(shown, "//other", prompt="//other>")
    enter(shown, ".here = 'other';", '"other"', prompt="//other>")
    enter(shown, "@ //stuff")
    enter(shown, "@//other .here;", '"other"\n//stuff')
    shown.type("@//o\t")
    shown.until(lambda: shown.line == f"{PROMPT} @//other")
    enter(shown, "", prompt="//other>")


def test_completion(prompt: Any, shared_server: Server) -> None:
    livethings(
        shared_server,
        "query",
        ".completed = {inner_thing: {leaf_one: 1}, other: []}; new_procedure('complete_me', |x| x);"
        "set_type('CompletedType', {some_field: 'int'}); .typed = CompletedType{}; nil;",
    )
    shown = prompt()
    for typed, completed in (
        ("randst", "randstr("),  # a function
        (".comple", ".completed"),  # a property of the root
        (".completed.inn", ".completed.inner_thing"),  # of a thing
        (".typed.some_f", ".typed.some_field"),  # of an instance
        ("complete_", "complete_me("),  # a procedure
        ("CompletedT", "CompletedType{"),  # a type
        (".completed.other.find_", ".completed.other.find_index("),  # a method of a list
        ("'text'.starts_", "'text'.starts_with("),  # a method of whatever it is
        ("wat", "watch"),  # a command
        ("retur", "return"),  # a keyword
    ):
        shown.type(f"{typed}\t")
        shown.until(lambda completed=completed: shown.line == f"{PROMPT} {completed}")
        shown.press("c")
        shown.until(lambda: shown.line == PROMPT)
    shown.type("rand\t")
    shown.until("randint(start: int, stop: int)")
    shown.press("c")
    # A list has no properties, nor the methods of text; what is in a string is no name.
    shown.type(".completed.other.upp\t'randst\t!")
    shown.until("'randst!")
    assert ".completed.other.upp'randst!" in shown.text


def test_what_was_made_since_is_completed_too(prompt: Any) -> None:
    shown = prompt()
    shown.type(".made_l\t")
    shown.press("c")
    enter(shown, ".made_later = 2;", "2")
    shown.type(".made_l\t")
    shown.until(lambda: shown.line == f"{PROMPT} .made_later")


def test_watching(prompt: Any, shared_server: Server) -> None:
    ids = livethings(shared_server, "query", ".seen = [{a: 1}, {a: 2}]; .seen.map(|x| x.id());").stdout
    one, _ = ids.strip("[]\n").split(",")
    shown = prompt()
    enter(shown, f"watch {one}", '"a":1')
    enter(shown, "watch .seen[1]", '"a":2')
    shown.type("[1, 2")  # what comes meanwhile is printed above what is being typed
    shown.until("[1, 2")
    livethings(shared_server, "query", ".seen[0].a = 'by another';")
    shown.until('{"set":{"a":"by another"}}')
    enter(shown, "].len() * 1000;", "\n2000\n")
    assert shown.text.index('"by another"') < shown.text.index(f"{PROMPT} [1, 2].len() * 1000;")
    enter(shown, f"unwatch {one}")
    enter(shown, ".seen[0].a = 'unseen'; .seen[1].a = 'seen';", '{"set":{"a":"seen"}}')
    assert '{"set":{"a":"unseen"}}' not in shown.text
    enter(shown, f"unwatch {one}", f"Not watched: {one}")
    enter(shown, "unwatch")
    enter(shown, ".seen[1].a = 'unseen';")
    enter(shown, "watch 'nothing'", "gives no things")
    enter(shown, "watch 999999", "Watching has ended: there is no thing 999999")
    enter(shown, "watch", '"event":"init","id":1,')
    assert '{"set":{"a":"unseen"}}' not in shown.text


def test_watching_deep(prompt: Any, shared_server: Server) -> None:
    top = livethings(shared_server, "query", ".top = {low: {a: 1}}; .top.id();").stdout.strip()
    shown = prompt()
    enter(shown, f"watch deep 1 {top}", '"a":1')
    enter(shown, ".top.low.a = 'seen';", '{"set":{"a":"seen"}}')
    enter(shown, f"unwatch {top}")
    enter(shown, ".top.low.a = 'unseen';", '"unseen"')
    enter(shown, "watch deep 1 .top", '"a":"unseen"')
    assert '{"set":{"a":"unseen"}}' not in shown.text
    enter(shown, "watch deep 128", "from 0 to 127")


def test_help(prompt: Any) -> None:
    shown = prompt()
    enter(shown, "help", "unwatch [ID…]")
    enter(shown, "help .push()", ".push(values+)")
    enter(shown, "help randin", "did you mean randint")
    # The words are names where they are used as such.
    enter(shown, "help = 3; help * 5000;", "15000")


def test_control_c(terminal: Any, server: Server) -> None:
    shown = terminal(server, "shell")
    shown.until(lambda: shown.line == PROMPT)
    shown.type("1 + [")
    shown.until("1 + [")
    shown.press("c")
    shown.until(lambda: shown.line == PROMPT)
    server.send(signal.SIGSTOP)
    shown.type("8000 + 8;\n")
    shown.until(lambda: shown.line == "" and shown.is_cooked)
    shown.press("c")
    shown.until("Not waited for")
    shown.until(lambda: shown.line == PROMPT)
    server.send(signal.SIGCONT)
    enter(shown, "9000 + 9;", "9009")
    assert "8008" not in shown.text
    shown.press("d")
    assert shown.end() == 0


def test_a_signal_leaves_the_terminal_as_it_was(prompt: Any) -> None:
    shown = prompt()
    assert not shown.is_cooked
    shown.send(signal.SIGTERM)
    assert shown.end() == 130
    assert shown.is_cooked


def test_history(prompt: Any, tmp_path: Path) -> None:
    shown = prompt()
    enter(shown, "'first' + 1;", "TypeError")
    enter(shown, "@t set_password('admin', 'pass');")
    shown.press("d")
    assert shown.end() == 0
    file = tmp_path / ".local" / "state" / "livethings" / "history"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "set_password" not in file.read_text()
    shown = prompt()
    shown.press("p")
    shown.until(lambda: shown.line == f"{PROMPT} 'first' + 1;")
    shown = prompt(HOME="/dev/null", XDG_STATE_HOME="/dev/null")
    enter(shown, "1 + 1;", "2")


def test_a_server_that_comes_back(terminal: Any, server: Server) -> None:
    shown = terminal(server, "shell")
    shown.until(lambda: shown.line == PROMPT)
    enter(shown, ".kept = 1; watch_nothing = 2;", "2")
    enter(shown, "watch", '"event":"init"')
    server.stop(signal.SIGTERM)
    shown.until("disconnected")
    server.start()
    shown.until("connected to")
    enter(shown, ".kept += 4000;", '"jobs":[{"set":{"kept":4001}}]')
    assert "\n4001\n" in shown.text


def test_no_terminal(shared_server: Server) -> None:
    done = livethings(shared_server, "shell", given="1;\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "livethings query" in done.stderr


def test_no_such_scope(terminal: Any, shared_server: Server) -> None:
    shown = terminal(shared_server, "shell", "-s", "//nothing")
    assert shown.end() == 1
    assert "nothing" in shown.text
