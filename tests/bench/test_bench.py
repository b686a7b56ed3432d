"""The benchmarks run, on tiny sizes, and print what they should. What they measure is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.processes import ROOT, serve
from bench.table import Row, ratios, table


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "--quick", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, set[str]]:
    """What is printed, and the names of the rows that have a figure of ours."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    done = bench("--json", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, {row["name"] for row in json.loads(file.read_text()) if "livethings" in row["values"]}


@pytest.mark.parametrize(
    "row",
    [
        "cached queries",
        "uncached queries",
        "durable changes",
        "deliveries, 5 on TCP, 20 in flight",
        "deliveries, 5 on WebSocket, 1 in flight",
        "room events, 5 on TCP, 20 in flight",
        "change to event, 1 watcher, p99",
        "change of a value among 200, watched deep",
        "memory of a connection, WebSocket",
        "memory of a watch",
        "memory of a thing, four properties",
        "memory of a typed thing, four properties",
        "start with 3,000 things",
        "change to live result, p99",
        "result for one of 20 identical subscriptions, server CPU",
        "coming back after 1,000 missed events",
        "HTTP queries, JSON",
        "HTTP durable changes, JSON",
        "logins",
        "query during logins, p99",
        "build 1,000 things",
    ],
)
def test_row_is_there(figures: tuple[str, set[str]], row: str) -> None:
    printed, names = figures
    assert row in names
    assert row in printed


def test_another_server_stands_beside() -> None:
    with serve() as other:
        done = bench("queries", "--against", f"{other.host}:{other.native}")
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
