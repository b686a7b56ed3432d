"""The command: `python -m bench [NAME…] [--against HOST:PORT] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.lab import FULL, QUICK, Lab
from bench.processes import against
from bench.rows import GROUPS
from bench.table import Row, as_json, table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure the server, beside a bare asyncio server that only echoes or only copies bytes to its "
        "connections, in a table: medians of several rounds, and their ratio to the baseline. For rates more is "
        "better; for times and sizes less is.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(GROUPS)}; all by default"
    )
    parser.add_argument(
        "--against", metavar="HOST:PORT", help="a server that speaks the native protocol, to measure too"
    )
    parser.add_argument("--user", default="admin", help="the user there (default: admin)")
    parser.add_argument("--password", default="pass", help="and the password (default: pass)")
    parser.add_argument("--scope", default="//stuff", help="a collection there to work in (default: //stuff)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to a file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in GROUPS]
    if unknown:
        parser.error(f"there is nothing named {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    other = against(parsed.against, parsed.user, parsed.password, parsed.scope) if parsed.against else None
    lab = Lab(QUICK if parsed.quick else FULL, other)
    rows: list[Row] = []
    began = time.monotonic()
    try:
        for name in parsed.names or GROUPS:
            for row in GROUPS[name](lab):
                lab.say(table([row]).splitlines()[1])
                rows.append(row)
    finally:
        lab.close()
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}, "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    print(table(rows))
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(as_json(rows), indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
