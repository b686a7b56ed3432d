"""Which passwords a text is going to hash, as far as it shows: those that `set_password` gets as a literal, a variable
or a parameter. So whoever runs it can hash them beforehand, elsewhere (`engine.login.HashFirst`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.language import nodes as n

__all__ = ["MAX_PASSWORDS", "passwords_in", "texts"]

MAX_PASSWORDS = 16
"""Of so many at most in a text; more are hashed when they are met."""

_FUNCTION = "set_password"


def passwords_in(text: str, roots: Iterable[n.Node]) -> tuple[n.Node, ...]:
    """The nodes of passwords in a text: constants and names."""
    if _FUNCTION not in text:
        return ()
    found: list[n.Node] = []
    waiting: list[n.Node] = [*roots]
    while waiting and len(found) < MAX_PASSWORDS:
        node = waiting.pop()
        if isinstance(node, n.Call) and node.name == _FUNCTION and len(node.arguments) == 2:
            password = node.arguments[1]
            if isinstance(password, n.Constant | n.Name):
                found.append(password)
        for name in type(node).__dataclass_fields__:
            value = getattr(node, name)
            if isinstance(value, n.Node):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [item for item in value if isinstance(item, n.Node)]
    return tuple(found)


def texts(passwords: Iterable[n.Node], variables: Mapping[str, Any]) -> set[str]:
    """The passwords that the nodes stand for, with these variables."""
    values = [
        variables.get(node.name) if isinstance(node, n.Name) else getattr(node, "value", None) for node in passwords
    ]
    return {value for value in values if isinstance(value, str)}
