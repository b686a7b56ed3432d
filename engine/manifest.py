"""What a module's repository says of it in its `module.json` (spec/admin-and-protocol.md, section 9)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError, ValueFailed
from engine.limits import MAX_VALUE_NESTING
from engine.names import is_name
from engine.values.closure import Closure

__all__ = ["MAX_REQUEST_DEEP", "REST", "Defaults", "Exposed", "Manifest", "check_file", "read_manifest"]

MAX_REQUEST_DEEP = 127
MAX_EXPOSED = 1000
MAX_FILES = 1000
REST = "*"
"""In an `argmap`: the argument is a thing with further keys of the request."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request has where its caller does not say: options, None where not stated, and keys."""

    deep: int | None = None
    load: bool | None = None
    keys: dict[str, Any] = field(default_factory=dict)

    def over(self, other: Defaults) -> Defaults:
        """These, and the other ones where these say nothing."""
        return Defaults(
            other.deep if self.deep is None else self.deep,
            other.load if self.load is None else self.load,
            {**other.keys, **self.keys},
        )


class Exposed:
    """What `module.name(…)` does: asks the module with positional arguments under the keys of `argmap`, or calls the
    closure `source`, the module first. `defaults` include those of the module."""

    __slots__ = ("_closures", "argmap", "defaults", "doc", "source")

    def __init__(
        self, defaults: Defaults, argmap: tuple[str, ...] = (REST,), doc: str = "", source: str | None = None
    ) -> None:
        self.defaults = defaults
        self.argmap = argmap
        self.doc = doc
        self.source = source
        self._closures: dict[str, Closure] = {}

    def closure(self, kind: str) -> Closure:
        """The closure, compiled for a kind of scope."""
        assert self.source is not None
        if kind not in self._closures:
            self._closures[kind] = Closure.from_source(self.source, kind)
        return self._closures[kind]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A module's own description. `main` is the file that runs, by `platform/architecture`, or one for all (`*`)."""

    main: dict[str, str]
    version: str
    doc: str
    defaults: Defaults
    exposes: dict[str, Exposed]
    includes: tuple[str, ...]
    requirements: tuple[str, ...]

    def file(self, system: str) -> str:
        """The file to run on a system such as `linux/amd64`. ValueError when there is none."""
        found = self.main.get(system) or self.main.get("*")
        if found is None:
            raise ValueFailed(f"the module has no file for {system}, only for {', '.join(sorted(self.main))}")
        return found


def check_file(name: Any, what: str) -> str:
    """The name of a file below a module's folder. ValueError for any other value."""
    if type(name) is not str or not name or not all(" " <= char <= "~" for char in name):
        raise ValueFailed(f"{what} is a file name in printable ASCII characters")
    if name.startswith("/") or ".." in name or "./" in name or name.endswith(("/", "/.")) or name == ".":
        raise ValueFailed(f"{what} is a file in the module's own folder, not {name[:80]!r}")
    return name


def read_manifest(data: bytes) -> Manifest:
    """The description in the bytes of a `module.json`. ValueError, which says what is wrong, for any other bytes."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueFailed("module.json is no JSON") from None
    if type(tree) is not dict or not _shallow(tree):
        raise ValueFailed(f"module.json must hold a map, nested at most {MAX_VALUE_NESTING} deep")
    version = tree.get("version")
    if type(version) is not str:
        raise ValueFailed("module.json must have a version, which is text")
    defaults = _defaults(tree.get("defaults"), "defaults")
    exposes = tree.get("exposes", {})
    if type(exposes) is not dict or len(exposes) > MAX_EXPOSED:
        raise ValueFailed(f"exposes in module.json must be a map of at most {MAX_EXPOSED} names")
    return Manifest(
        _main(tree.get("main")),
        version,
        _text(tree.get("doc", ""), "doc"),
        defaults,
        {name: _exposed(name, given, defaults) for name, given in exposes.items()},
        tuple([check_file(name, "each of includes in module.json") for name in _list(tree, "includes")]),
        tuple([_requirement(name) for name in _list(tree, "requirements")]),
    )


def _shallow(tree: Any, depth: int = 0) -> bool:
    if depth > MAX_VALUE_NESTING:
        return False
    items = tree.values() if type(tree) is dict else tree if type(tree) is list else ()
    return all(_shallow(item, depth + 1) for item in items)


def _main(main: Any) -> dict[str, str]:
    if type(main) is str:
        return {"*": check_file(main, "main in module.json")}
    if type(main) is dict and main:
        return {system: check_file(name, f"main for {system[:40]} in module.json") for system, name in main.items()}
    raise ValueFailed("main in module.json must be a file, or a map from platform/architecture to a file")


def _list(tree: dict[str, Any], key: str) -> list[Any]:
    found = tree.get(key, [])
    if type(found) is not list or len(found) > MAX_FILES:
        raise ValueFailed(f"{key} in module.json must be a list of at most {MAX_FILES} items")
    return found


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise ValueFailed(f"{what} in module.json must be text")
    return value


def _requirement(name: Any) -> str:
    """What pip is to install; nothing that pip would take for an option."""
    if type(name) is not str or not name.strip() or name.lstrip().startswith("-") or not name.isprintable():
        raise ValueFailed("each of requirements in module.json is the name of a package, and which versions of it")
    return name


def _defaults(given: Any, what: str) -> Defaults:
    if given is None:
        return Defaults()
    if type(given) is not dict:
        raise ValueFailed(f"{what} in module.json must be a map")
    keys = dict(given)
    deep, load = keys.pop("deep", None), keys.pop("load", None)
    if deep is not None and (type(deep) is not int or not 0 <= deep <= MAX_REQUEST_DEEP):
        raise ValueFailed(f"deep of {what} in module.json must be from 0 to {MAX_REQUEST_DEEP}")
    if load is not None and type(load) is not bool:
        raise ValueFailed(f"load of {what} in module.json must be true or false")
    return Defaults(deep, load, keys)


def _exposed(name: str, given: Any, defaults: Defaults) -> Exposed:
    if not is_name(name):
        raise ValueFailed(f"module.json can't expose {name[:80]!r}: it must follow the name rule")
    what = f"{name} of exposes"
    if type(given) is str:
        try:
            exposed = Exposed(defaults, source=given)
            exposed.closure("C").code.check_regexes()
        except EngineError as error:
            raise ValueFailed(f"{what} in module.json is no closure: {error.message}") from None
        return exposed
    if type(given) is not dict:
        raise ValueFailed(f"{what} in module.json must be a map, or the text of a closure")
    argmap = given.get("argmap", [REST])
    if type(argmap) is not list or not all(type(key) is str for key in argmap) or len(set(argmap)) < len(argmap):
        raise ValueFailed(f"argmap of {what} in module.json must be a list of different texts")
    own = _defaults(given.get("defaults"), f"defaults of {what}")
    return Exposed(own.over(defaults), tuple(argmap), _text(given.get("doc", ""), f"doc of {what}"))
