"""Rows of calls: a closure over all items of an array, as one Python comprehension.

`|person| person.age > 30` over many things becomes

    def rows(ctx, items, p0):
        return [v_person for v_person in items for t1 in [v_person.props[p0]] if t1 > 30 …]

where those for which it is true are wanted, else `[t1 > 30 … for …]`.

This spares a Python call an item. It trusts that the items are things with the properties named: plain ones, where
`p0` is the property's name, or instances of one type, where it is the field's position. Where they are not, Python
itself fails, and the closure is called item by item instead. So only bodies are compiled this way that are expressions
without effects and calls, which can be evaluated again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.language import nodes as n
from engine.language.compiler import Unit
from engine.language.expressions import Expressions
from engine.language.lookahead import children
from engine.language.python_ast import LOAD, STORE, py_call, py_name
from engine.language.statements import HARMLESS
from engine.values.thing import Instance

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.closure import ClosureCode
    from engine.values.thing import Value

__all__ = ["Rows", "chosen_by", "compile_rows", "results_of"]

RowFunction: TypeAlias = Callable[..., list[Any]]

COMPILED_AFTER = 2000
"""Items that a closure is called with before compiling it once more pays."""

_DISTRUST = (AttributeError, KeyError, TypeError, IndexError)
"""How Python fails where the items are not as they were trusted to be."""


class Rows:
    """What a closure was compiled to: `results` and `chosen` as `function(ctx, items, *keys)`, and the names of the
    properties that the keys stand for."""

    __slots__ = ("chosen", "names", "results")

    def __init__(self, results: RowFunction, chosen: RowFunction, names: tuple[str, ...]) -> None:
        self.results = results
        self.chosen = chosen
        self.names = names

    def run(self, ctx: Context, function: RowFunction, code: ClosureCode, items: Sequence[Value]) -> list[Value] | None:
        """Run one of them; None where the items are not as they were trusted to be."""
        keys: Sequence[Any] = self.names
        if not items:
            return []
        first = items[0]
        try:
            if keys and type(first) is Instance:
                type_ = first.kind
                keys = [type_.positions[name] for name in keys]
                if {item.kind for item in items} != {type_}:
                    return None
            return function(ctx, items, *keys)
        except _DISTRUST:
            code.repeatable, code.rows = False, None  # the next items will hardly be others
            return None


class _Body(Expressions):
    """The body of a closure, its items trusted. `keys` are the properties read of an item: name -> parameter."""

    def __init__(self, unit: Unit, literal: n.ClosureLiteral) -> None:
        super().__init__(unit, "rows", literal)
        self.locals = set(literal.params)
        self.item = f"v_{literal.params[0]}"
        self.keys: dict[str, str] = {}

    def _get_property(self, value: ast.expr, name: str) -> ast.expr:
        if not isinstance(value, ast.Name) or value.id != self.item:
            return super()._get_property(value, name)
        key = self.keys.setdefault(name, f"p{len(self.keys)}")
        return ast.Subscript(ast.Attribute(value, "props", LOAD), py_name(key), LOAD)


def _calls_nothing(body: n.Node) -> bool:
    stack = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, n.Call | n.Instance | n.Anonymous):
            return False
        stack.extend(children(node))
    return True


def compile_rows(source: str, scope: str) -> Rows | None:
    """A closure's text as functions over items; None where its body is not one that can be evaluated again, or is more
    than an expression."""
    from engine.language.formatter import parse_closure

    literal = parse_closure(source)
    params = literal.params
    if not 1 <= len(set(params)) == len(params) <= 2 or not _calls_nothing(literal.body):
        return None
    unit = Unit(source, scope)
    rows = _Body(unit, literal)
    if rows.rank(literal.body) > HARMLESS:
        return None
    value = rows.expression(literal.body)
    loops = []
    for statement in rows.block:
        # Python makes an assignment of a loop over one item, and allows no other assignments in it.
        if not isinstance(statement, ast.Assign) or any(
            isinstance(part, ast.NamedExpr) for part in ast.walk(statement)
        ):
            return None
        loops.append(ast.comprehension(statement.targets[0], ast.List([statement.value], LOAD), [], 0))
    item: ast.expr = ast.Name(rows.item, STORE)
    items = py_name("items")
    if len(params) == 2:
        item = ast.Tuple([ast.Name(f"v_{params[1]}", STORE), item], STORE)
        items = py_call("enumerate", items)
    parameters = [ast.arg(name) for name in ("ctx", "items", *rows.keys.values())]
    arguments = ast.arguments([], parameters, None, [], [], None, [])
    for name, element, tests in (("results", value, []), ("chosen", py_name(rows.item), [value])):
        generators = [ast.comprehension(item, items, [], 0), *loops]
        generators[-1] = ast.comprehension(generators[-1].target, generators[-1].iter, tests, 0)
        made = ast.Return(ast.ListComp(element, generators))
        unit.functions.append(ast.FunctionDef(name, arguments, [made], []))
    *_, results, chosen = unit.finish()
    return Rows(results, chosen, tuple(rows.keys))


def results_of(ctx: Context, code: ClosureCode, items: Sequence[Value]) -> list[Value] | None:
    """What a closure gives for all items; None where it must be called for each."""
    rows = _rows(ctx, code, items)
    return None if rows is None else rows.run(ctx, rows.results, code, items)


def chosen_by(ctx: Context, code: ClosureCode, items: Sequence[Value]) -> list[Value] | None:
    """The items for which a closure gives something true; None where it must be called for each."""
    rows = _rows(ctx, code, items)
    return None if rows is None else rows.run(ctx, rows.chosen, code, items)


def _rows(ctx: Context, code: ClosureCode, items: Sequence[Value]) -> Rows | None:
    if code.rows is None and code.repeatable and items:
        code.walked += len(items)
        if code.walked >= COMPILED_AFTER:
            code.rows = compile_rows(code.source, ctx.scope.kind)
            code.repeatable = code.rows is not None
    return code.rows
