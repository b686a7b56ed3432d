"""What the compiler finds out about nodes before it compiles them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from engine.functions.registry import FUNCTIONS
from engine.language import nodes as n

__all__ = ["MAX_BLOCKS", "assigned_names", "children", "is_leaf", "stored_temporaries"]

MAX_BLOCKS = 12
"""Loops and `try`s inside one another in one Python function; CPython refuses more than 20."""


def stored_temporaries(statements: Sequence[ast.AST], first: int) -> set[str]:
    """The temporaries from number `first` on that the statements assign, inner functions left out."""
    found: set[str] = set()
    stack: list[Any] = list(statements)
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is list:
            stack += node
        elif kind is ast.Name:
            name = node.id
            if type(node.ctx) is ast.Store and name[0] == "t" and name[1:].isdigit() and int(name[1:]) >= first:
                found.add(name)
        elif kind is not ast.FunctionDef and kind is not ast.Lambda and isinstance(node, ast.AST):
            stack += node.__dict__.values()
    return found


def children(node: n.Node) -> list[n.Node]:
    """The nodes directly in a node, bodies of closures left out."""
    children: list[n.Node] = []
    for name in type(node).__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, n.Node):
            children.append(value)
        elif isinstance(value, list):
            children.extend(item for item in value if isinstance(item, n.Node))
    return children


def is_leaf(body: n.Node) -> bool:
    """Does a closure's body call nothing that could look at its variables?"""
    stack: list[tuple[n.Node, int]] = [(body, 0)]
    while stack:
        node, depth = stack.pop()
        match node:
            case n.CallMethod() | n.Anonymous() | n.Member(member=n.ClosureLiteral()):
                return False
            case n.Call():
                function = FUNCTIONS.get(node.name)
                if function is None or function.runs_code or function.alias:
                    return False
                if any(argument.lazy for argument in function.arguments):
                    return False
                depth += 1
            case n.Instance():
                depth += 1
            case n.For():
                depth += 2
            case n.ClosureLiteral():
                continue
        if depth >= MAX_BLOCKS - 2:
            return False
        stack.extend((child, depth) for child in children(node))
    return True


def assigned_names(body: n.Node) -> set[str]:
    """The variables that a body assigns, not counting the closures in it."""
    found: set[str] = set()
    stack = [body]
    while stack:
        node = stack.pop()
        match node:
            case n.ClosureLiteral():
                continue
            case n.Assign(operator=""):
                found.add(node.name)
            case n.For():
                found |= set(node.names)
        stack.extend(children(node))
    return found
