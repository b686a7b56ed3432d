"""js-demo/livethings.js on its own: its tests run under node."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .conftest import needed


def test_the_module_keeps_its_promises() -> None:
    tests = Path(__file__).with_name("livethings.test.mjs")
    ran = subprocess.run([needed("node"), "--test", str(tests)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
