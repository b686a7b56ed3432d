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


POSITION = {"lineno": 1, "end_lineno": 1, "col_offset": 0, "end_col_offset": 0}


def locate(root: ast.AST) -> None:
    """Give every node a position: generated code has one line."""
    position = POSITION
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if type(node) is list:
            stack += node
        elif isinstance(node, ast.AST):
            fields = node.__dict__
            if "lineno" not in fields:  # some are in several places
                stack += fields.values()
                fields.update(position)
