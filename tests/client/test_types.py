"""The types of the Python client, as mypy sees them from a user's program, and in the examples."""

from __future__ import annotations

import subprocess
import sys

from tests.serving import ROOT


def test_a_user_s_program_is_typed() -> None:
    files = ("tests/client/typed.py", "client/examples/votes.py", "client/examples/chat.py")
    arguments = ["--strict", "--warn-unreachable", "--config-file", "", "--cache-dir", ".mypy_cache/user", *files]
    ran = subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
