"""What the Python client imports: itself, websockets, msgpack and what comes with Python."""

from __future__ import annotations

import ast
import sys
import tomllib

from tests.serving import ROOT

CLIENT = ROOT / "client"


def test_the_client_depends_on_what_it_names() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    named = {dependency.partition(">")[0] for dependency in project["dependencies"]}
    assert named == {"websockets", "msgpack"}
    imported = set()
    for file in (CLIENT / "livethings").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module is not None
                imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names == named | {"livethings"}
