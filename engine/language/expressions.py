"""Expressions of the language as Python expressions: values, operators, literals, chains."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from engine.errors import ValueFailed
from engine.language import nodes as n
from engine.language.arithmetic import COMPARISONS, Arithmetic
from engine.language.python_ast import CTX, FRAME, LOAD, NIL, STORE, py_assign, py_call, py_const, py_method, py_name
from engine.language.statements import DISTURBING, HARMLESS, INERT
from engine.values.regex import compiled_regex

__all__ = ["Expressions"]

_QUOTAS = ast.Attribute(ast.Attribute(CTX, "scope", LOAD), "quotas", LOAD)

MAX_EXPRESSION_LINKS = 16
"""Links of a chain in one Python expression."""


class Expressions(Arithmetic):
    """What compiles expressions."""

    # --- expressions -------------------------------------------------------------------------------------------------

    def expression(self, node: n.Node) -> ast.expr:
        """Compile a node; the Python expression of its value."""
        build = _EXPRESSIONS.get(type(node))
        if build is not None:
            return build(self, node)
        self.statement(node)  # return, break, continue: nothing comes after them
        return NIL

    def constant(self, node: n.Constant) -> ast.expr:
        value = node.value
        if type(value) is str and not value.isprintable():
            return self.unit.constant(value)  # text with lone surrogates can't stand in Python code
        return py_const(value)

    def int_overflow(self, node: n.IntOverflow) -> ast.expr:
        return py_call("int_overflow", py_const(node.source))

    def regex(self, node: n.RegexLiteral) -> ast.expr:
        try:
            return self.unit.constant(compiled_regex(node.pattern, node.flags))
        except ValueFailed:  # to be raised when it is evaluated
            return py_call("compiled_regex", self.unit.constant(node.pattern), py_const(node.flags))

    def parenthesis(self, node: n.Parenthesis) -> ast.expr:
        return self.expression(node.inner)

    def block_expression(self, node: n.Block) -> ast.expr:
        for statement in node.statements[:-1]:
            self.statement(statement)
        return self.expression(node.statements[-1])

    def template(self, node: n.Template) -> ast.expr:
        builders: list[Callable[[], ast.expr]] = []
        for part in node.parts:
            if isinstance(part, str):
                builders.append(lambda part=part: self.unit.constant(part))  # type: ignore[misc]
            else:
                builders.append(lambda part=part: py_call("text_of", CTX, self.expression(part)))  # type: ignore[misc]
        return py_call("join_texts", ast.List(self.in_order(builders), LOAD))

    def name_value(self, node: n.Name) -> ast.expr:
        return self.read(node.name)

    def read(self, name: str) -> ast.expr:
        if self.locals is not None:
            if name not in self.locals:
                return py_call("read", CTX, py_const(name))
            slot = py_name(f"v_{name}")
            if name in self.assigned:
                return slot
            unset = ast.Compare(slot, [ast.IsNot()], [py_name("UNSET")])
            return ast.IfExp(unset, slot, py_call("read", CTX, py_const(name)))
        if name in self.assigned:
            return ast.Subscript(FRAME, py_const(name), LOAD)
        return py_call("read", CTX, py_const(name))

    def logical(self, node: n.Logical) -> ast.expr:
        left = self.expression(node.left)
        result = self.temporary()
        value: list[ast.expr] = []

        def right() -> None:
            value.append(self.expression(node.right))
            if self.block:
                self.emit(py_assign(result, value[0]))

        statements = self.sub_block(right)
        if not statements:
            return ast.BoolOp(ast.And() if node.operator == "&&" else ast.Or(), [left, value[0]])
        self.emit(py_assign(result, left))
        test: ast.expr = py_name(result)
        if node.operator == "||":
            test = ast.UnaryOp(ast.Not(), test)
        self.emit(ast.If(test, statements, []))
        return py_name(result)

    def branches(self, test: ast.expr, yes: n.Node, no: n.Node | None) -> ast.expr:
        """One of two values; without `no`, that of the test."""
        if no is None:
            test = self.spill(test)
        result = self.temporary()
        values: list[ast.expr] = []

        def branch(node: n.Node) -> Callable[[], None]:
            def build() -> None:
                value = self.expression(node)
                values.append(value)
                self.emit(py_assign(result, value))

            return build

        first = self.sub_block(branch(yes))
        second = self.sub_block(branch(no)) if no is not None else [py_assign(result, test)]
        if len(first) == len(second) == 1:
            return ast.IfExp(test, values[0], values[1] if no is not None else test)
        self.emit(ast.If(test, first, second))
        return py_name(result)

    def ternary(self, node: n.Ternary) -> ast.expr:
        return self.branches(self.expression(node.test), node.yes, node.no)

    def if_value(self, node: n.If) -> ast.expr:
        return self.branches(self.expression(node.test), node.body, node.orelse)

    def for_value(self, node: n.For) -> ast.expr:
        result = self.temporary()
        self.loop(node, result)
        return py_name(result)

    def closure(self, node: n.ClosureLiteral) -> ast.expr:
        return py_call("Closure", self.unit.constant(self.unit.closure(node)))

    def list_literal(self, node: n.ListLiteral) -> ast.expr:
        items = ast.List(self.expressions(node.items), LOAD)
        made = py_call("make_list", CTX, items)
        if all(isinstance(item, n.Constant) for item in node.items):
            return ast.IfExp(_QUOTAS, made, py_call("List", items))
        return made

    def pair_value(self, pair: n.Pair) -> ast.expr:
        if pair.value is not None:
            return self.expression(pair.value)
        if self.locals is not None and pair.name in self.locals:
            return self.read(pair.name)
        return py_call("read_variable", CTX, py_const(pair.name))

    def thing_literal(self, node: n.ThingLiteral) -> ast.expr:
        allowed = ast.BoolOp(ast.And(), [_QUOTAS, py_call("begin_thing", CTX, py_const(len(node.pairs)))])
        pairs: list[Callable[[], ast.expr]] = [lambda pair=pair: self.pair_value(pair) for pair in node.pairs]  # type: ignore[misc]
        quotas, *values = self.in_order([lambda: allowed, *pairs])
        props = ast.Dict([py_const(pair.name) for pair in node.pairs], values)
        doubtful = dict.fromkeys(pair.name for pair in node.pairs if not pair.value or not _is_scalar(pair.value))
        return py_call("make_literal", quotas, props, self.unit.constant(tuple(doubtful)), CTX)

    def anonymous(self, node: n.Anonymous) -> ast.expr:
        values = self.in_order([lambda pair=pair: self.pair_value(pair) for pair in node.pairs])  # type: ignore[misc]
        return py_call("make_anonymous", CTX, ast.Dict([py_const(pair.name) for pair in node.pairs], values))

    def instance(self, node: n.Instance) -> ast.expr:
        ranks = [
            self.rank(pair.value) if pair.value else INERT if pair.name in self.assigned else HARMLESS
            for pair in node.pairs
        ]
        if all(rank == INERT for rank in ranks):
            names = self.unit.constant(tuple(pair.name for pair in node.pairs))
            values = ast.Tuple([self.pair_value(pair) for pair in node.pairs], LOAD)
            return py_call("make_instance", CTX, py_const(node.name), names, values)
        locking = DISTURBING in ranks
        builder = self.spill(py_call("begin_instance", CTX, py_const(node.name), py_const(locking)))

        def build() -> None:
            for pair in node.pairs:

                def put(pair: n.Pair = pair) -> None:
                    value = self.pair_value(pair)
                    self.emit(ast.Expr(py_method(builder, "put", CTX, py_const(pair.name), value)))

                self.emit(ast.If(py_method(builder, "wants", py_const(pair.name)), self.sub_block(put), []))

        if locking:
            self.guarded(build, [ast.Expr(py_method(builder, "close"))])
        else:
            build()
        return py_method(builder, "finish", CTX)

    def member(self, node: n.Member) -> ast.expr:
        if isinstance(node.member, str):
            return py_call("get_member", CTX, py_const(node.name), py_const(node.member))
        return py_call("get_member_by", CTX, py_const(node.name), self.closure(node.member))

    def root(self, node: n.Root) -> ast.expr:
        return ast.Attribute(CTX, "root", LOAD) if self.unit.scope == "C" else py_call("root", CTX)

    # --- chains ------------------------------------------------------------------------------------------------------

    def chain(self, node: n.Chain) -> ast.expr:
        links = node.links
        if isinstance(node.head, n.Root) and isinstance(links[0], n.GetProperty | n.SetProperty | n.CallMethod):
            return self.links(self.root(node.head), links, 0, first=True)
        return self.links(self.expression(node.head), links, 0)

    def links(self, value: ast.expr, links: list[n.Link], start: int, *, first: bool = False) -> ast.expr:
        """The links of a chain from `start` on, applied to a value."""
        for index in range(start, len(links)):
            link = links[index]
            if getattr(link, "optional", False) and not (first and index == 0):
                return self.optional(value, links, index)
            if index % MAX_EXPRESSION_LINKS == MAX_EXPRESSION_LINKS - 1:
                value = self.spill(value)
            value = self.link(value, link)
        return value

    def optional(self, value: ast.expr, links: list[n.Link], index: int) -> ast.expr:
        """`..`: nil and errors skip the rest of the chain."""
        result = self.temporary()
        self.emit(py_assign(result, value))

        def rest() -> None:
            link = links[index]
            followed = self.link(py_name(result), link)
            self.emit(py_assign(result, self.links(followed, links, index + 1)))

        self.emit(ast.If(ast.UnaryOp(ast.Not(), py_call("is_nothing", py_name(result))), self.sub_block(rest), []))
        return py_name(result)

    def link(self, value: ast.expr, link: n.Link) -> ast.expr:
        match link:
            case n.GetProperty():
                return self._get_property(value, link.name)
            case n.CallMethod():
                return self.call_method(value, link)
            case n.SetProperty():
                return self.set_property(value, link)
            case n.GetItem():
                return self._get_item(value, link)
            case n.SetItem():
                return self.set_item(value, link)
            case n.GetSlice():
                return self.get_slice(value, link)
            case n.SetSlice():
                return self.set_slice(value, link)
        raise AssertionError(link)

    def _get_property(self, value: ast.expr, name: str) -> ast.expr:
        if not self.runs_often:
            return py_call("get_property", value, py_const(name))
        again = value
        if not isinstance(value, ast.Name):
            temporary = self.temporary()
            value, again = ast.NamedExpr(ast.Name(temporary, STORE), value), py_name(temporary)
        is_plain = ast.Compare(ast.Attribute(value, "__class__", LOAD), [ast.Is()], [py_name("Thing")])
        props = ast.Attribute(again, "props", LOAD)
        found = ast.BoolOp(ast.And(), [is_plain, ast.Compare(py_const(name), [ast.In()], [props])])
        slow = py_call("get_property", again, py_const(name))
        return ast.IfExp(found, ast.Subscript(props, py_const(name), LOAD), slow)

    def _get_item(self, value: ast.expr, link: n.GetItem) -> ast.expr:
        target, index = self.in_order([lambda: value, lambda: self.expression(link.index)])
        return py_call("get_item", target, index)

    def value_locked(self, target: ast.expr, node: n.Node) -> ast.expr:
        """The right side of an assignment, evaluated while the target is locked."""
        if self.rank(node) < DISTURBING:
            return self.expression(node)
        result = self.temporary()
        self.emit(ast.Expr(py_call("lock", target)))
        self.guarded(lambda: self.emit(py_assign(result, self.expression(node))), [ast.Expr(py_call("unlock", target))])
        return py_name(result)

    def set_property(self, value: ast.expr, link: n.SetProperty) -> ast.expr:
        if self.rank(link.value) < DISTURBING:
            mark = len(self.block)
            right = self.expression(link.value)
            if len(self.block) == mark:
                arguments = [CTX, py_call("as_thing", value), py_const(link.name)]
                if link.operator:
                    return self.spill(py_call("update_property", *arguments, py_const(link.operator), right))
                return self.spill(py_call("set_property", *arguments, right))
            del self.block[mark:]
        target = self.spill(py_call("as_thing", value))
        right = self.value_locked(target, link.value)
        if link.operator:
            return self.spill(
                py_call("update_property", CTX, target, py_const(link.name), py_const(link.operator), right)
            )
        return self.spill(py_call("set_property", CTX, target, py_const(link.name), right))

    def set_item(self, value: ast.expr, link: n.SetItem) -> ast.expr:
        target, index = self.in_order([lambda: value, lambda: self.expression(link.index)])
        target = self.spill(target)
        index = self.spill(py_call("item_target", CTX, target, index))
        right = self.value_locked(target, link.value)
        return self.spill(py_call("set_item", CTX, target, index, py_const(link.operator), right))

    def slice_parts(self, link: n.GetSlice | n.SetSlice) -> list[ast.expr]:
        def part(node: n.Node | None) -> Callable[[], ast.expr]:
            return lambda: NIL if node is None else py_call("slice_part", self.expression(node))

        return self.in_order([part(link.first), part(link.stop), part(link.step)])

    def get_slice(self, value: ast.expr, link: n.GetSlice) -> ast.expr:
        target = self.spill(value)
        result = self.temporary()

        def parts() -> None:
            first, stop, step = self.slice_parts(link)
            self.emit(py_assign(result, py_call("get_slice", target, first, stop, step)))

        empty = py_assign(result, py_call("get_slice", target, NIL, NIL, NIL))
        self.emit(ast.If(py_call("has_items", target), self.sub_block(parts), [empty]))
        return py_name(result)

    def set_slice(self, value: ast.expr, link: n.SetSlice) -> ast.expr:
        target = self.spill(py_call("slice_target", CTX, value))
        first, stop, step = (self.spill(part) for part in self.slice_parts(link))
        right = self.value_locked(target, link.value)
        return self.spill(py_call("set_slice", CTX, target, first, stop, step, py_const(link.operator), right))


def _is_scalar(node: n.Node) -> bool:
    """Is its value sure to be a scalar?"""
    if isinstance(node, n.Binary):
        return node.operator in COMPARISONS
    return isinstance(node, n.Constant | n.Template | n.Unary)


_EXPRESSIONS: dict[type[n.Node], Callable[[Expressions, Any], ast.expr]] = {
    n.Constant: Expressions.constant,
    n.IntOverflow: Expressions.int_overflow,
    n.RegexLiteral: Expressions.regex,
    n.Parenthesis: Expressions.parenthesis,
    n.Block: Expressions.block_expression,
    n.Template: Expressions.template,
    n.Name: Expressions.name_value,
    n.Assign: Expressions.assign,
    n.Unary: Expressions.unary,
    n.Binary: Expressions.binary,
    n.Logical: Expressions.logical,
    n.Ternary: Expressions.ternary,
    n.If: Expressions.if_value,
    n.For: Expressions.for_value,
    n.ClosureLiteral: Expressions.closure,
    n.ListLiteral: Expressions.list_literal,
    n.ThingLiteral: Expressions.thing_literal,
    n.Anonymous: Expressions.anonymous,
    n.Instance: Expressions.instance,
    n.Member: Expressions.member,
    n.Root: Expressions.root,
    n.Chain: Expressions.chain,
    n.Call: Expressions.call,
}
