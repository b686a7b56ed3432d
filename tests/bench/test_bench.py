"""The benchmarks run, on tiny sizes, and print what they should. What they measure is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import ROOT, serve
from bench.rows import GROUPS
from bench.table import Row, ratios, table


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "--quick", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_gives_rows(group: str, tmp_path: Path) -> None:
    done = bench(group, "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert rows
    for row in rows:
        assert row["name"] in done.stdout
        assert "livethings" in row["values"]


def test_another_server_stands_beside() -> None:
    with serve() as other:
        done = bench("queries", "latency", "--against", f"{other.host}:{other.native}")
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()[1:]
    assert head.split()[:6] == ["unit", "livethings", "baseline", "ratio", "other", "ratio"]
    assert all(line.rsplit("  ", 1)[0] for line in lines)


def test_unknown_names_are_refused() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert "nothing named speed; there are queries" in done.stderr


def test_table_is_aligned() -> None:
    rows = [
        Row("one", "/s", {"livethings": 1_000_000.0, "baseline": 2.5}, {"livethings": 400_000.0}),
        Row("another", "bytes", {"livethings": 3.0}),
    ]
    assert table(rows) == (
        "         unit   livethings  baseline      ratio  server CPU  load busy\n"
        "one      /s      1,000,000       2.5  400000.00\n"
        "another  bytes           3         -          -"
    )


def test_ratio_is_the_median_of_the_rounds() -> None:
    assert ratios({"livethings": [1.0, 4.0, 9.0], "baseline": [2.0, 2.0, 3.0]}) == {"livethings": 2.0}
