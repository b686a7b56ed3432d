"""Nodes to Python code.

A text becomes one Python function for the query and one for each closure literal in it, built as `ast` nodes and
compiled together. An expression of the language compiles to a Python expression; what Python has no expression for
(loops, `return` in the middle of a sum, arguments that are checked one by one) becomes statements in front of it, and
operands that were to be evaluated earlier move into temporaries, so that everything happens in the order written.

Variables live in dicts, `ctx.frames`, because closures see the variables of whoever calls them. A closure that calls
nothing which could look at them keeps them in Python's local variables instead (`_Locals`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import LanguageError, ValueFailed
from engine.functions import flow
from engine.functions.registry import FUNCTIONS, METHODS, STEPWISE, Function, Method
from engine.language import nodes as n
from engine.language import runtime
from engine.language.analysis import analyse
from engine.language.operators import BINARY, UNARY
from engine.language.parser import parse
from engine.values.closure import ClosureCode
from engine.values.error import Error
from engine.values.regex import compiled_regex

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["GENERATED", "Compiled", "compile_closure", "compile_query"]

GENERATED = "<query>"
"""The file name of generated code."""

sys.setrecursionlimit(max(sys.getrecursionlimit(), 12_000))

MAX_BLOCKS = 12  # loops and `try`s inside one another in one Python function; CPython refuses more than 20
MAX_EXPRESSION_LINKS = 16  # links of a chain in one Python expression

_BINARY_NAMES = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "<<": "shift_left",
    ">>": "shift_right", "&": "bit_and", "^": "bit_xor", "|": "bit_or", "==": "equal", "!=": "not_equal",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
}  # fmt: skip
_UNARY_NAMES = {"+": "plus", "-": "minus", "~": "invert"}

GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "LanguageError": LanguageError,
    "RecursionError": RecursionError,
    "ReturnSignal": runtime.ReturnSignal,
    "caught": Error.caught,
    **{_BINARY_NAMES[symbol]: operator for symbol, operator in BINARY.items()},
    **{_UNARY_NAMES[symbol]: operator for symbol, operator in UNARY.items()},
    **{name: getattr(module, name) for module in (runtime, flow) for name in dir(module) if not name.startswith("_")},
}
"""What generated code can name."""


@dataclass(slots=True)
class Compiled:
    """A query, ready to run: `run(ctx, variables)`; `changes`: does it need a change?"""

    run: Callable[[Context, dict[str, Value]], Value]
    changes: bool
    size: int


class BreakSignal(Exception):
    """A `break` in outlined code, for the loop around it."""


class ContinueSignal(Exception):
    """A `continue` in outlined code, for the loop around it."""


GLOBALS["BreakSignal"] = BreakSignal
GLOBALS["ContinueSignal"] = ContinueSignal


def compile_query(text: str, scope: str) -> Compiled:
    """Compile a query for a kind of scope (`"C"`, `"T"`, `"N"`). SyntaxFailed when it does not parse."""
    query = parse(text)
    changes = analyse(query, scope)
    unit = _Unit(text, scope)
    function = _Function(unit, "query", None)
    function.compile_body(n.Block(query.statements) if query.statements else n.Constant(None))
    run, *_ = unit.finish()
    return Compiled(run, changes, 600 + 24 * len(text))


def compile_closure(source: str, scope: str = "C") -> ClosureCode:
    """Compile a closure of a kind of scope from its text, as it stands in the log or in `closure('…')`."""
    from engine.language.formatter import parse_closure

    literal = parse_closure(source)
    analyse(literal, scope)
    unit = _Unit(source, scope)
    code = unit.closure(literal)
    unit.finish()
    return code


# --- building `ast` nodes --------------------------------------------------------------------------------------------

_LOAD = ast.Load()
_STORE = ast.Store()


def _name(name: str) -> ast.expr:
    return ast.Name(name, _LOAD)


def _const(value: Any) -> ast.expr:
    return ast.Constant(value)


def _call(function: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(_name(function), list(arguments), [])


def _method(target: ast.expr, name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(target, name, _LOAD), list(arguments), [])


def _walrus(name: str, value: ast.expr) -> ast.expr:
    return ast.NamedExpr(ast.Name(name, _STORE), value)


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, _STORE)], value)


CTX = _name("ctx")
FRAME = _name("v")
NIL = _const(None)


class _Unit:
    """Everything compiled together: the functions, and the Python objects that they refer to."""

    def __init__(self, text: str, scope: str) -> None:
        self.text = text
        self.scope = scope
        self.functions: list[ast.stmt] = []
        self.names: list[str] = []
        self.constants: dict[int, tuple[str, Any]] = {}
        self.codes: list[tuple[ClosureCode, str]] = []

    def constant(self, value: Any) -> ast.expr:
        """A name for a Python object."""
        entry = self.constants.get(id(value))
        if entry is None:
            entry = self.constants[id(value)] = (f"k{len(self.constants)}", value)
        return _name(entry[0])

    def closure(self, literal: n.ClosureLiteral) -> ClosureCode:
        """Compile a closure literal."""
        code = ClosureCode(tuple(literal.params), self.text[literal.start : literal.end], literal.has_effects)
        name = f"c{len(self.codes)}"
        self.codes.append((code, name))
        _Function(self, name, literal).compile_body(literal.body)
        return code

    def finish(self) -> list[Callable[..., Any]]:
        """Compile what was gathered; the functions, in order of definition with the query's first."""
        self.functions.sort(key=lambda function: function.name != "query")  # type: ignore[attr-defined]
        names = [function.name for function in self.functions]  # type: ignore[attr-defined]
        parameters = [ast.arg(name) for name, _ in self.constants.values()]
        result = ast.Return(ast.Tuple([_name(name) for name in names], _LOAD))
        make = ast.FunctionDef(
            "make", ast.arguments([], parameters, None, [], [], None, []), [*self.functions, result], []
        )
        module = ast.Module([make], [])
        _locate(module)
        namespace: dict[str, Any] = {}
        exec(compile(module, GENERATED, "exec", dont_inherit=True), GLOBALS, namespace)
        functions: list[Callable[..., Any]] = list(namespace["make"](*(value for _, value in self.constants.values())))
        by_name = dict(zip(names, functions, strict=True))
        for code, name in self.codes:
            code.run = by_name[name]
        return functions


def _locate(root: ast.AST) -> None:
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


INERT, HARMLESS, DISTURBING = range(3)
"""What evaluating an expression may do: nothing but give a value; fail; change things or run other code."""

NO_METHODS: dict[type, Method] = {}

_HARMLESS_LINKS = (n.GetProperty, n.GetItem, n.GetSlice)


class _Function:
    """One Python function being built."""

    def __init__(self, unit: _Unit, name: str, literal: n.ClosureLiteral | None) -> None:
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

    # --- the function ------------------------------------------------------------------------------------------------

    def compile_body(self, body: n.Node) -> None:
        """Compile the function and add it to the unit."""
        if self.literal is not None and _is_leaf(body):
            self.locals = set(self.literal.params) | _assigned_names(body)
        self.tail(body)
        statements = self.block
        if self.signals:
            handler = ast.ExceptHandler(
                _name("ReturnSignal"), "signal", [ast.Return(ast.Attribute(_name("signal"), "value", _LOAD))]
            )
            statements = [ast.Try(statements, [handler], [], [])]
        if self.literal is None:
            arguments = ast.arguments([], [ast.arg("ctx"), ast.arg("v")], None, [], [], None, [])
        else:
            params = list(dict.fromkeys(self.literal.params))
            slots = [f"v_{param}" for param in params]
            arguments = ast.arguments(
                [], [ast.arg("ctx"), *(ast.arg(slot) for slot in self._parameter_slots())], None, [], [], None,
                [NIL] * len(self.literal.params),
            )  # fmt: skip
            if self.locals is None:
                frame = ast.Dict([_const(param) for param in params], [_name(slot) for slot in slots])
                statements = [
                    ast.Assign([ast.Name("v", _STORE)], frame),
                    ast.Expr(_method(ast.Attribute(CTX, "frames", _LOAD), "append", FRAME)),
                    ast.Try(statements, [], [], [ast.Expr(_method(ast.Attribute(CTX, "frames", _LOAD), "pop"))]),
                ]
            else:
                unset = self.locals - set(params)
                statements = [*(_assign(f"v_{name}", _name("UNSET")) for name in sorted(unset)), *statements]
        self.unit.functions.append(ast.FunctionDef(self.name, arguments, statements or [ast.Pass()], []))

    def _parameter_slots(self) -> list[str]:
        """The Python parameters: of equal names the last one counts."""
        assert self.literal is not None
        params = self.literal.params
        return [
            f"v_{param}" if param not in params[index + 1 :] else f"unused_{index}"
            for index, param in enumerate(params)
        ]

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
        self.emit(_assign(name, value))
        return _name(name)

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
                    self.emit(ast.Expr(_call("set_result_deep", CTX, self.expression(node.deep))))
                if node.flags is not None:
                    self.emit(ast.Expr(_call("set_result_flags", CTX, self.expression(node.flags))))
                value = NIL if node.value is None else self.expression(node.value)
                if self.detached:
                    self.emit(ast.Raise(_call("ReturnSignal", value), None))
                else:
                    self.emit(ast.Return(value))
            case n.Break():
                self.emit(ast.Break() if self.loops else ast.Raise(_call("BreakSignal"), None))
            case n.Continue():
                self.emit(ast.Continue() if self.loops else ast.Raise(_call("ContinueSignal"), None))
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
            used = sorted(_stored_temporaries(self.block[mark:], first))
            if used:
                self.emit(ast.Assign([ast.Name(name, _STORE) for name in used], NIL))

    def store(self, name: str) -> ast.expr:
        """A variable as the target of an assignment."""
        if self.locals is not None:
            return ast.Name(f"v_{name}", _STORE)
        return ast.Subscript(FRAME, _const(name), _STORE)

    def loop(self, node: n.For, result: str | None) -> None:
        """A `for`; its value goes into the temporary `result`."""
        if self.blocks >= MAX_BLOCKS:
            return self.outline(node, result)
        iterable = self.spill(self.expression(node.iterable))
        self.emit(ast.Expr(_call("begin_for", iterable)))
        names = node.names
        targets = [self.store(name) for name in names]
        target = targets[0] if len(targets) == 1 else ast.Tuple(targets, _STORE)
        outer = (self.block, set(self.assigned), self.loops, self.blocks)
        self.block = []
        self.assigned |= set(names)
        self.loops, self.blocks = 1, self.blocks + 2
        self.statement(node.body)
        body = self.block
        self.block, self.assigned, self.loops, self.blocks = outer
        loop = ast.For(target, _call("iterate", iterable, _const(len(names))), body or [ast.Pass()], [])
        self.emit(ast.Try([loop], [], [], [ast.Expr(_call("end_for", iterable))]))
        if result is not None:
            empty = ast.IfExp(iterable, NIL, iterable)
            self.emit(_assign(result, empty))
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
        call = _assign(result or self.temporary(), _call(name))
        if loops:
            self.emit(
                ast.Try(
                    [call],
                    [
                        ast.ExceptHandler(_name("BreakSignal"), None, [ast.Break()]),
                        ast.ExceptHandler(_name("ContinueSignal"), None, [ast.Continue()]),
                    ],
                    [],
                    [],
                )
            )
        else:
            self.emit(call)

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
        return _const(value)

    def int_overflow(self, node: n.IntOverflow) -> ast.expr:
        return _call("int_overflow", _const(node.source))

    def regex(self, node: n.RegexLiteral) -> ast.expr:
        try:
            return self.unit.constant(compiled_regex(node.pattern, node.flags))
        except ValueFailed:  # to be raised when it is evaluated
            return _call("compiled_regex", self.unit.constant(node.pattern), _const(node.flags))

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
                builders.append(lambda part=part: _call("text_of", CTX, self.expression(part)))  # type: ignore[misc]
        return _call("join_texts", ast.List(self.in_order(builders), _LOAD))

    def name_value(self, node: n.Name) -> ast.expr:
        return self.read(node.name)

    def read(self, name: str) -> ast.expr:
        if self.locals is not None:
            if name not in self.locals:
                return _call("read", CTX, _const(name))
            slot = _name(f"v_{name}")
            if name in self.assigned:
                return slot
            unset = ast.Compare(slot, [ast.IsNot()], [_name("UNSET")])
            return ast.IfExp(unset, slot, _call("read", CTX, _const(name)))
        if name in self.assigned:
            return ast.Subscript(FRAME, _const(name), _LOAD)
        return _call("read", CTX, _const(name))

    def assign(self, node: n.Assign) -> ast.expr:
        value = self.expression(node.value)
        if node.operator:
            if self.locals is not None and node.name in self.locals:
                return self._update_local(node, value)
            return self.spill(_call("update_variable", CTX, _const(node.name), _const(node.operator), value))
        value = self.spill(value)
        self.emit(ast.Assign([self.store(node.name)], value))
        self.assigned.add(node.name)
        return value

    def _update_local(self, node: n.Assign, value: ast.expr) -> ast.expr:
        """`name op= value` where the variable may be a Python local: if it is set; else it is one of a caller's."""
        value = self.spill(value)
        slot = ast.Name(f"v_{node.name}", _LOAD)
        result = self.temporary()
        mine: list[ast.stmt] = [
            _assign(result, _call("update_value", CTX, slot, _const(node.operator), value)),
            _assign(f"v_{node.name}", _name(result)),
        ]
        if node.name in self.assigned:
            self.block.extend(mine)
        else:
            theirs = _assign(result, _call("update_variable", CTX, _const(node.name), _const(node.operator), value))
            self.emit(ast.If(ast.Compare(slot, [ast.IsNot()], [_name("UNSET")]), mine, [theirs]))
        return _name(result)

    def unary(self, node: n.Unary) -> ast.expr:
        value = self.expression(node.operand)
        for operator in reversed(node.operators):
            value = ast.UnaryOp(ast.Not(), value) if operator == "!" else _call(_UNARY_NAMES[operator], value)
        return value

    def binary(self, node: n.Binary) -> ast.expr:
        left, right = self.expressions((node.left, node.right))
        return _call(_BINARY_NAMES[node.operator], left, right)

    def logical(self, node: n.Logical) -> ast.expr:
        left = self.expression(node.left)
        result = self.temporary()
        value: list[ast.expr] = []

        def right() -> None:
            value.append(self.expression(node.right))
            if self.block:
                self.emit(_assign(result, value[0]))

        statements = self.sub_block(right)
        if not statements:
            return ast.BoolOp(ast.And() if node.operator == "&&" else ast.Or(), [left, value[0]])
        self.emit(_assign(result, left))
        test: ast.expr = _name(result)
        if node.operator == "||":
            test = ast.UnaryOp(ast.Not(), test)
        self.emit(ast.If(test, statements, []))
        return _name(result)

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
                self.emit(_assign(result, value))

            return build

        first = self.sub_block(branch(yes))
        second = self.sub_block(branch(no)) if no is not None else [_assign(result, test)]
        if len(first) == len(second) == 1:
            return ast.IfExp(test, values[0], values[1] if no is not None else test)
        self.emit(ast.If(test, first, second))
        return _name(result)

    def ternary(self, node: n.Ternary) -> ast.expr:
        return self.branches(self.expression(node.test), node.yes, node.no)

    def if_value(self, node: n.If) -> ast.expr:
        return self.branches(self.expression(node.test), node.body, node.orelse)

    def for_value(self, node: n.For) -> ast.expr:
        result = self.temporary()
        self.loop(node, result)
        return _name(result)

    def closure(self, node: n.ClosureLiteral) -> ast.expr:
        return _call("Closure", self.unit.constant(self.unit.closure(node)))

    def list_literal(self, node: n.ListLiteral) -> ast.expr:
        items = ast.List(self.expressions(node.items), _LOAD)
        if all(isinstance(item, n.Constant) for item in node.items):
            return _call("List", items)
        return _call("make_list", CTX, items)

    def pair_value(self, pair: n.Pair) -> ast.expr:
        if pair.value is not None:
            return self.expression(pair.value)
        if self.locals is not None and pair.name in self.locals:
            return self.read(pair.name)
        return _call("read_variable", CTX, _const(pair.name))

    def thing_literal(self, node: n.ThingLiteral) -> ast.expr:
        values = self.in_order([lambda pair=pair: self.pair_value(pair) for pair in node.pairs])  # type: ignore[misc]
        props = ast.Dict([_const(pair.name) for pair in node.pairs], values)
        return _call("make_thing", CTX, props)

    def anonymous(self, node: n.Anonymous) -> ast.expr:
        values = self.in_order([lambda pair=pair: self.pair_value(pair) for pair in node.pairs])  # type: ignore[misc]
        return _call("make_anonymous", CTX, ast.Dict([_const(pair.name) for pair in node.pairs], values))

    def instance(self, node: n.Instance) -> ast.expr:
        builder = self.spill(_call("begin_instance", CTX, _const(node.name)))

        def build() -> None:
            for pair in node.pairs:

                def put(pair: n.Pair = pair) -> None:
                    value = self.pair_value(pair)
                    self.emit(ast.Expr(_method(builder, "put", CTX, _const(pair.name), value)))

                self.emit(ast.If(_method(builder, "wants", _const(pair.name)), self.sub_block(put), []))

        if node.pairs:
            self.guarded(build, [ast.Expr(_method(builder, "close"))])
        else:
            self.emit(ast.Expr(_method(builder, "close")))
        return _method(builder, "finish", CTX)

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
        made = sorted(_stored_temporaries(body, first))
        if made:
            for temporary in made:
                self.emit(_assign(temporary, NIL))
            body.insert(0, ast.Nonlocal(made))
        self.emit(ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, []))
        call = ast.Expr(_call(name))
        if loops:
            handlers = [
                ast.ExceptHandler(_name("BreakSignal"), None, [ast.Break()]),
                ast.ExceptHandler(_name("ContinueSignal"), None, [ast.Continue()]),
            ]
            self.emit(ast.Try([call], handlers, [], []))
        else:
            self.emit(call)

    def member(self, node: n.Member) -> ast.expr:
        if isinstance(node.member, str):
            return _call("get_member", CTX, _const(node.name), _const(node.member))
        return _call("get_member_by", CTX, _const(node.name), self.closure(node.member))

    def root(self, node: n.Root) -> ast.expr:
        return ast.Attribute(CTX, "root", _LOAD) if self.unit.scope == "C" else _call("root", CTX)

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
        self.emit(_assign(result, value))

        def rest() -> None:
            link = links[index]
            followed = self.link(_name(result), link)
            self.emit(_assign(result, self.links(followed, links, index + 1)))

        self.emit(ast.If(ast.UnaryOp(ast.Not(), _call("is_nothing", _name(result))), self.sub_block(rest), []))
        return _name(result)

    def link(self, value: ast.expr, link: n.Link) -> ast.expr:
        match link:
            case n.GetProperty():
                return _call("get_property", value, _const(link.name))
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

    def _get_item(self, value: ast.expr, link: n.GetItem) -> ast.expr:
        target, index = self.in_order([lambda: value, lambda: self.expression(link.index)])
        return _call("get_item", target, index)

    def value_locked(self, target: ast.expr, node: n.Node) -> ast.expr:
        """The right side of an assignment, evaluated while the target is locked."""
        if self.rank(node) < DISTURBING:
            return self.expression(node)
        result = self.temporary()
        self.emit(ast.Expr(_call("lock", target)))
        self.guarded(lambda: self.emit(_assign(result, self.expression(node))), [ast.Expr(_call("unlock", target))])
        return _name(result)

    def set_property(self, value: ast.expr, link: n.SetProperty) -> ast.expr:
        if self.rank(link.value) < DISTURBING:
            mark = len(self.block)
            right = self.expression(link.value)
            if len(self.block) == mark:
                arguments = [CTX, _call("as_thing", value), _const(link.name)]
                if link.operator:
                    return self.spill(_call("update_property", *arguments, _const(link.operator), right))
                return self.spill(_call("set_property", *arguments, right))
            del self.block[mark:]
        target = self.spill(_call("as_thing", value))
        right = self.value_locked(target, link.value)
        if link.operator:
            return self.spill(_call("update_property", CTX, target, _const(link.name), _const(link.operator), right))
        return self.spill(_call("set_property", CTX, target, _const(link.name), right))

    def set_item(self, value: ast.expr, link: n.SetItem) -> ast.expr:
        target, index = self.in_order([lambda: value, lambda: self.expression(link.index)])
        target = self.spill(target)
        index = self.spill(_call("item_target", CTX, target, index))
        right = self.value_locked(target, link.value)
        return self.spill(_call("set_item", CTX, target, index, _const(link.operator), right))

    def slice_parts(self, link: n.GetSlice | n.SetSlice) -> list[ast.expr]:
        def part(node: n.Node | None) -> Callable[[], ast.expr]:
            return lambda: NIL if node is None else _call("slice_part", self.expression(node))

        return self.in_order([part(link.first), part(link.stop), part(link.step)])

    def get_slice(self, value: ast.expr, link: n.GetSlice) -> ast.expr:
        target = self.spill(value)
        result = self.temporary()

        def parts() -> None:
            first, stop, step = self.slice_parts(link)
            self.emit(_assign(result, _call("get_slice", target, first, stop, step)))

        empty = _assign(result, _call("get_slice", target, NIL, NIL, NIL))
        self.emit(ast.If(_call("has_items", target), self.sub_block(parts), [empty]))
        return _name(result)

    def set_slice(self, value: ast.expr, link: n.SetSlice) -> ast.expr:
        target = self.spill(_call("slice_target", CTX, value))
        first, stop, step = (self.spill(part) for part in self.slice_parts(link))
        right = self.value_locked(target, link.value)
        return self.spill(_call("set_slice", CTX, target, first, stop, step, _const(link.operator), right))

    # --- calls -------------------------------------------------------------------------------------------------------

    def call_method(self, value: ast.expr, link: n.CallMethod) -> ast.expr:
        name, arguments = link.name, link.arguments
        methods = METHODS.get(name, NO_METHODS)
        ranks = [self.rank(argument) for argument in arguments]
        if name in STEPWISE and len(arguments) > 1 and any(ranks[1:]):
            methods = STEPWISE[name]
        table = self.unit.constant(methods)
        lazy = {
            index
            for method in methods.values()
            for index in range(len(arguments))
            if method.arguments and method.argument(index).lazy
        }
        if not lazy and all(rank == INERT for rank in ranks):
            built = self.expressions(arguments)
            return _call("call_method", CTX, value, table, _const(name), *built)
        receiver = self.spill(value)
        callee = self.spill(_call("find_method", CTX, receiver, table, _const(name), _const(len(arguments))))
        locking = any(method.mutates or method.locks for method in methods.values())
        return self.invoke(callee, receiver, arguments, lazy, locking and DISTURBING in ranks)

    def invoke(
        self, callee: ast.expr, receiver: ast.expr, arguments: list[n.Node], lazy: set[int], locking: bool
    ) -> ast.expr:
        """Evaluate and check arguments one by one, then call what was found."""

        def argument(index: int) -> Callable[[], ast.expr]:
            node = arguments[index]

            def build() -> ast.expr:
                if index in lazy:
                    return _method(callee, "accept", _const(index), self.thunk(node))
                mark = len(self.block)
                value = self.expression(node)
                if len(self.block) == mark:
                    checked = _method(callee, "check", _const(index), value)
                    if self.rank(node) == INERT:
                        return checked
                    return ast.IfExp(self._takes(callee, index), checked, NIL)
                # It needs statements, which only run when the callee takes the argument.
                statements = self.block[mark:]
                del self.block[mark:]
                result = self.temporary()
                statements.append(_assign(result, _method(callee, "check", _const(index), value)))
                self.emit(ast.If(self._takes(callee, index), statements, [_assign(result, NIL)]))
                return _name(result)

            return build

        built: list[ast.expr] = []
        if locking:
            self.emit(ast.Expr(_method(callee, "lock", receiver)))

            def evaluate() -> None:
                for index in range(len(arguments)):
                    result = self.temporary()
                    self.emit(_assign(result, argument(index)()))
                    built.append(_name(result))

            self.guarded(evaluate, [ast.Expr(_method(callee, "unlock", receiver))])
        else:
            assigned = set(self.assigned)
            built = self.in_order([argument(index) for index in range(len(arguments))])
            self.assigned = assigned  # an argument that is not taken assigns nothing
        return _method(callee, "run", CTX, receiver, *built)

    def _takes(self, callee: ast.expr, index: int) -> ast.expr:
        return ast.Compare(ast.Attribute(callee, "takes", _LOAD), [ast.Gt()], [_const(index)])

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
        return _name(name)

    def call(self, node: n.Call) -> ast.expr:
        name, arguments = node.name, node.arguments
        function = FUNCTIONS.get(name)
        if function is None or function.alias:
            callee = self.spill(_call("find_function", CTX, _const(name), _const(len(arguments))))
            lazy = (
                {index for index in range(len(arguments)) if function.arguments and function.argument(index).lazy}
                if function is not None
                else set()
            )
            disturbing = any(self.rank(argument) == DISTURBING for argument in arguments)
            return self.invoke(callee, NIL, arguments, lazy, disturbing)
        if self.unit.scope not in function.scopes:
            return _call("wrong_scope", CTX, _const(name))
        if function.right:
            self.emit(ast.Expr(_call("require_right", CTX, self.unit.constant(function))))
        count = len(arguments)
        if count < function.least or (function.most is not None and count > function.most):
            return _call("wrong_count", _const(name), _const(count))
        special = SPECIAL.get(name)
        if special is not None:
            return special(self, node)
        return self.call_builtin(function, arguments)

    def call_builtin(self, function: Function, arguments: list[n.Node]) -> ast.expr:
        declared = self.unit.constant(function)

        def argument(index: int) -> Callable[[], ast.expr]:
            node = arguments[index]
            if function.argument(index).lazy:
                return lambda: self.thunk(node)
            if function.classes(index) is None:
                return lambda: self.expression(node)
            return lambda: _method(declared, "check", _const(index), self.expression(node))

        built = self.in_order([argument(index) for index in range(len(arguments))])
        run = ast.Call(self.unit.constant(function.run), [CTX, *built], [])
        return self.spill(run) if function.runs_code else run

    # --- functions with rules of their own ---------------------------------------------------------------------------

    def special_value(self, node: n.Call) -> ast.expr:
        """`nse` and `wse`: their work is done by the analysis."""
        return self.expression(node.arguments[0]) if node.arguments else NIL

    def special_try(self, node: n.Call) -> ast.expr:
        if self.blocks >= MAX_BLOCKS:
            result = self.temporary()
            self.outline(node, result)
            return _name(result)
        expression, *errors = node.arguments
        result = self.temporary()
        self.blocks += 1

        def attempt() -> None:
            value = self.expression(expression)
            self.emit(_assign(result, value))

        loops, self.loops = self.loops, 0  # a `break` in it ends the `try`
        body = self.sub_block(attempt)
        self.loops = loops

        def handle() -> None:
            self.emit(_assign(result, _call("caught_error", _name("failure"))))
            if not errors:
                return
            found = self.temporary()
            self.emit(_assign(found, _const(False)))
            for error in errors:

                def compare(error: n.Node = error) -> None:
                    self.emit(_assign(found, _call("same_error", _name(result), self.expression(error))))

                self.emit(ast.If(ast.UnaryOp(ast.Not(), _name(found)), self.sub_block(compare), []))
            self.emit(ast.If(ast.UnaryOp(ast.Not(), _name(found)), [ast.Raise(None, None)], []))

        handler = self.sub_block(handle)
        self.blocks -= 1
        stop = ast.ExceptHandler(
            ast.Tuple([_name("BreakSignal"), _name("ContinueSignal")], _LOAD), None, [_assign(result, NIL)]
        )
        self.emit(self._try_language(body, handler, stop))
        return _name(result)

    @staticmethod
    def _try_language(body: list[ast.stmt], handler: list[ast.stmt], *others: ast.ExceptHandler) -> ast.stmt:
        failures = ast.Tuple([_name("LanguageError"), _name("RecursionError")], _LOAD)
        return ast.Try(body, [ast.ExceptHandler(failures, "failure", handler), *others], [], [])

    def special_alt_raise(self, node: n.Call) -> ast.expr:
        if self.blocks >= MAX_BLOCKS:
            result = self.temporary()
            self.outline(node, result)
            return _name(result)
        expression, *rest = node.arguments
        result = self.temporary()
        self.blocks += 1
        body = self.sub_block(lambda: self.emit(_assign(result, self.expression(expression))))
        declared = self.unit.constant(FUNCTIONS["alt_raise"])

        def handle() -> None:
            builders = [
                lambda index=index, part=part: _method(declared, "check", _const(index), self.expression(part))
                for index, part in enumerate(rest, 1)
            ]
            built = self.in_order(builders)
            self.emit(ast.Expr(_call("raise_instead", _name("failure"), *built)))

        handler = self.sub_block(handle)
        self.blocks -= 1
        self.emit(self._try_language(body, handler))
        return _name(result)

    def special_assert(self, node: n.Call) -> ast.expr:
        expression, *message = node.arguments
        test = self.expression(expression)
        source = self.unit.text[expression.start : expression.end]

        def fail() -> None:
            text = self.expression(message[0]) if message else NIL
            self.emit(ast.Expr(_call("fail_assertion", self.unit.constant(source), text, _const(bool(message)))))

        self.emit(ast.If(ast.UnaryOp(ast.Not(), test), self.sub_block(fail), []))
        return NIL

    def special_type_assert(self, node: n.Call) -> ast.expr:
        expression, names, *message = node.arguments
        value, wanted = (self.spill(built) for built in self.expressions((expression, names)))

        def fail() -> None:
            text = self.expression(message[0]) if message else NIL
            self.emit(ast.Expr(_call("fail_type_assertion", value, wanted, text, _const(bool(message)))))

        test = ast.UnaryOp(ast.Not(), _call("has_type", value, wanted))
        self.emit(ast.If(test, self.sub_block(fail), []))
        return NIL

    def special_timeit(self, node: n.Call) -> ast.expr:
        begin = self.temporary()
        self.emit(_assign(begin, _call("timer", CTX)))
        value = self.spill(self.expression(node.arguments[0]))
        return _call("timed", CTX, _name(begin), value)


_EXPRESSIONS: dict[type[n.Node], Callable[[_Function, Any], ast.expr]] = {
    n.Constant: _Function.constant,
    n.IntOverflow: _Function.int_overflow,
    n.RegexLiteral: _Function.regex,
    n.Parenthesis: _Function.parenthesis,
    n.Block: _Function.block_expression,
    n.Template: _Function.template,
    n.Name: _Function.name_value,
    n.Assign: _Function.assign,
    n.Unary: _Function.unary,
    n.Binary: _Function.binary,
    n.Logical: _Function.logical,
    n.Ternary: _Function.ternary,
    n.If: _Function.if_value,
    n.For: _Function.for_value,
    n.ClosureLiteral: _Function.closure,
    n.ListLiteral: _Function.list_literal,
    n.ThingLiteral: _Function.thing_literal,
    n.Anonymous: _Function.anonymous,
    n.Instance: _Function.instance,
    n.Member: _Function.member,
    n.Root: _Function.root,
    n.Chain: _Function.chain,
    n.Call: _Function.call,
}

SPECIAL: dict[str, Callable[[_Function, n.Call], ast.expr]] = {
    "nse": _Function.special_value,
    "wse": _Function.special_value,
    "try": _Function.special_try,
    "alt_raise": _Function.special_alt_raise,
    "assert": _Function.special_assert,
    "type_assert": _Function.special_type_assert,
    "timeit": _Function.special_timeit,
}
"""Functions that evaluate their arguments in ways of their own."""


# --- looking ahead ---------------------------------------------------------------------------------------------------


def _stored_temporaries(statements: Sequence[ast.AST], first: int) -> set[str]:
    """The temporaries from number `first` on that the statements assign, inner functions left out."""
    found: set[str] = set()
    stack: list[ast.AST] = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and node.id[0] == "t"
            and node.id[1:].isdigit()
        ):
            if int(node.id[1:]) >= first:
                found.add(node.id)
            continue
        stack.extend(ast.iter_child_nodes(node))
    return found


def _children(node: n.Node) -> list[n.Node]:
    """The nodes directly in a node, bodies of closures left out."""
    children: list[n.Node] = []
    for name in type(node).__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, n.Node):
            children.append(value)
        elif isinstance(value, list):
            children.extend(item for item in value if isinstance(item, n.Node))
    return children


def _is_leaf(body: n.Node) -> bool:
    """Does a closure's body call nothing that could look at its variables?"""
    stack: list[tuple[n.Node, int]] = [(body, 0)]
    while stack:
        node, depth = stack.pop()
        match node:
            case n.CallMethod() | n.Instance() | n.Anonymous() | n.Member(member=n.ClosureLiteral()):
                return False
            case n.Call():
                function = FUNCTIONS.get(node.name)
                if function is None or function.runs_code or function.alias:
                    return False
                if any(argument.lazy for argument in function.arguments):
                    return False
                depth += 1
            case n.For():
                depth += 2
            case n.ClosureLiteral():
                continue
        if depth >= MAX_BLOCKS - 2:
            return False
        stack.extend((child, depth) for child in _children(node))
    return True


def _assigned_names(body: n.Node) -> set[str]:
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
        stack.extend(_children(node))
    return found
