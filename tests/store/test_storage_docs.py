"""docs/storage.md is true: its tables are the file's, and its examples run."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from engine.store import Checkpoint, SqliteStore
from engine.store.sqlite_file import APPLICATION_ID, FORMAT

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    store = SqliteStore.open(tmp_path, create=True)
    store.write_batch(1, [msgpack.packb([1, "a"]), msgpack.packb([2, {"set": {3: b"\xff"}}])], 1_700_000_000.25)
    store.write_batch(3, [msgpack.packb([3, "ÿ"])], 1.7e9)
    store.write_checkpoint(Checkpoint(2, things=[(4, 7, msgpack.packb({"x": 1})), (5, 8, msgpack.packb({}))]))
    store.close()
    return store.path


def examples(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_every_column_is_described(file: Path) -> None:
    sections = dict(re.findall(r"^### `(\w+)`.*?\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert sorted(tables) == sorted(sections)
        for table in tables:
            described = re.findall(r"^\| `(\w+)` \| (\w+)( or text)?(, primary key)?", sections[table], re.MULTILINE)
            actual = connection.execute(f"PRAGMA table_info({table})").fetchall()
            assert [name for name, *_ in described] == [name for _, name, *_ in actual]
            for (_, kind, either, key), (_, _, affinity, _, _, is_key) in zip(described, actual, strict=True):
                assert affinity == ("" if either else kind.upper())
                assert bool(key) == bool(is_key) or table == "definitions"


def test_the_numbers_in_the_header(file: Path) -> None:
    assert f"`PRAGMA application_id` = {APPLICATION_ID} (`{APPLICATION_ID.to_bytes(4, 'big').decode()}`" in PAGE
    assert f"`PRAGMA user_version` = {FORMAT}" in PAGE
    with closing(sqlite3.connect(file)) as connection:
        for name, value in (("application_id", APPLICATION_ID), ("user_version", FORMAT), ("page_size", 4096)):
            assert connection.execute(f"PRAGMA {name}").fetchone() == (value,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_sql(file: Path) -> None:
    (script,) = examples("sql")
    statements = [statement for statement in script.split(";") if statement.strip()]
    with closing(sqlite3.connect(file)) as connection:
        found = [connection.execute(statement).fetchall() for statement in statements]
        (size,) = connection.execute("SELECT total FROM log ORDER BY first DESC LIMIT 1").fetchone()
    expected: list[list[tuple[object, ...]]] = [
        [(1, 3, 2, size, "2023-11-14 22:13:20")],
        [(2,)],
        [(7, 1, 4), (8, 1, 1)],
    ]
    assert found == expected
    if shutil.which("sqlite3"):
        shell = subprocess.run(["sqlite3", file], input=script, capture_output=True, text=True, check=True)
        lines = ["|".join(map(str, row)) for rows in expected for row in rows]
        assert (shell.stdout.splitlines(), shell.stderr) == (lines, "")


def test_the_python_while_a_server_has_it_open(file: Path) -> None:
    (code,) = examples("python")
    store = SqliteStore.open(file.parent, create=False)
    store.write_batch(4, [msgpack.packb([4])], 1.7e9)
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], cwd=file.parent, capture_output=True, encoding="utf-8", check=True
    )
    store.close()
    assert done.stdout.splitlines() == [
        "change 1 ['a']",
        "change 2 [{'set': {3: b'\\xff'}}]",
        "change 3 ['ÿ']",
        "change 4 []",
        "thing 4 of collection 7 {'x': 1}",
        "thing 5 of collection 8 {}",
    ]


def test_the_files_it_names(file: Path) -> None:
    store = SqliteStore.open(file.parent, create=False)
    store.write_batch(4, [msgpack.packb([4])], 0.0)
    names = {path.name for path in file.parent.iterdir()}
    store.close()
    described = set(re.findall(r"^\| `(livethings\.[\w.-]+)`", PAGE, re.MULTILINE))
    assert names == described - {"livethings.db.new"}
