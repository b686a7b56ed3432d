"""Procedures and requests to run them (spec/time-and-procedures.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.engine import Engine
from engine.errors import (
    BadDataError,
    ForbiddenError,
    LanguageError,
    LookupFailed,
    OperationError,
    TypeFailed,
    ValueFailed,
)
from engine.outcome import Outcome
from engine.users import CHANGE, QUERY, RUN
from tests.conftest import Admin
from tests.time_and_procedures.node import Node

Query = Callable[..., Any]
Ask = Callable[..., Outcome]


@pytest.fixture
def ask(engine: Engine) -> Ask:
    """Run a procedure by a request, as `admin` unless said otherwise."""
    admin = Admin(engine)

    def run(name: Any, arguments: Any = None, scope: str = "//stuff", caller: Any = None) -> Outcome:
        return engine.run(caller or admin, scope, name, arguments)

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, [None, None]),
        ([], [None, None]),
        ([1], [1, None]),
        ([1, 2, 3], [1, 2]),
        ({"b": 1, "c": 5}, [None, 1]),
        ({"a": [1, [2]], "b": {"x": 1}}, [[1, [2]], {"x": 1}]),
    ],
)
def test_arguments_of_a_request(query: Query, ask: Ask, arguments: Any, expected: Any) -> None:
    query("new_procedure('pair', |a, b| [a, b])")
    done = ask("pair", arguments)
    assert done.error is None
    assert done.value == expected


@pytest.mark.parametrize(
    ("scope", "name", "arguments", "error"),
    [
        ("@n", "pair", [], BadDataError),
        ("@n", 5, [], TypeFailed),
        ("nowhere", "pair", [], ValueFailed),
        ("//nowhere", "pair", [], LookupFailed),
        ("@t", "pair", [], LookupFailed),
        ("//stuff", None, [], TypeFailed),
        ("//stuff", b"pair", [], TypeFailed),
        ("//stuff", "not a name", [], LookupFailed),
        ("//stuff", "", [], LookupFailed),
        ("//stuff", "pair", 5, BadDataError),
        ("//stuff", "pair", "ab", BadDataError),
        ("//stuff", "pair", True, BadDataError),
        ("//stuff", "pair", [{1: 2}], TypeFailed),
        ("//stuff", "inner", [], OperationError),
    ],
)
def test_requests_that_are_refused(
    query: Query, ask: Ask, scope: str, name: Any, arguments: Any, error: type[LanguageError]
) -> None:
    query(
        "new_procedure('pair', |a, b| [a, b]); new_procedure('set_x', |x| .x = x); new_procedure('inner', |x| set_x(x))"
    )
    assert type(ask(name, arguments, scope).error) is error


def test_rights(engine: Engine, query: Query, ask: Ask) -> None:
    query("new_procedure('get', || 5); new_procedure('set_x', |x| .x = x)")
    query("new_user('caller')", scope="@t")
    user = engine.users["caller"]
    access = engine.collections["stuff"].access

    class Caller:
        subscriber = None

    Caller.user = user  # type: ignore[attr-defined]
    for rights, names in ((QUERY | CHANGE, ()), (RUN, ("get",)), (RUN | CHANGE, ("get", "set_x"))):
        access[user.id] = rights
        for name in ("get", "set_x"):
            before = engine.last_change
            done = ask(name, [1], caller=Caller())
            assert (done.error is None) == (name in names)
            if name not in names:
                assert isinstance(done.error, ForbiddenError)
                assert engine.last_change == before


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("new_procedure('1p', raise('not reached'))", ValueFailed),
        ("new_procedure('p', raise(err(-111)))", LanguageError),
        ("mod_procedure('none', raise('not reached'))", LookupFailed),
        ("mod_procedure('p q', raise('not reached'))", ValueFailed),
        ("rename_procedure('none', raise('not reached'))", LookupFailed),
        ("rename_procedure('p', 'p')", LookupFailed),
        ("rename_procedure('p', 'é')", ValueFailed),
        ("run('none', raise('not reached'))", LookupFailed),
        ("del_procedure('none')", LookupFailed),
        ("new_procedure('q', || /(/)", ValueFailed),
    ],
)
def test_errors(query: Query, code: str, error: type[LanguageError]) -> None:
    query("new_procedure('p', |x| x)")
    with pytest.raises(error):
        query(code)
    assert query("procedures_info().map(|p| p.load().name)") == ["p"]
    assert query("p(4)") == 4


NAMES = st.sampled_from(["a", "b", "c"])
CLOSURES = st.sampled_from(["|| 1", "|x| x + 1", "|x| .x = x", "|x, y| {'Doc.'; [x, y, /a.b/i]}", "|| wse(a())"])
SCOPES = st.sampled_from(["//stuff", "@t"])


class Procedures(RuleBasedStateMachine):
    """Procedures come and go, and are the same after every restart."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()

    def attempt(self, code: str, scope: str, **values: str) -> None:
        try:
            self.node.query(code, values, scope)
        except LanguageError as error:
            assert error.code == LookupFailed.code  # noqa: PT017

    @rule(name=NAMES, closure=CLOSURES, scope=SCOPES)
    def new(self, name: str, closure: str, scope: str) -> None:
        self.attempt(f"new_procedure(name, {closure})", scope, name=name)

    @rule(name=NAMES, closure=CLOSURES, scope=SCOPES)
    def mod(self, name: str, closure: str, scope: str) -> None:
        self.node.now += 1
        self.attempt(f"mod_procedure(name, {closure})", scope, name=name)

    @rule(name=NAMES, other=NAMES, scope=SCOPES)
    def rename(self, name: str, other: str, scope: str) -> None:
        self.attempt("rename_procedure(name, other)", scope, name=name, other=other)

    @rule(name=NAMES, scope=SCOPES)
    def delete(self, name: str, scope: str) -> None:
        self.attempt("del_procedure(name)", scope, name=name)

    @rule()
    def checkpoint(self) -> None:
        self.node.checkpoint()

    @invariant()
    def restarts_change_nothing(self) -> None:
        shown = [self.node.query("procedures_info()", scope=scope) for scope in ("//stuff", "@t")]
        self.node.start()
        assert [self.node.query("procedures_info()", scope=scope) for scope in ("//stuff", "@t")] == shown


TestProcedures = Procedures.TestCase
TestProcedures.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)


@pytest.mark.parametrize(
    "code",
    ["new_procedure('p', || .n = 1)", "x = || .n = 1; new_procedure('p', x)", "new_procedure('p', || .n = 1); nil"],
)
def test_what_nse_holds_back_where_it_is_made_is_a_change_where_it_runs(query: Query, ask: Ask, code: str) -> None:
    query(f"nse(); {code}")
    query(".f = nse(|| .n = 2)")
    assert query("procedure_info('p').load().with_side_effects") is True
    for call in ("p()", ".f()"):
        with pytest.raises(OperationError, match="side effects"):
            query(call)
    assert ask("p").error is None
    assert query(".n") == 1
    assert query("wse(.f())") == 2
