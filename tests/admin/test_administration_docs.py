"""What docs/administration.md shows works, block by block, and does what the page says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import EngineError
from server.cli import main
from tests.conftest import Admin
from tests.documents import blocks

NAME = "docs/administration.md"


class As:
    """A caller who gets no events."""

    subscriber = None

    def __init__(self, engine: Engine, name: str) -> None:
        self.user = engine.users[name]


def test_its_queries(engine: Engine, query: Callable[..., Any]) -> None:
    shown = [block for block in blocks(NAME) if block.language == "ti"]
    assert len(shown) > 10
    values = []
    for block in shown:
        first, _, code = block.text.partition("\n")
        try:
            values.append(query(code, scope=first.removeprefix("// ")))
        except EngineError as error:
            raise AssertionError(f"{block} does not work") from error
    # The application may do what it is let, and no more.
    app = As(engine, "app")
    assert engine.run(app, "//garden", "water", ["rose", 2]).error is None
    assert query(".plants.rose", scope="//garden") == 4  # as the procedure was changed
    for refused in (
        engine.query(app, "//garden", ".plants"),
        engine.run(app, "//garden", "prune"),
        engine.run(app, "@t", "water"),
    ):
        assert refused.error is not None
    assert query("user_info('iris').load().whitelists.procedures", scope="@t") == ["/^garden_/"]
    assert query("tasks().len()", scope="//garden") == 1
    assert query("backups_info()[0].load().next_run", scope="@n") == "2030-01-01 03:00:00Z"
    assert query("collection('garden').load().quota_things", scope="@t") == 100_000
    records = query("return history({scope: '//garden', last: 10}), 2", scope="@t")
    assert [record["message"] for record in records] == ["Roses drink more in summer"]
    assert values[-1] == ["READY", 0]
    assert engine.query(Admin(engine), "//garden", "commit('x'); 1 / 0").error is not None


def test_its_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [block.text for block in blocks(NAME) if block.language == "sh"]
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = capsys.readouterr().out
    options = [word for word in command.split() if word.startswith("--")]
    for option in (*options, "--unix-socket", "--slow-query-warning"):
        assert option in said
