"""Differences between values: JSON Patch (RFC 6902, with the pointers of RFC 6901), applied without changing the old
value: what a patch does not touch is shared by both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["PatchError", "patched"]


class PatchError(ValueError):
    """The patch does not fit the value."""


def patched(value: Any, patch: Sequence[dict[str, Any]]) -> Any:
    """The value after all operations of a patch. Raises PatchError; the old value is as it was in any case."""
    try:
        for operation in patch:
            value = _operate(value, operation)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise PatchError(f"the patch does not fit the value: {error!r}") from error
    return value


def _operate(value: Any, operation: dict[str, Any]) -> Any:
    name, path = operation["op"], _steps(operation["path"])
    if name == "add":
        return _add(value, path, operation["value"])
    if name == "remove":
        return _remove(value, path)
    if name == "replace":
        return _replace(value, path, operation["value"])
    if name == "move":
        source = _steps(operation["from"])
        return _add(_remove(value, source), path, _at(value, source))
    if name == "copy":
        return _add(value, path, _at(value, _steps(operation["from"])))
    if name == "test":
        if _at(value, path) != operation["value"]:
            raise PatchError(f"the value at {operation['path']!r} is another one")
        return value
    raise PatchError(f"there is no operation {name!r}")


def _steps(pointer: str) -> list[str]:
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise PatchError(f"{pointer!r} is no pointer: it begins with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _at(value: Any, path: list[str]) -> Any:
    for step in path:
        value = value[_index(value, step)]
    return value


def _index(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return step
    if not isinstance(value, list):
        raise PatchError(f"there is nothing at {step!r} of a {type(value).__name__}")
    if not step.isdecimal() or (step[0] == "0" and step != "0"):
        raise PatchError(f"{step!r} is no place in a list")
    return int(step)


def _changed(value: Any, path: list[str], last: Any) -> Any:
    """The value with what is at the path's last step but one changed by `last(container, step)`."""
    copy = value.copy()
    if len(path) == 1:
        last(copy, path[0])
    else:
        index = _index(copy, path[0])
        copy[index] = _changed(copy[index], path[1:], last)
    return copy


def _add(value: Any, path: list[str], new: Any) -> Any:
    def add(container: Any, step: str) -> None:
        if isinstance(container, list):
            index = len(container) if step == "-" else _index(container, step)
            if index > len(container):
                raise PatchError(f"{step} is beyond the end of the list")
            container.insert(index, new)
        else:
            container[_index(container, step)] = new

    return _changed(value, path, add) if path else new


def _remove(value: Any, path: list[str]) -> Any:
    def remove(container: Any, step: str) -> None:
        del container[_index(container, step)]

    return _changed(value, path, remove) if path else None


def _replace(value: Any, path: list[str], new: Any) -> Any:
    def replace(container: Any, step: str) -> None:
        index = _index(container, step)
        container[index]
        container[index] = new

    return _changed(value, path, replace) if path else new
