"""`livethings status`: how a server is doing."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shell.connecting import FAILED, OK, add_options, connected
from shell.output import as_json, printable

if TYPE_CHECKING:
    from livethings import Database

__all__ = ["add", "rows", "run"]

CODE = "{node: node_info().load(), counters: counters().load(), backups: backups_ok()}"
SERVING = ("READY", "AWAY", "AWAY_SOON")


def add(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.description = (
        "Say how a server is doing: a table on a terminal, else all that it tells as one line of JSON. The exit status "
        "is 1 while it is not ready."
    )
    parser.add_argument("--json", action="store_true", help="print JSON on a terminal too")
    add_options(parser)


def run(parsed: Namespace) -> int:
    """Run the command; the exit status."""

    async def work(database: Database) -> int:
        told = await database.query("@node", f"return {CODE}, 3, NO_IDS;")
        if parsed.json or not sys.stdout.isatty():
            print(as_json(told), flush=True)
        else:
            _show(told)
        return OK if told["node"]["status"] in SERVING else FAILED

    return connected(parsed, work)


def rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What people want to know of what a server told."""
    node, counters = told["node"], told["counters"]
    started = datetime.fromtimestamp(counters["started_at"], UTC)
    queries, failed = counters["queries_success"], counters["queries_with_error"]
    tasks, failed_tasks = counters["tasks_success"], counters["tasks_with_error"]
    average, longest = counters["average_query_duration"], counters["longest_query_duration"]
    changes, stored = node["global_committed_change_id"], node["local_stored_change_id"]
    went = "the last runs went well" if told["backups"] else "a last run FAILED"
    return [
        ("Status", node["status"]),
        ("Version", f"{node['version']} on {node['node_name']}, node {node['node_id']}"),
        ("Up", f"{_duration(node['uptime'])}, counting since {started:%Y-%m-%d %H:%M:%S} UTC"),
        ("Data", node["storage_path"]),
        ("Connections", f"{node['connected_clients']:,}"),
        ("Changes", f"{changes:,}, of which {stored:,} are in a checkpoint"),
        ("Queries", f"{queries + failed:,}, of which {failed:,} failed"),
        ("Duration", f"{_milliseconds(average)} a query, longest {_milliseconds(longest)}"),
        ("Tasks", f"{tasks + failed_tasks:,} runs, of which {failed_tasks:,} failed"),
        ("Backups", f"{node['scheduled_backups']:,} scheduled, {went}"),
        ("Log level", node["log_level"]),
    ]


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms"


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in rows(told):
        style = ("green" if text in SERVING else "red") if name == "Status" else ""
        table.add_row(name, Text(printable(text), style=style))
    Console(highlight=False).print(table)
