"""Building Python's `ast` nodes, the short way."""

from __future__ import annotations

import ast
from typing import Any

__all__ = ["CTX", "FRAME", "LOAD", "NIL", "STORE", "locate", "py_assign", "py_call", "py_const", "py_method", "py_name"]

LOAD = ast.Load()
STORE = ast.Store()


def py_name(name: str) -> ast.expr:
    return ast.Name(name, LOAD)


def py_const(value: Any) -> ast.expr:
    return ast.Constant(value)


def py_call(function: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(py_name(function), list(arguments), [])


def py_method(target: ast.expr, name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(target, name, LOAD), list(arguments), [])


def _walrus(name: str, value: ast.expr) -> ast.expr:
    return ast.NamedExpr(ast.Name(name, STORE), value)


def py_assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, STORE)], value)


CTX = py_name("ctx")
FRAME = py_name("v")
NIL = py_const(None)


def locate(root: ast.AST) -> None:
    """Give every node a position: generated code has one line."""
    stack = [root]
    while stack:
        node = stack.pop()
        if "lineno" in node._attributes:
            node.lineno = node.end_lineno = 1  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
        for value in node.__dict__.values():
            if type(value) is list:
                stack.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                stack.append(value)
