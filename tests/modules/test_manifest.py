"""What a `module.json` may say, and what is said of one that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import ValueFailed
from engine.manifest import Defaults, read_manifest
from engine.modules import Repository, system


def made(**more: Any) -> bytes:
    return json.dumps({"main": "run.py", "version": "1.0", **more}).encode()


def test_what_it_says() -> None:
    manifest = read_manifest(
        made(
            doc="Does things.",
            defaults={"load": True, "deep": 3, "kind": "plain"},
            includes=["lib/a.py"],
            requirements=["requests>=2"],
            other="ignored",
            exposes={
                "get": {"doc": "Gets.", "argmap": ["url", "*"], "defaults": {"kind": "get", "load": False}},
                "ask": {},
                "both": "|m, a| [m.get(a), m.ask({a:})]",
            },
        )
    )
    assert manifest.file("linux/amd64") == manifest.file("any/thing") == "run.py"
    assert (manifest.version, manifest.doc) == ("1.0", "Does things.")
    assert (manifest.includes, manifest.requirements) == (("lib/a.py",), ("requests>=2",))
    assert manifest.defaults == Defaults(3, True, {"kind": "plain"})
    assert manifest.exposes["get"].argmap == ("url", "*")
    assert manifest.exposes["get"].defaults == Defaults(3, False, {"kind": "get"})
    assert manifest.exposes["ask"].argmap == ("*",)
    assert manifest.exposes["both"].closure("T").code.params == ("m", "a")


def test_a_file_for_each_system() -> None:
    manifest = read_manifest(made(main={"linux/amd64": "bin/linux", "windows/amd64": "bin/windows.exe"}))
    assert manifest.file("linux/amd64") == "bin/linux"
    with pytest.raises(ValueFailed, match="no file for solaris/sparc, only for linux/amd64, windows/amd64"):
        manifest.file("solaris/sparc")
    assert "/" in system()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "a map"),
        (b'{"main": "a.py"}', "version"),
        (b'{"main": "a.py", "version": 1}', "version"),
        (made(main=None), "main"),
        (made(main={}), "main"),
        (made(main=1), "main"),
        (made(main="/etc/passwd"), "own folder"),
        (made(main={"linux/amd64": "../a"}), "own folder"),
        (made(main="a\n.py"), "printable"),
        (made(includes="a"), "includes"),
        (made(includes=["../a"]), "own folder"),
        (made(includes=[""]), "printable"),
        (made(includes=["a"] * 1001), "includes"),
        (made(requirements=["--index-url=http://example.org"]), "requirements"),
        (made(requirements=[" -r x"]), "requirements"),
        (made(requirements=[1]), "requirements"),
        (made(defaults=[]), "defaults"),
        (made(defaults={"deep": 128}), "deep"),
        (made(defaults={"deep": True}), "deep"),
        (made(defaults={"load": 1}), "load"),
        (made(doc=1), "doc"),
        (made(exposes=[]), "exposes"),
        (made(exposes={"a b": {}}), "name rule"),
        (made(exposes={"a": 1}), "closure"),
        (made(exposes={"a": "|m"}), "no closure"),
        (made(exposes={"a": "|m| /(/"}), "no closure"),
        (made(exposes={"a": {"argmap": "*"}}), "argmap"),
        (made(exposes={"a": {"argmap": ["b", "b"]}}), "argmap"),
        (made(exposes={"a": {"argmap": [1]}}), "argmap"),
        (made(exposes={"a": {"defaults": 1}}), "defaults"),
        (made(exposes={"a": {"doc": []}}), "doc"),
        (made(defaults={"x": json.loads("[" * 200 + "]" * 200)}), "nested"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ValueFailed, match=said):
        read_manifest(data)


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("github.com/o/n", Repository("o", "n")),
        ("github.com/o/n@v1.0", Repository("o", "n", None, "v1.0")),
        ("github.com/o/n:secret", Repository("o", "n", "secret")),
        ("github.com/o/n:secret@a/branch", Repository("o", "n", "secret", "a/branch")),
        ("github.com/../n", None),
        ("github.com/o/..", None),
        ("github.com/o", None),
        ("github.com/o/n/", None),
        ("github.com/o/n@", None),
        ("hello.py", None),
    ],
)
def test_repositories(source: str, repository: Repository | None) -> None:
    assert Repository.parse(source) == repository
    assert "secret" not in str(repository)
