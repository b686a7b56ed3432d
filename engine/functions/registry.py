"""How functions and methods declare themselves.

One decorator states a name, the scopes or the receiver's type, the arguments and whether it makes a change.
Argument checks, the side-effect analysis, access checks, the reference documentation and completion in the shell
all read these declarations.

    @function("randint", "a: int, b: int", doc="A random int from `a` up to, not including, `b`.",
              example="randint(1, 7)")
    def randint(ctx: Context, a: int, b: int) -> int: ...

    @method("list", "push", "values+: any", mutates=True, doc="Appends; gives the new length.", example="x.push(1)")
    def push(ctx: Context, array: List, *values: Value) -> int: ...

Arguments are written `name: kind|kind`, separated by commas. After the name, `?` means optional, `*` any number,
`+` at least one. The kind `any` takes every value; `lazy` before the kinds means that the argument is not evaluated
by the caller: the function receives a thunk, to call when it wants the value (None when the argument is absent), and
checks the kind itself with `check_lazy`. An implementation gives optional parameters defaults of its own.

The caller (generated code, `engine.language.runtime`) checks in the specification's order: scope or receiver, number
of arguments, for methods that mutate whether they may, then each argument's kind right after its evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

from engine.errors import NumArgumentsError, OperationError, TypeFailed

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "STEPWISE",
    "Argument",
    "Function",
    "Method",
    "early_name",
    "function",
    "lazy",
    "method",
    "register_kind",
    "stepwise",
    "type_name",
]

F = TypeVar("F", bound=Callable[..., Any])

ALL_SCOPES = "CTN"

KINDS: dict[str, frozenset[type]] = {}
"""The Python classes of each kind of value, by the kind's name."""

TYPE_NAMES: dict[type, str | Callable[[Any], str]] = {}
"""What the function `type()` gives for each Python class: a name, or how to make it from the value."""


def register_kind(kind: str, *classes: type, names: str | Callable[[Any], str] | None = None) -> None:
    """Say which Python classes a kind has; `names` is what `type()` gives for them (default: the kind)."""
    KINDS[kind] = KINDS.get(kind, frozenset()) | frozenset(classes)
    for cls in classes:
        TYPE_NAMES[cls] = kind if names is None else names


def _group(kind: str, *members: str) -> None:
    KINDS[kind] = frozenset().union(*(KINDS[member] for member in members))


register_kind("nil", type(None))
register_kind("bool", bool)
register_kind("int", int)
register_kind("float", float)
register_kind("str", str)
register_kind("bytes", bytes)
register_kind("tuple", tuple)
_group("num", "int", "float")


def type_name(value: object) -> str:
    """The name of a value's type, as the function `type()` gives it."""
    name = TYPE_NAMES[type(value)]
    return name if isinstance(name, str) else name(value)


@dataclass(slots=True, frozen=True)
class Argument:
    name: str
    kinds: tuple[str, ...]  # ("any",) takes every value
    optional: bool = False
    variadic: bool = False  # the last argument only
    lazy: bool = False

    def classes(self) -> frozenset[type] | None:
        """The Python classes it takes, or None for every value."""
        if "any" in self.kinds:
            return None
        return frozenset().union(*(KINDS[kind] for kind in self.kinds))


def _parse(declaration: str) -> tuple[Argument, ...]:
    arguments = []
    for part in filter(None, (part.strip() for part in declaration.split(","))):
        name, _, kinds = (piece.strip() for piece in part.partition(":"))
        lazy = kinds.startswith("lazy ")
        mark = name[-1] if name[-1] in "?*+" else ""
        arguments.append(
            Argument(
                name.rstrip("?*+"),
                tuple(kind.strip() for kind in kinds.removeprefix("lazy ").split("|")),
                optional=mark in ("?", "*"),
                variadic=mark in ("*", "+"),
                lazy=lazy,
            )
        )
    return tuple(arguments)


@dataclass(slots=True, eq=False)
class Declaration:
    """What functions and methods have in common."""

    name: str
    arguments: tuple[Argument, ...]
    run: Callable[..., Any]
    doc: str
    example: str
    least: int = field(init=False)
    most: int | None = field(init=False)  # None: no limit
    _checks: list[frozenset[type] | None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.least = sum(not argument.optional for argument in self.arguments)
        self.most = None if self.arguments and self.arguments[-1].variadic else len(self.arguments)

    @property
    def title(self) -> str:
        """The name as messages show it."""
        return f"{self.name}()"

    def argument(self, index: int) -> Argument:
        """The declaration that argument `index` (from 0) falls under."""
        return self.arguments[min(index, len(self.arguments) - 1)]

    def classes(self, index: int) -> frozenset[type] | None:
        """The Python classes that argument `index` takes, or None for every value."""
        if self._checks is None:
            self._checks = [argument.classes() for argument in self.arguments]
        return self._checks[min(index, len(self._checks) - 1)]

    def takes_any(self, index: int) -> bool:
        """Does it take every value as argument `index`?"""
        return self.classes(index) is None

    def check_count(self, count: int) -> None:
        """NumArgumentsError unless it takes that many arguments."""
        if count >= self.least and (self.most is None or count <= self.most):
            return
        raise NumArgumentsError(f"{self.title} takes {self.counts()}, not {count}")

    def counts(self) -> str:
        """How many arguments it takes, in words."""
        if self.most is None:
            return f"at least {self.least} argument{'s' * (self.least != 1)}"
        if self.most == self.least:
            return f"{self.least or 'no'} argument{'s' * (self.least != 1)}"
        return f"{self.least} to {self.most} arguments"

    def check(self, index: int, value: object) -> Any:
        """The value, or TypeError when argument `index` (from 0) takes no such value."""
        classes = self.classes(index)
        if classes is not None and type(value) not in classes:
            self.refuse(index, value)
        return value

    def accept(self, index: int, thunk: Callable[[], Any]) -> Any:
        """An argument that the caller didn't evaluate: the thunk where it is declared lazy, else the checked
        value."""
        return thunk if self.argument(index).lazy else self.check(index, thunk())

    def check_lazy(self, index: int, thunk: Callable[[], Any]) -> Any:
        """The checked value of an argument that is declared lazy."""
        return self.check(index, thunk())

    def refuse(self, index: int, value: object) -> None:
        """TypeError: argument `index` takes no such value."""
        kinds = " or ".join(self.argument(index).kinds)
        raise TypeFailed(f"{self.title} takes {kinds} as argument {index + 1}, not {type_name(value)}")


@dataclass(slots=True, eq=False)
class Function(Declaration):
    scopes: str = ALL_SCOPES
    changes: str = ""  # the scopes in which a query that contains it is a change
    final: bool = False  # what it does can't be taken back, so that no atomic query may call it
    special: bool = False  # compiled by a rule of its own in the compiler
    right: int = 0  # what the caller needs on the scope, asked before the number of arguments
    runs_code: bool = False  # it calls closures, or looks at variables of the query
    alias: bool = False  # an early name: looked up last

    def changes_in(self, scope: str) -> bool:
        return scope in self.changes


@dataclass(slots=True, eq=False)
class Method(Declaration):
    receiver: str = ""  # the kind of value that has it
    mutates: bool = False  # the receiver must be allowed to change, and is locked while the arguments are evaluated
    locks: bool = False  # the receiver is locked while the arguments are evaluated, though it is not changed
    alias: bool = False  # looked up last: what programs define wins
    guard: Callable[[Any, Any], None] | None = None  # what it asks of its receiver, before the number of arguments
    takes: int = 1 << 30  # every argument is evaluated

    def wrong_count(self, ctx: Any, receiver: Any, count: int) -> None:
        """NumArgumentsError, or what the guard raises."""
        if self.guard is not None:
            self.guard(ctx, receiver)
        self.check_count(count)

    def lock(self, receiver: Any) -> None:
        """Before arguments are evaluated that could change the receiver."""
        if (self.mutates or self.locks) and type(receiver) is not tuple:
            receiver.lock += 1

    def unlock(self, receiver: Any) -> None:
        if (self.mutates or self.locks) and type(receiver) is not tuple:
            receiver.lock -= 1


FUNCTIONS: dict[str, Function] = {}
"""Every global function by name."""

METHODS: dict[str, dict[type, Method]] = {}
"""Every method by name, then by the Python class of its receiver."""

STEPWISE: dict[str, dict[type, Method]] = {}
"""Methods whose later arguments see what the earlier ones did. They stand in for those of the same name in `METHODS`
where there are several arguments, and receive thunks."""


def lazy(name: str, index: int, thunk: Callable[[], Any] | None) -> Any:
    """The checked value of an argument that the function `name` evaluates itself; None where it was not given."""
    return None if thunk is None else FUNCTIONS[name].check_lazy(index, thunk)


def function(
    name: str,
    arguments: str = "",
    *,
    doc: str,
    example: str,
    scopes: str = ALL_SCOPES,
    changes: str = "",
    final: bool = False,
    special: bool = False,
    right: int = 0,
    runs_code: bool = False,
    alias: bool = False,
) -> Callable[[F], F]:
    """Declare a global function; its implementation takes the context and the arguments."""

    def declare(run: F) -> F:
        assert name not in FUNCTIONS, name
        FUNCTIONS[name] = Function(
            name,
            _parse(arguments),
            _noted(name, run, final) if changes else run,
            doc,
            example,
            scopes=scopes,
            changes=changes,
            final=final,
            special=special,
            right=right,
            runs_code=runs_code,
            alias=alias,
        )
        return run

    return declare


def _noted(name: str, run: Callable[..., Any], final: bool) -> Callable[..., Any]:
    """A function that changes definitions, which an atomic query notes first."""

    @wraps(run)
    def noted(ctx: Any, *arguments: Any) -> Any:
        if ctx.journal is not None:
            if final:
                raise OperationError(f"an atomic query can't call {name}(): what it does can't be taken back")
            ctx.journal.save_definitions()
        return run(ctx, *arguments)

    return noted


def early_name(name: str, successor: str, scopes: str = "") -> None:
    """Declare an early name of a function: looked up last, and otherwise the same, in some of its scopes or in all."""
    known = FUNCTIONS[successor]
    assert name not in FUNCTIONS, name
    FUNCTIONS[name] = replace(
        known,
        name=name,
        doc=f"An early name of {successor}().",
        example=known.example.replace(f"{successor}(", f"{name}("),
        scopes=scopes or known.scopes,
        alias=True,
    )


def method(
    receivers: str,
    name: str,
    arguments: str = "",
    *,
    doc: str,
    example: str,
    mutates: bool = False,
    locks: bool = False,
    alias: bool = False,
    guard: Callable[[Any, Any], None] | None = None,
) -> Callable[[F], F]:
    """Declare a method of one or more kinds of value (`"list|tuple"`); it takes the context, the receiver, the
    arguments. `guard(ctx, receiver)` may raise before the number of arguments is checked; the method calls it too."""

    def declare(run: F) -> F:
        for receiver in receivers.split("|"):
            entry = Method(
                name,
                _parse(arguments),
                run,
                doc,
                example,
                receiver=receiver,
                mutates=mutates,
                locks=locks,
                alias=alias,
                guard=guard,
            )
            for cls in KINDS[receiver]:
                assert cls not in METHODS.setdefault(name, {}), (receiver, name)
                METHODS[name][cls] = entry
        return run

    return declare


def stepwise(name: str) -> Callable[[F], F]:
    """Declare how a method runs that does its work argument by argument: it takes thunks for them."""

    def declare(run: F) -> F:
        for cls, entry in METHODS[name].items():
            arguments = tuple(replace(argument, lazy=True) for argument in entry.arguments)
            STEPWISE.setdefault(name, {})[cls] = replace(entry, arguments=arguments, run=run)
        return run

    return declare


def methods_of(kind: str) -> Iterable[Method]:
    """The methods that values of a kind have, by name."""
    for name in sorted(METHODS):
        seen = {id(entry): entry for cls, entry in METHODS[name].items() if cls in KINDS[kind]}
        yield from seen.values()
