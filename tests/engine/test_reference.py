"""The reference that is made from the declarations, and the command that prints it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.functions import reference
from engine.functions.registry import FUNCTIONS, METHODS
from server.cli import main

WRITTEN = Path(__file__).parents[2] / "docs" / "functions.md"


def described(name: str) -> str:
    return "\n\n".join(reference.describe(entry) for entry in reference.find(name))


def test_the_written_reference_is_up_to_date() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == reference.markdown(), "docs/functions.md is stale: run `make docs`"


def test_every_declaration_is_there_once() -> None:
    functions = Counter(entry.name for entry in reference.entries() if not entry.receivers)
    assert functions == Counter(FUNCTIONS.keys())
    methods = Counter((entry.name, kind) for entry in reference.entries() for kind in entry.receivers)
    assert methods == Counter(
        {(name, method.receiver) for name, by_class in METHODS.items() for method in by_class.values()}
    )


def test_every_entry_is_in_the_markdown() -> None:
    lines = Counter(reference.markdown().splitlines())
    headings = Counter(f"### `{entry.signature}`" for entry in reference.entries())
    assert {line: count for line, count in lines.items() if line.startswith("### ")} == headings


def test_every_entry_is_on_a_known_page() -> None:
    assert {entry.page for entry in reference.entries()} == {*reference.PAGES, *reference.VALUES}


def test_every_entry_has_one_sentence_and_an_example() -> None:
    for entry in reference.entries():
        doc = entry.declared.doc
        assert doc[0].isupper() and doc[-1] in ".?" and ". " not in doc, entry.name
        assert f"{entry.name}(" in entry.declared.example, entry.name


def test_a_function() -> None:
    assert described("new_user").splitlines()[:2] == [
        "new_user(name: str)",
        "    in @thingsdb; needs the right GRANT; a change in @thingsdb",
    ]
    assert "range(start: int, stop?: int, step?: int)\n    in every scope\n" in described("range")
    assert "a change in collections and @thingsdb" in described("wse")


def test_a_method_says_what_has_it_and_when_it_is_a_change() -> None:
    assert described("map_wrap").startswith(".map_wrap(type?)\n    of list, tuple or set\n")
    push = " ".join(described("push").split())
    assert ".push(values+) of list; a change in collections, unless called on a variable, a list literal or" in push
    assert described("restrict").splitlines()[1] == "    of thing without a type; a change in collections"
    assert described("cancel").splitlines()[1] == "    of task; a change in collections and @thingsdb"


def test_a_name_of_several_kinds_gives_each() -> None:
    assert [entry.receivers for entry in reference.find("find")] == [("list", "tuple"), ("set",), ("thing",)]


@pytest.mark.parametrize("name", ["set_loglevel", "hasprop"])
def test_early_names_are_said_to_be_early(name: str) -> None:
    assert "an early name" in described(name)
    assert name in reference.overview().split("early names: ", 1)[1]


def test_the_overview_names_everything() -> None:
    words = set(reference.overview().replace(",", " ").split())
    assert {*FUNCTIONS, *METHODS} <= words
    assert max(map(len, reference.overview().splitlines())) <= 80


@pytest.mark.parametrize("name", ["push", "push()", ".push", ".push(1)"])
def test_the_command_describes_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["functions", name]) == 0
    assert capsys.readouterr().out == described("push") + "\n"


def test_the_command_lists_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["functions"]) == 0
    assert capsys.readouterr().out == reference.overview() + "\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [("pusj", "did you mean push?"), ("qqqqqq", "`livethings functions` lists all"), ("", "lists all")],
)
def test_the_command_suggests_names_for_an_unknown_one(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["functions", name]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert repr(name) in printed.err and said in printed.err
