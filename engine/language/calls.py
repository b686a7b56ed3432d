"""Calls: arguments are evaluated and checked one by one, in the specification's order (spec/language.md, section 6)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Set

from engine.functions.registry import FUNCTIONS, STEPWISE, Function
from engine.language import nodes as n
from engine.language.callees import Site, site_of
from engine.language.lookahead import MAX_BLOCKS
from engine.language.python_ast import CTX, FRAME, LOAD, NIL, STORE, py_assign, py_call, py_const, py_method, py_name
from engine.language.statements import DISTURBING, INERT, Statements
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.thing import Thing

__all__ = ["Calls"]

_NONE: frozenset[int] = frozenset()

_KINDS: dict[type[n.Node], type] = {
    n.ClosureLiteral: Closure,
    n.ListLiteral: List,
    n.ThingLiteral: Thing,
    n.Template: str,
}
"""What the value of a node is sure to be."""


def _kind(node: n.Node) -> type | None:
    return type(node.value) if type(node) is n.Constant else _KINDS.get(type(node))


def _is_closure(value: ast.expr) -> ast.expr:
    return ast.Compare(ast.Attribute(value, "__class__", LOAD), [ast.Is()], [py_name("Closure")])


class Calls(Statements):
    """What compiles calls of functions and methods."""

    # --- calls -------------------------------------------------------------------------------------------------------

    def call_method(self, value: ast.expr, link: n.CallMethod) -> ast.expr:
        name, arguments = link.name, link.arguments
        ranks = [self.rank(argument) for argument in arguments]
        stepwise = name in STEPWISE and len(arguments) > 1 and any(ranks[1:])
        site = site_of(name, tuple(map(_kind, arguments)), stepwise)
        methods = site.table.values()
        lazy = {
            index
            for method in methods
            for index in range(len(arguments))
            if method.arguments and method.argument(index).lazy
        }
        if not lazy and all(rank == INERT for rank in ranks):
            return self._call_ready(value, site, self.expressions(arguments))
        receiver = self.spill(value)
        callee = self.spill(py_call("find_method", CTX, receiver, self.unit.constant(site)))
        locking = any(method.mutates or method.locks for method in methods)
        unchecked = {
            index
            for index in range(len(arguments))
            if all(method.takes_any(index) for method in methods if method.arguments)
        }
        return self.invoke(callee, receiver, arguments, lazy, locking and DISTURBING in ranks, unchecked)

    def _call_ready(self, receiver: ast.expr, site: Site, arguments: list[ast.expr]) -> ast.expr:
        """A call of a method with arguments that can be repeated."""
        if not self.runs_often or not site.ready:
            return py_call("call_method", CTX, receiver, self.unit.constant(site), *arguments)
        again = receiver
        if not isinstance(receiver, ast.Name):
            name = self.temporary()
            receiver, again = ast.NamedExpr(ast.Name(name, STORE), receiver), py_name(name)
        run = f"i{self.temporary()[1:]}"
        ready = ast.Call(self.unit.constant(site.ready_for), [ast.Attribute(receiver, "__class__", LOAD)], [])
        found = ast.Compare(ast.NamedExpr(ast.Name(run, STORE), ready), [ast.IsNot()], [NIL])
        slow = py_call("call_method", CTX, again, self.unit.constant(site), *arguments)
        return ast.IfExp(found, py_call(run, CTX, again, *arguments), slow)

    def invoke(
        self,
        callee: ast.expr,
        receiver: ast.expr,
        arguments: list[n.Node],
        lazy: set[int],
        locking: bool,
        unchecked: Set[int] = _NONE,
    ) -> ast.expr:
        """Evaluate and check arguments one by one, then call what was found."""

        def checked(index: int, value: ast.expr) -> ast.expr:
            return value if index in unchecked else py_method(callee, "check", py_const(index), value)

        def argument(index: int) -> Callable[[], ast.expr]:
            node = arguments[index]

            def build() -> ast.expr:
                if index in lazy:
                    return py_method(callee, "accept", py_const(index), self.thunk(node))
                mark = len(self.block)
                value = self.expression(node)
                if len(self.block) == mark:
                    if self.rank(node) == INERT:
                        return checked(index, value)
                    return ast.IfExp(self._takes(callee, index), checked(index, value), NIL)
                # It needs statements, which only run when the callee takes the argument.
                statements = self.block[mark:]
                del self.block[mark:]
                result = self.temporary()
                statements.append(py_assign(result, checked(index, value)))
                self.emit(ast.If(self._takes(callee, index), statements, [py_assign(result, NIL)]))
                return py_name(result)

            return build

        built: list[ast.expr] = []
        assigned = set(self.assigned)
        if locking:
            self.emit(ast.Expr(py_method(callee, "lock", receiver)))

            def evaluate() -> None:
                for index in range(len(arguments)):
                    result = self.temporary()
                    self.emit(py_assign(result, argument(index)()))
                    built.append(py_name(result))

            self.guarded(evaluate, [ast.Expr(py_method(callee, "unlock", receiver))])
        else:
            built = self.in_order([argument(index) for index in range(len(arguments))])
        self.assigned = assigned  # an argument that is not taken assigns nothing
        return py_method(callee, "run", CTX, receiver, *built)

    def _takes(self, callee: ast.expr, index: int) -> ast.expr:
        return ast.Compare(ast.Attribute(callee, "takes", LOAD), [ast.Gt()], [py_const(index)])

    def thunk(self, node: n.Node) -> ast.expr:
        """A Python function without parameters that evaluates the node."""
        outer = (self.block, set(self.assigned), self.loops, self.blocks, self.detached)
        self.block, self.loops, self.blocks, self.detached = [], 0, 0, True
        value = self.expression(node)
        statements = self.block
        self.block, self.assigned, self.loops, self.blocks, self.detached = outer
        nothing = ast.arguments([], [], None, [], [], None, [])
        if not statements:
            return ast.Lambda(nothing, value)
        self.signals = True
        name = self.temporary()
        self.emit(ast.FunctionDef(name, nothing, [*statements, ast.Return(value)], []))
        return py_name(name)

    def call(self, node: n.Call) -> ast.expr:
        name, arguments = node.name, node.arguments
        function = FUNCTIONS.get(name)
        if function is None or function.alias:
            lazy = (
                {index for index in range(len(arguments)) if function.arguments and function.argument(index).lazy}
                if function is not None
                else set()
            )
            disturbing = any(self.rank(argument) == DISTURBING for argument in arguments)
            if self.runs_often and not lazy and self.blocks < MAX_BLOCKS:
                return self._call_by_name(node, disturbing)
            callee = self.spill(py_call("find_function", CTX, py_const(name), py_const(len(arguments))))
            return self.invoke(callee, NIL, arguments, lazy, disturbing)
        if self.unit.scope not in function.scopes:
            return py_call("wrong_scope", CTX, py_const(name))
        if function.right:
            self.emit(ast.Expr(py_call("require_right", CTX, self.unit.constant(function))))
        count = len(arguments)
        if count < function.least or (function.most is not None and count > function.most):
            return py_call("wrong_count", py_const(name), py_const(count))
        special = SPECIAL.get(name)
        if special is not None:
            return special(self, node)
        return self.call_builtin(function, arguments)

    def _call_by_name(self, node: n.Call, locking: bool) -> ast.expr:
        """Evaluate and check arguments one by one, then call what a name means: a closure without a detour."""
        name, arguments = node.name, node.arguments
        inert = all(self.rank(argument) == INERT for argument in arguments)
        if inert and self.locals is None and name in self.assigned:
            return self._call_variable(name, self.expressions(arguments))
        callee = self.spill(py_call("find_function", CTX, py_const(name), py_const(len(arguments))))
        flag = f"i{self.temporary()[1:]}"
        plain = py_name(flag)
        other = ast.UnaryOp(ast.Not(), plain)
        self.emit(py_assign(flag, _is_closure(callee)))
        values = [self.temporary() for _ in arguments]
        checks = [
            py_assign(value, py_method(callee, "check", py_const(index), py_name(value)))
            for index, value in enumerate(values)
        ]

        def evaluate() -> None:
            for index, argument in enumerate(arguments):

                def build(value: str = values[index], argument: n.Node = argument) -> None:
                    self.emit(py_assign(value, self.expression(argument)))

                if self.rank(argument) == INERT:
                    build()
                    self.emit(ast.If(other, [checks[index]], []))
                else:
                    body = self.sub_block(build)
                    skipped: list[ast.stmt] = [py_assign(values[index], NIL)]
                    self.emit(ast.If(self._takes(callee, index), [*body, ast.If(other, [checks[index]], [])], skipped))

        assigned = set(self.assigned)
        if inert:
            for value, argument in zip(values, arguments, strict=True):
                self.emit(py_assign(value, self.expression(argument)))
            if checks:
                self.emit(ast.If(other, list(checks), []))
        elif locking:
            self.emit(ast.If(other, [ast.Expr(py_method(callee, "lock", NIL))], []))
            self.guarded(evaluate, [ast.If(other, [ast.Expr(py_method(callee, "unlock", NIL))], [])])
        else:
            evaluate()
        self.assigned = assigned  # an argument that is not taken assigns nothing
        result = self.temporary()
        names = [py_name(value) for value in values]
        detour = py_assign(result, py_method(callee, "run", CTX, NIL, *names))
        run = self._run_closure(callee, ast.Attribute(callee, "code", LOAD), result, names)
        self.emit(ast.If(plain, run, [detour]))
        return py_name(result)

    def _call_variable(self, name: str, arguments: list[ast.expr]) -> ast.expr:
        """A call by the name of a variable that is set, with arguments that can be repeated."""
        callee, result = self.temporary(), self.temporary()
        code, scope = (f"i{self.temporary()[1:]}" for _ in range(2))  # these need not be emptied after the statement

        def named(temporary: str, value: ast.expr, attribute: str) -> ast.expr:
            return ast.Attribute(ast.NamedExpr(ast.Name(temporary, STORE), value), attribute, LOAD)

        params = named(code, ast.Attribute(py_name(callee), "code", LOAD), "count")
        tests = [
            _is_closure(ast.NamedExpr(ast.Name(callee, STORE), ast.Subscript(FRAME, py_const(name), LOAD))),
            ast.Compare(params, [ast.GtE()], [py_const(len(arguments))]),
            ast.Compare(py_const(name), [ast.NotIn()], [named(scope, ast.Attribute(CTX, "scope", LOAD), "types")]),
            ast.Compare(py_const(name), [ast.NotIn()], [ast.Attribute(py_name(scope), "enums", LOAD)]),
            ast.Compare(py_const(name), [ast.NotIn()], [ast.Attribute(py_name(scope), "procedures", LOAD)]),
        ]
        other = py_assign(result, py_call("call_function", CTX, py_const(name), *arguments))
        run = self._run_closure(py_name(callee), py_name(code), result, arguments)
        self.emit(ast.If(ast.BoolOp(ast.And(), tests), run, [other]))
        return py_name(result)

    def _run_closure(self, closure: ast.expr, code: ast.expr, result: str, arguments: list[ast.expr]) -> list[ast.stmt]:
        """Run a closure that has parameters for all arguments; its value goes into the temporary `result`."""
        count = ast.Attribute(closure, "active", STORE)
        run: list[ast.stmt] = [py_assign(result, ast.Call(ast.Attribute(code, "run", LOAD), [CTX, *arguments], []))]
        full = ast.Compare(ast.Attribute(closure, "active", LOAD), [ast.GtE()], [ast.Attribute(closure, "limit", LOAD)])
        counted: list[ast.stmt] = [
            ast.If(full, [ast.Expr(py_method(closure, "admit", CTX))], []),
            ast.AugAssign(count, ast.Add(), py_const(1)),
            ast.Try(run, [], [], [ast.AugAssign(count, ast.Sub(), py_const(1))]),
        ]
        return [ast.If(ast.Attribute(code, "direct", LOAD), run, counted)]

    def call_builtin(self, function: Function, arguments: list[n.Node]) -> ast.expr:
        declared = self.unit.constant(function)

        def argument(index: int) -> Callable[[], ast.expr]:
            node = arguments[index]
            if function.argument(index).lazy:
                return lambda: self.thunk(node)
            if function.classes(index) is None:
                return lambda: self.expression(node)
            return lambda: py_method(declared, "check", py_const(index), self.expression(node))

        built = self.in_order([argument(index) for index in range(len(arguments))])
        run = ast.Call(self.unit.constant(function.run), [CTX, *built], [])
        return self.spill(run) if function.runs_code else run

    # --- functions with rules of their own ---------------------------------------------------------------------------

    def special_value(self, node: n.Call) -> ast.expr:
        """`wse`, whose work is done by the analysis, and `nse`, which also holds back what the analysis can't see."""
        if node.name == "wse":
            return self.expression(node.arguments[0]) if node.arguments else NIL
        values = [lambda argument=argument: self.expression(argument) for argument in node.arguments]
        held, *value = self.in_order([lambda: py_method(CTX, "hold_back"), *values])
        return ast.BoolOp(ast.Or(), [held, *value]) if value else held

    def special_try(self, node: n.Call) -> ast.expr:
        if self.blocks >= MAX_BLOCKS:
            result = self.temporary()
            self.outline(node, result)
            return py_name(result)
        expression, *errors = node.arguments
        result = self.temporary()
        self.blocks += 1

        def attempt() -> None:
            value = self.expression(expression)
            self.emit(py_assign(result, value))

        loops, self.loops = self.loops, 0  # a `break` in it ends the `try`
        body = self.sub_block(attempt)
        self.loops = loops

        def handle() -> None:
            self.emit(py_assign(result, py_call("caught_error", py_name("failure"))))
            if not errors:
                return
            found = self.temporary()
            self.emit(py_assign(found, py_const(False)))
            for error in errors:

                def compare(error: n.Node = error) -> None:
                    self.emit(py_assign(found, py_call("same_error", py_name(result), self.expression(error))))

                self.emit(ast.If(ast.UnaryOp(ast.Not(), py_name(found)), self.sub_block(compare), []))
            self.emit(ast.If(ast.UnaryOp(ast.Not(), py_name(found)), [ast.Raise(None, None)], []))

        handler = self.sub_block(handle)
        self.blocks -= 1
        stop = ast.ExceptHandler(
            ast.Tuple([py_name("BreakSignal"), py_name("ContinueSignal")], LOAD), None, [py_assign(result, NIL)]
        )
        self.emit(self._try_language(body, handler, stop))
        return py_name(result)

    @staticmethod
    def _try_language(body: list[ast.stmt], handler: list[ast.stmt], *others: ast.ExceptHandler) -> ast.stmt:
        failures = ast.Tuple([py_name("LanguageError"), py_name("RecursionError")], LOAD)
        return ast.Try(body, [ast.ExceptHandler(failures, "failure", handler), *others], [], [])

    def special_alt_raise(self, node: n.Call) -> ast.expr:
        if self.blocks >= MAX_BLOCKS:
            result = self.temporary()
            self.outline(node, result)
            return py_name(result)
        expression, *rest = node.arguments
        result = self.temporary()
        self.blocks += 1
        body = self.sub_block(lambda: self.emit(py_assign(result, self.expression(expression))))
        declared = self.unit.constant(FUNCTIONS["alt_raise"])

        def handle() -> None:
            builders = [
                lambda index=index, part=part: py_method(declared, "check", py_const(index), self.expression(part))
                for index, part in enumerate(rest, 1)
            ]
            built = self.in_order(builders)
            self.emit(ast.Expr(py_call("raise_instead", py_name("failure"), *built)))

        handler = self.sub_block(handle)
        self.blocks -= 1
        self.emit(self._try_language(body, handler))
        return py_name(result)

    def special_assert(self, node: n.Call) -> ast.expr:
        expression, *message = node.arguments
        test = self.expression(expression)
        source = self.unit.text[expression.start : expression.end]

        def fail() -> None:
            text = self.expression(message[0]) if message else NIL
            self.emit(ast.Expr(py_call("fail_assertion", self.unit.constant(source), text, py_const(bool(message)))))

        self.emit(ast.If(ast.UnaryOp(ast.Not(), test), self.sub_block(fail), []))
        return NIL

    def special_type_assert(self, node: n.Call) -> ast.expr:
        expression, names, *message = node.arguments
        value, wanted = (self.spill(built) for built in self.expressions((expression, names)))

        def fail() -> None:
            text = self.expression(message[0]) if message else NIL
            self.emit(ast.Expr(py_call("fail_type_assertion", value, wanted, text, py_const(bool(message)))))

        test = ast.UnaryOp(ast.Not(), py_call("has_type", value, wanted))
        self.emit(ast.If(test, self.sub_block(fail), []))
        return NIL

    def special_timeit(self, node: n.Call) -> ast.expr:
        begin = self.temporary()
        self.emit(py_assign(begin, py_call("timer", CTX)))
        value = self.spill(self.expression(node.arguments[0]))
        return py_call("timed", CTX, py_name(begin), value)


SPECIAL: dict[str, Callable[[Calls, n.Call], ast.expr]] = {
    "nse": Calls.special_value,
    "wse": Calls.special_value,
    "try": Calls.special_try,
    "alt_raise": Calls.special_alt_raise,
    "assert": Calls.special_assert,
    "type_assert": Calls.special_type_assert,
    "timeit": Calls.special_timeit,
}
"""Functions that evaluate their arguments in ways of their own."""
