"""Statements of the language as Python statements; the places in a Python function that is being built.

An expression that needs statements in front of it emits them into `block`. Where operands were to be evaluated earlier,
they move into temporaries first, so that everything happens in the order written.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.functions.registry import FUNCTIONS
from engine.language import nodes as n
from engine.language.lookahead import MAX_BLOCKS, stored_temporaries
from engine.language.python_ast import CTX, FRAME, NIL, STORE, py_assign, py_call, py_const, py_name

if TYPE_CHECKING:
    from engine.language.compiler import Unit

__all__ = ["DISTURBING", "HARMLESS", "INERT", "Statements"]

INERT, HARMLESS, DISTURBING = range(3)
"""What evaluating an expression may do: nothing but give a value; fail; change things or run other code."""

_HARMLESS_LINKS = (n.GetProperty, n.GetItem, n.GetSlice)


class Statements:
    """One Python function being built: its blocks, and what compiles to statements."""

    def __init__(self, unit: Unit, name: str, literal: n.ClosureLiteral | None) -> None:
        self.unit = unit
        self.name = name
        self.literal = literal
        self.block: list[ast.stmt] = []
        self.temporaries = 0
        self.assigned: set[str] = set(literal.params) if literal else set()
        self.blocks = 0  # loops and `try`s around the present place
        self.loops = 0  # loops of this Python function around the present place
        self.detached = False  # in code that runs outside the function's own control flow (a thunk, outlined code)
        self.signals = False  # a `return` may come as a ReturnSignal
        self.locals: set[str] | None = None  # names kept in Python's local variables
        self.ranks: dict[int, int] = {}

    @property
    def runs_often(self) -> bool:
        """May the present place run many times? Elsewhere compiling code that is fast costs more than it saves, and a
        query with a new text pays for it each time."""
        return self.literal is not None or self.loops > 0 or self.detached

    def expression(self, node: n.Node) -> ast.expr:
        """Compile a node; the Python expression of its value."""
        raise NotImplementedError

    # --- places ------------------------------------------------------------------------------------------------------

    def temporary(self) -> str:
        self.temporaries += 1
        return f"t{self.temporaries}"

    def emit(self, statement: ast.stmt) -> None:
        self.block.append(statement)

    def spill(self, value: ast.expr) -> ast.expr:
        """Evaluate it here, once; a name for the value."""
        if isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id[0] in "tk"):
            return value
        name = self.temporary()
        self.emit(py_assign(name, value))
        return py_name(name)

    def sub_block(self, build: Callable[[], None]) -> list[ast.stmt]:
        """The statements that `build` emits, apart; names assigned in them may stay unassigned."""
        outer, self.block = self.block, []
        assigned = set(self.assigned)
        try:
            build()
            return self.block
        finally:
            self.block = outer
            self.assigned = assigned

    def expressions(self, operands: Sequence[n.Node]) -> list[ast.expr]:
        """Evaluate several operands in order."""
        return self.in_order([lambda operand=operand: self.expression(operand) for operand in operands])  # type: ignore[misc]

    def in_order(self, builders: Sequence[Callable[[], ast.expr]]) -> list[ast.expr]:
        """Build expressions that are evaluated in order: where one needs statements in front, those before it move
        into temporaries."""
        built: list[ast.expr] = []
        for build in builders:
            mark = len(self.block)
            value = build()
            if len(self.block) > mark and built:
                tail = self.block[mark:]
                del self.block[mark:]
                built = [self.spill(earlier) for earlier in built]
                self.block.extend(tail)
            built.append(value)
        return built

    # --- what an expression may do -----------------------------------------------------------------------------------

    def rank(self, node: n.Node) -> int:
        """INERT, HARMLESS or DISTURBING."""
        known = self.ranks.get(id(node))
        if known is None:
            known = self.ranks[id(node)] = self._rank(node)
        return known

    def _rank(self, node: n.Node) -> int:
        match node:
            case n.Constant() | n.ClosureLiteral():
                return INERT
            case n.Name():
                return INERT if node.name in self.assigned else HARMLESS
            case n.IntOverflow() | n.RegexLiteral() | n.Root() | n.Member(member=str()):
                return HARMLESS
            case n.Parenthesis():
                return self.rank(node.inner)
            case n.Unary():
                return max(HARMLESS, self.rank(node.operand))
            case n.Binary() | n.Logical():
                return max(HARMLESS, self.rank(node.left), self.rank(node.right))
            case n.Ternary():
                return max(HARMLESS, self.rank(node.test), self.rank(node.yes), self.rank(node.no))
            case n.ListLiteral():
                return max((self.rank(item) for item in node.items), default=INERT)
            case n.ThingLiteral():
                return max((self.rank(pair.value) if pair.value else HARMLESS for pair in node.pairs), default=INERT)
            case n.Instance():
                return max((self.rank(pair.value) for pair in node.pairs if pair.value), default=HARMLESS) or HARMLESS
            case n.Template():
                return max((self.rank(part) for part in node.parts if not isinstance(part, str)), default=HARMLESS)
            case n.Call():
                function = FUNCTIONS.get(node.name)
                if (
                    function is None
                    or function.special
                    or function.runs_code
                    or function.changes
                    or function.right
                    or function.alias
                ):
                    return DISTURBING
                return max((self.rank(argument) for argument in node.arguments), default=HARMLESS) or HARMLESS
            case n.Chain():
                ranks = [self.rank(node.head)]
                for link in node.links:
                    if not isinstance(link, _HARMLESS_LINKS):
                        return DISTURBING
                    if isinstance(link, n.GetItem):
                        ranks.append(self.rank(link.index))
                    elif isinstance(link, n.GetSlice):
                        ranks += [self.rank(part) for part in (link.first, link.stop, link.step) if part]
                return max(HARMLESS, *ranks)
            case _:
                return DISTURBING

    # --- statements --------------------------------------------------------------------------------------------------

    def tail(self, node: n.Node) -> None:
        """Compile a node whose value the function returns."""
        match node:
            case n.Block():
                for statement in node.statements[:-1]:
                    self.statement(statement)
                self.tail(node.statements[-1])
            case n.Parenthesis():
                self.tail(node.inner)
            case n.If():
                test = self.expression(node.test)
                if node.orelse is None:
                    test = self.spill(test)
                body = self.sub_block(lambda: self.tail(node.body))
                orelse = node.orelse
                rest: list[ast.stmt] = [ast.Return(test)]
                if orelse is not None:
                    rest = self.sub_block(lambda: self.tail(orelse))
                self.emit(ast.If(test, body, rest))
            case n.Ternary():
                test = self.expression(node.test)
                yes = self.sub_block(lambda: self.tail(node.yes))
                self.emit(ast.If(test, yes, self.sub_block(lambda: self.tail(node.no))))
            case n.Return():
                self.statement(node)
            case _:
                value = self.expression(node)
                self.emit(ast.Return(value))

    def statement(self, node: n.Node) -> None:
        """Compile a node whose value nobody wants."""
        match node:
            case n.Block():
                for statement in node.statements:
                    self.statement(statement)
            case n.Parenthesis():
                self.statement(node.inner)
            case n.If():
                test = self.expression(node.test)
                body = self.sub_block(lambda: self.statement(node.body))
                orelse = node.orelse
                rest = self.sub_block(lambda: self.statement(orelse)) if orelse is not None else []
                self.emit(ast.If(test, body or [ast.Pass()], rest))
            case n.Ternary():
                test = self.expression(node.test)
                yes = self.sub_block(lambda: self.statement(node.yes))
                no = self.sub_block(lambda: self.statement(node.no))
                self.emit(ast.If(test, yes or [ast.Pass()], no))
            case n.Logical():
                test = self.expression(node.left)
                right = self.sub_block(lambda: self.statement(node.right))
                if node.operator == "||":
                    test = ast.UnaryOp(ast.Not(), test)
                self.emit(ast.If(test, right or [ast.Pass()], []))
            case n.For():
                self.loop(node, None)
            case n.Assign(operator=""):
                first, mark = self.temporaries + 1, len(self.block)
                value = self.expression(node.value)
                self.emit(ast.Assign([self.store(node.name)], value))
                self.assigned.add(node.name)
                self.let_go(first, mark)
            case n.Return():
                if node.deep is not None:
                    self.emit(ast.Expr(py_call("set_result_deep", CTX, self.expression(node.deep))))
                if node.flags is not None:
                    self.emit(ast.Expr(py_call("set_result_flags", CTX, self.expression(node.flags))))
                value = NIL if node.value is None else self.expression(node.value)
                if self.detached:
                    self.emit(ast.Raise(py_call("ReturnSignal", value), None))
                else:
                    self.emit(ast.Return(value))
            case n.Break():
                self.emit(ast.Break() if self.loops else ast.Raise(py_call("BreakSignal"), None))
            case n.Continue():
                self.emit(ast.Continue() if self.loops else ast.Raise(py_call("ContinueSignal"), None))
            case _:
                first, mark = self.temporaries + 1, len(self.block)
                value = self.expression(node)
                if isinstance(value, ast.Name):
                    self.unassign(value.id)
                elif not isinstance(value, ast.Constant):
                    self.emit(ast.Expr(value))
                self.let_go(first, mark)

    def unassign(self, temporary: str) -> None:
        """Nobody wants the value that was just put into a temporary."""
        last = self.block[-1] if self.block else None
        if isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name) and last.targets[0].id == temporary:
            self.block[-1] = ast.Expr(last.value)

    def let_go(self, first: int, mark: int) -> None:
        """After a statement: empty the temporaries from number `first` on that were assigned since the place `mark` of
        the block. A thing is to be gone when the last reference to it goes."""
        if self.temporaries >= first:
            used = sorted(stored_temporaries(self.block[mark:], first))
            if used:
                self.emit(ast.Assign([ast.Name(name, STORE) for name in used], NIL))

    def store(self, name: str) -> ast.expr:
        """A variable as the target of an assignment."""
        if self.locals is not None:
            return ast.Name(f"v_{name}", STORE)
        return ast.Subscript(FRAME, py_const(name), STORE)

    def loop(self, node: n.For, result: str | None) -> None:
        """A `for`; its value goes into the temporary `result`."""
        if self.blocks >= MAX_BLOCKS:
            return self.outline(node, result)
        iterable = self.spill(self.expression(node.iterable))
        self.emit(ast.Expr(py_call("begin_for", iterable)))
        names = node.names
        targets = [self.store(name) for name in names]
        target = targets[0] if len(targets) == 1 else ast.Tuple(targets, STORE)
        outer = (self.block, set(self.assigned), self.loops, self.blocks)
        self.block = []
        self.assigned |= set(names)
        self.loops, self.blocks = 1, self.blocks + 2
        self.statement(node.body)
        body = self.block
        self.block, self.assigned, self.loops, self.blocks = outer
        loop = ast.For(target, py_call("iterate", iterable, py_const(len(names))), body or [ast.Pass()], [])
        self.emit(ast.Try([loop], [], [], [ast.Expr(py_call("end_for", iterable))]))
        if result is not None:
            empty = ast.IfExp(iterable, NIL, iterable)
            self.emit(py_assign(result, empty))
        return None

    def outline(self, node: n.Node, result: str | None) -> None:
        """Compile a node into a Python function of its own, because Python nests no more blocks here."""
        name = self.temporary()
        outer = (self.block, set(self.assigned), self.loops, self.blocks, self.detached)
        self.block, self.loops, self.blocks, self.detached = [], 0, 0, True
        value = self.expression(node)
        self.emit(ast.Return(value))
        body = self.block
        self.block, self.assigned, loops, self.blocks, self.detached = outer
        self.loops = loops
        self.signals = True
        self.emit(ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, []))
        call = py_assign(result or self.temporary(), py_call(name))
        if loops:
            self.emit(
                ast.Try(
                    [call],
                    [
                        ast.ExceptHandler(py_name("BreakSignal"), None, [ast.Break()]),
                        ast.ExceptHandler(py_name("ContinueSignal"), None, [ast.Continue()]),
                    ],
                    [],
                    [],
                )
            )
        else:
            self.emit(call)

    def guarded(self, build: Callable[[], None], cleanup: list[ast.stmt]) -> None:
        """`try` what `build` emits, `finally` the clean-up."""
        if self.blocks >= MAX_BLOCKS:
            return self._guarded_apart(build, cleanup)
        self.blocks += 1
        outer, self.block = self.block, []
        build()
        body = self.block
        self.block = outer
        self.blocks -= 1
        self.emit(ast.Try(body or [ast.Pass()], [], [], cleanup))
        return None

    def _guarded_apart(self, build: Callable[[], None], cleanup: list[ast.stmt]) -> None:
        """The same in a Python function of its own, whose temporaries the code after it can read."""
        name = self.temporary()
        outer = (self.block, self.loops, self.blocks, self.detached)
        first = self.temporaries + 1
        self.block, self.loops, self.blocks, self.detached = [], 0, 0, True
        build()
        body: list[ast.stmt] = [ast.Try(self.block or [ast.Pass()], [], [], cleanup)]
        self.block, loops, self.blocks, self.detached = outer
        self.loops = loops
        self.signals = True
        made = sorted(stored_temporaries(body, first))
        if made:
            for temporary in made:
                self.emit(py_assign(temporary, NIL))
            body.insert(0, ast.Nonlocal(made))
        self.emit(ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, []))
        call = ast.Expr(py_call(name))
        if loops:
            handlers = [
                ast.ExceptHandler(py_name("BreakSignal"), None, [ast.Break()]),
                ast.ExceptHandler(py_name("ContinueSignal"), None, [ast.Continue()]),
            ]
            self.emit(ast.Try([call], handlers, [], []))
        else:
            self.emit(call)
