"""Nodes to Python code.

A text becomes one Python function for the query and one for each closure literal in it, built as `ast` nodes and
compiled together. An expression of the language compiles to a Python expression; what Python has no expression for
(loops, `return` in the middle of a sum, arguments that are checked one by one) becomes statements in front of it, and
operands that were to be evaluated earlier move into temporaries, so that everything happens in the order written.

Variables live in dicts, `ctx.frames`, because closures see the variables of whoever calls them. A closure that calls
nothing which could look at them keeps them in Python's local variables instead.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import LanguageError
from engine.functions import flow
from engine.language import callees, runtime
from engine.language import nodes as n
from engine.language.analysis import analyse
from engine.language.arithmetic import BINARY_NAMES, UNARY_NAMES
from engine.language.expressions import Expressions
from engine.language.lookahead import assigned_names, is_leaf
from engine.language.operators import BINARY, UNARY
from engine.language.parser import parse
from engine.language.passwords import passwords_in
from engine.language.python_ast import CTX, FRAME, LOAD, NIL, STORE, locate, py_assign, py_const, py_method, py_name
from engine.values.closure import ClosureCode
from engine.values.error import Error

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["GENERATED", "GLOBALS", "Compiled", "CompiledFunction", "Unit", "compile_closure", "compile_query"]

GENERATED = "<query>"
"""The file name of generated code."""

sys.setrecursionlimit(max(sys.getrecursionlimit(), 12_000))

GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "enumerate": enumerate,
    "int": int,
    "str": str,
    "LanguageError": LanguageError,
    "RecursionError": RecursionError,
    "ReturnSignal": runtime.ReturnSignal,
    "caught": Error.caught,
    **{BINARY_NAMES[symbol]: operator for symbol, operator in BINARY.items()},
    **{UNARY_NAMES[symbol]: operator for symbol, operator in UNARY.items()},
    **{
        name: getattr(module, name)
        for module in (runtime, callees, flow)
        for name in dir(module)
        if not name.startswith("_")
    },
}
"""What generated code can name."""


@dataclass(slots=True)
class Compiled:
    """A query, ready to run: `run(ctx, variables)`; `changes`: does it need a change? `passwords` are those that it
    hashes, as far as that shows."""

    run: Callable[[Context, dict[str, Value]], Value]
    changes: bool
    size: int
    passwords: tuple[n.Node, ...] = ()


class BreakSignal(Exception):
    """A `break` in outlined code, for the loop around it."""


class ContinueSignal(Exception):
    """A `continue` in outlined code, for the loop around it."""


GLOBALS["BreakSignal"] = BreakSignal
GLOBALS["ContinueSignal"] = ContinueSignal


def compile_query(text: str, scope: str, make_unit: type[Unit] | None = None) -> Compiled:
    """Compile a query for a kind of scope (`"C"`, `"T"`, `"N"`). SyntaxFailed when it does not parse. `make_unit` is
    the unit for code of another kind (`engine.language.tracked`)."""
    query = parse(text)
    changes = analyse(query, scope)
    unit = (make_unit or Unit)(text, scope)
    function = unit.function("query", None)
    function.compile_body(n.Block(query.statements) if query.statements else n.Constant(None))
    run, *_ = unit.finish()
    passwords = passwords_in(text, query.statements) if scope == "T" else ()
    return Compiled(run, changes, 600 + 24 * len(text), passwords)


def compile_closure(source: str, scope: str = "C", make_unit: type[Unit] | None = None) -> ClosureCode:
    """Compile a closure of a kind of scope from its text, as it stands in the log or in `closure('…')`."""
    from engine.language.formatter import parse_closure

    literal = parse_closure(source)
    analyse(literal, scope)
    unit = (make_unit or Unit)(source, scope)
    code = unit.closure(literal)
    unit.finish()
    return code


class Unit:
    """Everything compiled together: the functions, and the Python objects that they refer to."""

    rows = True
    """May closures run as rows (`engine.language.rows`)? Those note no reads."""

    names_in_code = GLOBALS
    """What the code can name."""

    def __init__(self, text: str, scope: str) -> None:
        self.text = text
        self.scope = scope
        self.functions: list[ast.stmt] = []
        self.names: list[str] = []
        self.constants: dict[int, tuple[str, Any]] = {}
        self.codes: list[tuple[ClosureCode, str]] = []

    def function(self, name: str, literal: n.ClosureLiteral | None) -> CompiledFunction:
        """A Python function to be built: a closure's, or without a literal the query's."""
        return CompiledFunction(self, name, literal)

    def constant(self, value: Any) -> ast.expr:
        """A name for a Python object."""
        entry = self.constants.get(id(value))
        if entry is None:
            entry = self.constants[id(value)] = (f"k{len(self.constants)}", value)
        return py_name(entry[0])

    def closure(self, literal: n.ClosureLiteral) -> ClosureCode:
        """Compile a closure literal."""
        code = ClosureCode(tuple(literal.params), self.text[literal.start : literal.end], literal.has_effects)
        name = f"c{len(self.codes)}"
        self.codes.append((code, name))
        before = len(self.codes)
        function = self.function(name, literal)
        function.compile_body(literal.body)
        code.direct = function.locals is not None and not literal.has_effects
        code.repeatable = code.direct and self.rows
        code.held_back = literal.held_back
        if len(self.codes) > before or literal.held_back:
            code.scope = self.scope
        return code

    def finish(self) -> list[Callable[..., Any]]:
        """Compile what was gathered; the functions, in order of definition with the query's first."""
        self.functions.sort(key=lambda function: function.name != "query")  # type: ignore[attr-defined]
        names = [function.name for function in self.functions]  # type: ignore[attr-defined]
        parameters = [ast.arg(name) for name, _ in self.constants.values()]
        result = ast.Return(ast.Tuple([py_name(name) for name in names], LOAD))
        make = ast.FunctionDef(
            "make", ast.arguments([], parameters, None, [], [], None, []), [*self.functions, result], []
        )
        module = ast.Module([make], [])
        locate(module)
        namespace: dict[str, Any] = {}
        exec(compile(module, GENERATED, "exec", dont_inherit=True), self.names_in_code, namespace)
        functions: list[Callable[..., Any]] = list(namespace["make"](*(value for _, value in self.constants.values())))
        by_name = dict(zip(names, functions, strict=True))
        for code, name in self.codes:
            code.run = by_name[name]
        return functions


class CompiledFunction(Expressions):
    """One Python function: the query's, or a closure's."""

    def compile_body(self, body: n.Node) -> None:
        """Compile the function and add it to the unit."""
        if is_leaf(body):
            self.locals = assigned_names(body).union(self.literal.params if self.literal is not None else ())
        self.tail(body)
        statements = self.block
        if self.signals:
            handler = ast.ExceptHandler(
                py_name("ReturnSignal"), "signal", [ast.Return(ast.Attribute(py_name("signal"), "value", LOAD))]
            )
            statements = [ast.Try(statements, [handler], [], [])]
        if self.literal is None:
            arguments = ast.arguments([], [ast.arg("ctx"), ast.arg("v")], None, [], [], None, [])
            given = [
                py_assign(f"v_{name}", py_method(FRAME, "get", py_const(name), py_name("UNSET")))
                for name in sorted(self.locals or ())
            ]
            statements = [*given, *statements]
        else:
            params = list(dict.fromkeys(self.literal.params))
            slots = [f"v_{param}" for param in params]
            arguments = ast.arguments(
                [], [ast.arg("ctx"), *(ast.arg(slot) for slot in self._parameter_slots())], None, [], [], None,
                [NIL] * len(self.literal.params),
            )  # fmt: skip
            if self.locals is None:
                frame = ast.Dict([py_const(param) for param in params], [py_name(slot) for slot in slots])
                statements = [
                    ast.Assign([ast.Name("v", STORE)], frame),
                    ast.Expr(py_method(ast.Attribute(CTX, "frames", LOAD), "append", FRAME)),
                    ast.Try(statements, [], [], [ast.Expr(py_method(ast.Attribute(CTX, "frames", LOAD), "pop"))]),
                ]
            else:
                unset = self.locals - set(params)
                statements = [*(py_assign(f"v_{name}", py_name("UNSET")) for name in sorted(unset)), *statements]
        self.unit.functions.append(ast.FunctionDef(self.name, arguments, statements or [ast.Pass()], []))

    def _parameter_slots(self) -> list[str]:
        """The Python parameters: of equal names the last one counts."""
        assert self.literal is not None
        params = self.literal.params
        return [
            f"v_{param}" if param not in params[index + 1 :] else f"unused_{index}"
            for index, param in enumerate(params)
        ]
