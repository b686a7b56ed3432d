"""The types of the browser client: livethings.d.ts says what livethings.js is, and fits how it is used."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.serving import ROOT

from .conftest import needed

FLAGS = (
    *("--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022"),
    *("--moduleResolution", "node", "--lib", "es2022,dom,dom.iterable"),
)


def test_the_declarations_fit_the_modules_and_their_use() -> None:
    pages = ROOT / "js-demo"
    files = [Path(__file__).with_name("types.ts"), *pages.glob("*.js"), *pages.glob("livethings/*.js")]
    command = [needed("tsc"), *FLAGS, *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout
