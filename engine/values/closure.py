"""Closures: code as a value (spec/lists.md, section 8).

A `ClosureCode` is the compiled text, shared by all values made from one literal; a `Closure` is one value. A closure
that was ever put into a property or an array shows its text in compact form, so `stored` is set then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import OperationError
from engine.functions.registry import method, register_kind
from engine.limits import MAX_CLOSURE_ACTIVITY

if TYPE_CHECKING:
    from engine.context import Context
    from engine.language.rows import Rows

__all__ = ["Closure", "ClosureCode"]


class ClosureCode:
    """What a closure literal compiles to.

    `run(ctx, *arguments)` is the generated function; missing arguments are nil, surplus ones must not be given.
    `source` is the text from the first `|` on, as written. `has_effects`: its text needs a change where it stands;
    `held_back`: that may be otherwise elsewhere, since there `nse` stands before it. `scope` is the kind of scope that
    it was compiled for, None where it can be kept as it is: there is no closure literal in it. `direct`: it
    calls nothing that could call it again and needs no change, so that its calls need not be counted. `walked` counts
    the items of arrays that it was called with while it is `repeatable`; `rows` is what `engine.language.rows` made of
    it after many.
    """

    __slots__ = (
        "_checked",
        "_compact",
        "_doc",
        "_kept",
        "count",
        "direct",
        "has_effects",
        "held_back",
        "params",
        "repeatable",
        "rows",
        "run",
        "scope",
        "source",
        "walked",
    )

    def __init__(self, params: tuple[str, ...], source: str, has_effects: bool) -> None:
        self.params = params
        self.count = len(params)
        self.source = source
        self.has_effects = has_effects
        self.held_back = False
        self.run: Callable[..., Any] = _not_compiled
        self.scope: str | None = None
        self.direct = False
        self.walked = 0
        self.repeatable = False
        self.rows: Rows | None = None
        self._kept: ClosureCode | None = None
        self._compact: str | None = None
        self._doc: str | None = None
        self._checked = "/" not in source  # then there is no regex in it

    @property
    def doc(self) -> str:
        """The text that its block begins with, else the empty text."""
        if self._doc is None:
            from engine.language.formatter import doc, parse_closure

            self._doc = doc(parse_closure(self.source))
        return self._doc

    @property
    def pretty(self) -> str:
        """The text laid out, as `str()` shows it."""
        from engine.language.formatter import pretty

        return pretty(self.source)

    @property
    def compact(self) -> str:
        """The text without comments and superfluous blanks."""
        if self._compact is None:
            from engine.language.formatter import compact

            self._compact = compact(self.source)
        return self._compact

    @property
    def kept(self) -> ClosureCode:
        """The code of a closure that is stored: one in which closure literals are compact too, as they are when it is
        compiled from the log."""
        if self.scope is None:
            return self
        if self._kept is None:
            from engine.language.compiler import compile_closure

            if self.compact == self.source and not self.held_back:
                return self
            self._kept = compile_closure(self.compact, self.scope)
        return self._kept

    def check_regexes(self) -> None:
        """ValueError where a regex in it is wrong: a stored closure is not to fail only when it is called."""
        if not self._checked:
            from engine.language.parser import tokenise
            from engine.values.regex import compiled_regex

            for token in tokenise(self.source):
                if token.type == "REGEX":
                    pattern, _, flags = token[1:].rpartition("/")
                    compiled_regex(pattern, flags)
            self._checked = True


def _not_compiled(*_: Any) -> Any:
    raise AssertionError("the closure's code was not compiled")


class Closure:
    """A closure value; `active` counts the calls of it that are under way.

    Where it has a parameter for every argument, generated code calls `code.run` itself: as long as `active` is below
    `limit`, else it asks `admit` first. It also stands for what is called (`callees.find_function`): `takes`, `check`,
    `accept`, `lock`, `unlock` and `run` are those of a callee.
    """

    __slots__ = ("active", "code", "limit", "stored")

    takes = 1 << 30  # every argument is evaluated

    def __init__(self, code: ClosureCode) -> None:
        self.code = code
        self.active = 0
        self.limit = -1 if code.has_effects else MAX_CLOSURE_ACTIVITY
        self.stored = False

    @classmethod
    def from_source(cls, source: str, scope: str = "C") -> Closure:
        """A stored closure of a kind of scope from its text; compiled here."""
        from engine.language.compiler import compile_closure

        closure = cls(compile_closure(source, scope))
        closure.detach()
        return closure

    @property
    def text(self) -> str:
        """The text as results show it."""
        return self.code.compact if self.stored else self.code.source

    def store(self) -> None:
        """It is put somewhere where it stays. ValueError where a regex in it is wrong."""
        if not self.stored:
            self.code.check_regexes()
            self.detach()

    def detach(self) -> None:
        """It is no longer a part of the query's text."""
        if not self.stored:
            self.code = self.code.kept
            self.limit = -1 if self.code.has_effects else MAX_CLOSURE_ACTIVITY
            self.stored = True

    def check_effects(self, ctx: Context) -> None:
        """OperationError when it has side effects and the query is no change."""
        if self.code.has_effects and ctx.change is None:
            raise OperationError("a closure with side effects needs a query that is a change: use wse(…)")

    def admit(self, ctx: Context) -> None:
        """OperationError when it may not be called now."""
        self.check_effects(ctx)
        if self.active >= MAX_CLOSURE_ACTIVITY:
            raise OperationError(f"a closure can be active at most {MAX_CLOSURE_ACTIVITY} times at once")

    def call(self, ctx: Context, *arguments: Any) -> Any:
        """Run it in a frame of its own on top of the caller's.

        OperationError when it is active too often, or has side effects and the query is no change.
        """
        code = self.code
        if self.active >= self.limit:
            self.admit(ctx)
        if len(arguments) > len(code.params):
            arguments = arguments[: len(code.params)]
        self.active += 1
        try:
            return code.run(ctx, *arguments)
        finally:
            self.active -= 1

    def enter(self) -> Callable[..., Any]:
        """Begin a row of calls: gives `code.run`, to be called with as many arguments as there are parameters; `leave`
        must follow. The caller has checked the effects. OperationError when it is active too often."""
        if self.active >= MAX_CLOSURE_ACTIVITY:
            raise OperationError(f"a closure can be active at most {MAX_CLOSURE_ACTIVITY} times at once")
        self.active += 1
        return self.code.run

    def leave(self) -> None:
        """End a row of calls."""
        self.active -= 1

    # --- as a callee -------------------------------------------------------------------------------------------------

    def check(self, index: int, value: Any) -> Any:
        return value

    def accept(self, index: int, thunk: Callable[[], Any]) -> Any:
        return thunk()

    def lock(self, receiver: Any) -> None:
        pass

    unlock = lock

    def run(self, ctx: Context, receiver: Any, *arguments: Any) -> Any:
        return self.call(ctx, *arguments)


register_kind("closure", Closure)


@method(
    "closure",
    "call",
    "arguments*: any",
    alias=True,  # arguments that it has no parameters for are not evaluated: `runtime.FALLBACKS` sees to that
    doc="Runs it: arguments that are missing are nil, surplus ones are not evaluated; gives its result.",
    example="(|a, b| a + b).call(1, 2)",
)
def call(ctx: Context, closure: Closure, *arguments: Any) -> Any:
    return closure.call(ctx, *arguments)


@method(
    "closure",
    "doc",
    doc="The text that its block begins with, or an empty text.",
    example="(|a, b| {'Adds two numbers.'; a + b}).doc()",
)
def doc(ctx: Context, closure: Closure) -> str:
    return closure.code.doc
