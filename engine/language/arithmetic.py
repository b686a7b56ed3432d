"""Operators as Python expressions: on ints by Python's own operators, on everything else by a call.

`a * 2 + b` becomes, with `a` and `b` variables,

    t2 if a.__class__ is int and MIN <= (t1 := a * 2) <= MAX and b.__class__ is int and MIN <= (t2 := t1 + b) <= MAX
    else add(multiply(a, 2), b)

The calls decide whatever the guards don't let through: floats, text, errors. So a guard may be stricter than the
language, never looser. What stands in both halves is evaluated once: reading a variable that is set can be repeated,
anything else is put into a temporary first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.language import nodes as n
from engine.language.calls import Calls
from engine.language.python_ast import CTX, LOAD, STORE, py_assign, py_call, py_const, py_name
from engine.language.statements import INERT
from engine.limits import INT_MAX, INT_MIN

__all__ = ["BINARY_NAMES", "COMPARISONS", "UNARY_NAMES", "Arithmetic"]

BINARY_NAMES = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "<<": "shift_left",
    ">>": "shift_right", "&": "bit_and", "^": "bit_xor", "|": "bit_or", "==": "equal", "!=": "not_equal",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip
UNARY_NAMES = {"+": "plus", "-": "minus", "~": "invert"}

COMPARISONS: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip
_BITWISE: dict[str, type[ast.operator]] = {"&": ast.BitAnd, "^": ast.BitXor, "|": ast.BitOr}
_INLINE = frozenset(("+", "-", "*", "/", "%", "&", "^", "|"))

_SMALL = (1 << 30) - 1

MAX_OPERANDS = 16
"""Operands of one inline expression; of longer ones the parts are inline, each for itself."""


class _NotInline(Exception):
    """An operand that is no int, by its looks."""


@dataclass(slots=True)
class _Operand:
    """A value in both halves. `low` and `high` bound it where the guards hold; `simple`: it costs nothing to repeat."""

    fast: ast.expr
    slow: ast.expr
    low: int = INT_MIN
    high: int = INT_MAX
    simple: bool = True


class Arithmetic(Calls):
    """What compiles operators."""

    def binary(self, node: n.Binary) -> ast.expr:
        if self.runs_often:
            try:
                return _Inline(self).binary(node)
            except _NotInline:
                pass
        left, right = self.expressions((node.left, node.right))
        return py_call(BINARY_NAMES[node.operator], left, right)

    def unary(self, node: n.Unary) -> ast.expr:
        if "!" not in node.operators and self.runs_often:
            try:
                return _Inline(self).whole(node)
            except _NotInline:
                pass
        value = self.expression(node.operand)
        for operator in reversed(node.operators):
            value = ast.UnaryOp(ast.Not(), value) if operator == "!" else py_call(UNARY_NAMES[operator], value)
        return value

    def assign(self, node: n.Assign) -> ast.expr:
        if node.operator:
            return self._update(node)
        value = self.spill(self.expression(node.value))
        self.emit(ast.Assign([self.store(node.name)], value))
        self.assigned.add(node.name)
        return value

    def read(self, name: str) -> ast.expr:
        """A variable's value."""
        raise NotImplementedError

    def _update(self, node: n.Assign) -> ast.expr:
        """`name op= value`: changes the newest variable of that name."""
        name, operator = node.name, node.operator
        local = self.locals is not None and name in self.locals
        if name in self.assigned:
            result = self.temporary()
            value = _Inline(self).updated(node)
            self.emit(ast.Assign([self.store(name), ast.Name(result, STORE)], value))
            return py_name(result)
        value = self.expression(node.value)
        if not local:
            return self.spill(py_call("update_variable", CTX, py_const(name), py_const(operator), value))
        # It is this closure's if it is set, else one of a caller's.
        value = self.spill(value)
        slot = ast.Name(f"v_{name}", LOAD)
        result = self.temporary()
        mine: list[ast.stmt] = [
            py_assign(result, py_call("update_value", CTX, slot, py_const(operator), value)),
            py_assign(f"v_{name}", py_name(result)),
        ]
        theirs = py_assign(result, py_call("update_variable", CTX, py_const(name), py_const(operator), value))
        self.emit(ast.If(ast.Compare(slot, [ast.IsNot()], [py_name("UNSET")]), mine, [theirs]))
        return py_name(result)


class _Inline:
    """One expression being put inline: its guards, in the order in which they are evaluated."""

    def __init__(self, function: Arithmetic) -> None:
        self.function = function
        self.guards: list[ast.expr] = []
        self.variables: dict[str, _Operand] = {}

    # --- expressions -------------------------------------------------------------------------------------------------

    def binary(self, node: n.Binary) -> ast.expr:
        if node.operator in COMPARISONS:
            return self.comparison(node)
        if node.operator not in _INLINE:
            raise _NotInline
        return self.whole(node)

    def whole(self, node: n.Node) -> ast.expr:
        """The expression of a tree of operators."""
        _check_looks(node)
        made = self.tree(node) if self._is_repeatable(node) else self._topmost(node)
        return self._choice(made.fast, made.slow)

    def comparison(self, node: n.Binary) -> ast.expr:
        operator = node.operator
        for mine, other in ((node.right, node.left), (node.left, node.right)):
            if type(mine) is n.Constant and type(mine.value) is not int:
                if operator not in ("==", "!=") or type(other) is n.Constant:
                    raise _NotInline
                return self._comparison_with(operator, other, mine)
        _check_looks(node.left)
        _check_looks(node.right)
        left, right = self._operands(node)
        fast = ast.Compare(left.fast, [COMPARISONS[operator]()], [right.fast])
        return self._choice(fast, py_call(BINARY_NAMES[operator], left.slow, right.slow))

    def _comparison_with(self, operator: str, node: n.Node, constant: n.Constant) -> ast.expr:
        """`==` and `!=` of something with nil or a text."""
        function = self.function
        value = function.expression(node)
        if constant.value is None:
            return ast.Compare(value, [ast.Is() if operator == "==" else ast.IsNot()], [py_const(None)])
        if type(constant.value) is not str:
            return py_call(BINARY_NAMES[operator], value, function.expression(constant))
        value = function.spill(value)
        text = function.expression(constant)
        self._guard_class(value, "str")
        fast = ast.Compare(value, [COMPARISONS[operator]()], [text])
        return self._choice(fast, py_call(BINARY_NAMES[operator], value, text))

    def updated(self, node: n.Assign) -> ast.expr:
        """What `name op= value` gives, the variable being set."""
        function, operator = self.function, node.operator
        variable = n.Name(node.name)
        try:
            _check_looks(node.value)
        except _NotInline:
            value = function.spill(function.expression(node.value))
            return py_call("update_value", CTX, function.read(node.name), py_const(operator), value)
        if self._is_repeatable(node.value):
            right = self.tree(node.value)
        else:
            right = self._evaluated(function.spill(function.expression(node.value)))
        old = self.leaf(variable)
        made = self.apply(operator, old, right)
        return self._choice(made.fast, py_call("update_value", CTX, old.slow, py_const(operator), right.slow))

    def _choice(self, fast: ast.expr, slow: ast.expr) -> ast.expr:
        if not self.guards:
            return fast
        test = self.guards[0] if len(self.guards) == 1 else ast.BoolOp(ast.And(), self.guards)
        return ast.IfExp(test, fast, slow)

    # --- trees -------------------------------------------------------------------------------------------------------

    def _topmost(self, node: n.Node) -> _Operand:
        """Only the topmost operator: its operands are evaluated first."""
        node = _bare(node)
        if isinstance(node, n.Unary):
            value = self._evaluated(self.function.spill(self.function.expression(node.operand)))
            return self._prefixes(node, value)
        assert isinstance(node, n.Binary)
        left, right = self._operands(node)
        return self.apply(node.operator, left, right)

    def _operands(self, node: n.Binary) -> tuple[_Operand, _Operand]:
        """Both sides: as trees where all of it can be repeated, else evaluated one after the other."""
        function = self.function
        if self._is_repeatable(node.right):
            if self._is_repeatable(node.left):
                return self.tree(node.left), self.tree(node.right)
            left = self._evaluated(function.spill(function.expression(node.left)))
            return left, self.tree(node.right)
        sides = function.expressions((node.left, node.right))
        left, right = (self._evaluated(function.spill(side)) for side in sides)
        return left, right

    def _is_repeatable(self, node: n.Node) -> bool:
        """Is it made of operators, ints and variables that are set, and not too long?"""
        leaves = _leaves(node)
        return len(leaves) <= MAX_OPERANDS and all(self.function.rank(leaf) == INERT for leaf in leaves)

    def tree(self, node: n.Node) -> _Operand:
        """A tree of operators whose leaves can be repeated."""
        node = _bare(node)
        if isinstance(node, n.Binary) and node.operator in _INLINE:
            left = self.tree(node.left)
            return self.apply(node.operator, left, self.tree(node.right))
        if isinstance(node, n.Unary) and "!" not in node.operators:
            return self._prefixes(node, self.tree(node.operand))
        return self.leaf(node)

    def leaf(self, node: n.Node) -> _Operand:
        if type(node) is n.Constant and type(node.value) is int:
            value = py_const(node.value)
            return _Operand(value, value, node.value, node.value)
        assert isinstance(node, n.Name)
        known = self.variables.get(node.name)
        if known is None:
            slow = fast = self.function.read(node.name)
            if isinstance(slow, ast.Name):
                self._guard_class(slow, "int")
            else:
                name = self.function.temporary()
                self._guard_class(ast.NamedExpr(ast.Name(name, STORE), slow), "int")
                fast = py_name(name)
            known = self.variables[node.name] = _Operand(fast, slow)
        return known

    def _evaluated(self, value: ast.expr) -> _Operand:
        """An operand that is evaluated already."""
        if isinstance(value, ast.Constant) and type(value.value) is int:
            return _Operand(value, value, value.value, value.value)
        self._guard_class(value, "int")
        return _Operand(value, value)

    def _prefixes(self, node: n.Unary, operand: _Operand) -> _Operand:
        for operator in reversed(node.operators):
            slow = py_call(UNARY_NAMES[operator], operand.slow)
            if operator == "-":
                operand = self._bounded(ast.UnaryOp(ast.USub(), operand.fast), slow, -operand.high, -operand.low)
            elif operator == "~":
                fast = ast.UnaryOp(ast.Invert(), operand.fast)
                operand = _Operand(fast, slow, ~operand.high, ~operand.low, False)
            else:
                operand = _Operand(operand.fast, slow, operand.low, operand.high, operand.simple)
        return operand

    # --- operators ---------------------------------------------------------------------------------------------------

    def apply(self, operator: str, left: _Operand, right: _Operand) -> _Operand:
        """An operator on two operands that are ints where the guards hold."""
        slow = py_call(BINARY_NAMES[operator], left.slow, right.slow)
        if operator in _BITWISE:
            fast = ast.BinOp(left.fast, _BITWISE[operator](), right.fast)
            low, high = INT_MIN, INT_MAX
            if operator == "&":
                masks = [side.high for side in (left, right) if side.low >= 0]
                if masks:
                    low, high = 0, min(masks)
            return _Operand(fast, slow, low, high, False)
        if operator in "/%":
            # Python rounds down and the language towards zero: they agree where nothing is negative.
            left, right = self._at_least(left, 0), self._at_least(right, 1)
            if operator == "/":
                return _Operand(ast.BinOp(left.fast, ast.FloorDiv(), right.fast), slow, 0, left.high, False)
            return _Operand(ast.BinOp(left.fast, ast.Mod(), right.fast), slow, 0, min(left.high, right.high - 1), False)
        kind, low, high = _ARITHMETIC[operator](left, right)
        return self._bounded(ast.BinOp(left.fast, kind, right.fast), slow, low, high)

    def _bounded(self, fast: ast.expr, slow: ast.expr, low: int, high: int) -> _Operand:
        """A result that may leave 64 bits, where its bounds say so."""
        if low >= INT_MIN and high <= INT_MAX:
            return _Operand(fast, slow, low, high, False)
        name = self._result()
        value = ast.NamedExpr(ast.Name(name, STORE), fast)
        # Comparing with a small int is much faster in CPython.
        small = ast.Compare(py_const(-_SMALL), [ast.Lt(), ast.Lt()], [value, py_const(_SMALL)])
        any_int = ast.Compare(py_const(INT_MIN), [ast.LtE(), ast.LtE()], [py_name(name), py_const(INT_MAX)])
        self.guards.append(ast.BoolOp(ast.Or(), [small, any_int]))
        return _Operand(py_name(name), slow)

    def _at_least(self, operand: _Operand, least: int) -> _Operand:
        if operand.low >= least:
            return operand
        value = operand.fast
        if not operand.simple:
            name = self._result()
            value = ast.NamedExpr(ast.Name(name, STORE), operand.fast)
            operand = _Operand(py_name(name), operand.slow, operand.low, operand.high)
        self.guards.append(ast.Compare(value, [ast.GtE()], [py_const(least)]))
        return _Operand(operand.fast, operand.slow, least, operand.high)

    def _result(self) -> str:
        """A name for an int: it need not be emptied after the statement, as temporaries are."""
        return f"i{self.function.temporary()[1:]}"

    def _guard_class(self, value: ast.expr, kind: str) -> None:
        self.guards.append(ast.Compare(ast.Attribute(value, "__class__", LOAD), [ast.Is()], [py_name(kind)]))


def _sum(left: _Operand, right: _Operand) -> tuple[ast.operator, int, int]:
    return ast.Add(), left.low + right.low, left.high + right.high


def _difference(left: _Operand, right: _Operand) -> tuple[ast.operator, int, int]:
    return ast.Sub(), left.low - right.high, left.high - right.low


def _product(left: _Operand, right: _Operand) -> tuple[ast.operator, int, int]:
    corners = [x * y for x in (left.low, left.high) for y in (right.low, right.high)]
    return ast.Mult(), min(corners), max(corners)


_ARITHMETIC: dict[str, Callable[[_Operand, _Operand], tuple[ast.operator, int, int]]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
}

_NO_INTS: frozenset[type[Any]] = frozenset(
    (n.ListLiteral, n.ThingLiteral, n.Template, n.ClosureLiteral, n.RegexLiteral, n.IntOverflow)
)
"""Leaves that are no ints, or no values at all."""


def _bare(node: n.Node) -> n.Node:
    while isinstance(node, n.Parenthesis):
        node = node.inner
    return node


def _leaves(node: n.Node) -> list[n.Node]:
    """The operands of a tree of operators that can be inline: as many as one may have, and perhaps one more."""
    found: list[n.Node] = []
    waiting = [node]
    while waiting and len(found) <= MAX_OPERANDS:
        node = _bare(waiting.pop())
        if isinstance(node, n.Binary) and node.operator in _INLINE:
            waiting += (node.right, node.left)
        elif isinstance(node, n.Unary) and "!" not in node.operators:
            waiting.append(node.operand)
        else:
            found.append(node)
    return found


def _check_looks(node: n.Node) -> None:
    """_NotInline where an operand is seen to be no int."""
    for leaf in _leaves(node):
        if type(leaf) in _NO_INTS or (type(leaf) is n.Constant and type(leaf.value) is not int):
            raise _NotInline
