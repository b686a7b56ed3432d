"""Every function and method, called with every kind of value and wrong numbers of them: a value or an error of the
language comes out, never an internal error."""

from __future__ import annotations

import gc
import random
import re
from collections.abc import Iterator

import pytest

from engine.errors import LanguageError, SyntaxFailed
from engine.functions.registry import FUNCTIONS, METHODS, STEPWISE, Declaration, Function, Method
from engine.language.parser import parse
from tests.conftest import Admin, engine_without_password

VALUES = {
    "nil": ["nil"],
    "bool": ["true", "false"],
    "int": ["1", "0", "-1", "2", "60", "9223372036854775807", "-9223372036854775807 - 1", "4294967296"],
    "float": ["1.5", "-0.0", "nan", "inf", "-inf", "1e308", "5e-324"],
    "str": [
        "'a'", "''", "'T'", "'E'", "'A'", "'n'", "'p'", "'int'", "'add'", "'mod'", "'del'", "'rel'", "'admin'",
        "'iris'", "'stuff'", "'music'", "'//stuff'", "'@t'", "'days'", "'UTC'", "'2013-02-06'", "'%Y'",
        "'a b\\n\\0'", "'ü😀'",
        "'(?<a>.)'", "'('", "'[int]'", "'{T}'", "'rooms'", "json_load('\"\\\\ud800\"')",
        "range(99).map(|x| 'ab').join('')",
        "'|x| x + 1'", "'9223372036854775808'", "'1e999'", "'{\"a\": [1, nan]}'",
    ],
    "bytes": ["bytes('a')", "bytes()", "base64_decode('/w==')"],
    "tuple": ["[[1, 'a']][0]", "[[]][0]", "[[nil, {}]][0]"],
    "list": ["[1]", "[]", "[nil, 'a', 1.5, {}]", "['n', 'a']", "[{n: 1}, T{}]", ".l", "[[[1]]]", "range(50)"],
    "set": ["set()", "set({}, T{})", ".s"],
    "plain": [
        "{}", "{n: 1}", "{a: 'int', b: |x| x}", ".a", "{deep: 3, limit: -1}", "{beautify: 1}",
        "{scope: '//stuff', last: 1}",
        "{year: 9223372036854775807, month: -1}", "{dump: true}", "{import_tasks: true}", "{A: nil}",
        "{a: set(), b: [[1]], c: {}}", "root()",
    ],
    "instance": ["T{}", ".t"],
    "enum": ["E{A}", "E{B}"],
    "regex": ["/a/", "/(a|)*/", "/(?<x>b)|./i"],
    "closure": ["|x| x", "||nil", "|x, y| y", "|x| x > 0", "|x| .n = x", "|x| 1 / 0",
                "|a, b, c, d| [a, b, c, d]", "|x| {}"],
    "error": ["err()", "err(-100, 'no')", "try(1 / 0)"],
    "room": ["room()", ".r"],
    "task": ["task()", "task(datetime(), |t| t)", "tasks().first()"],
    "datetime": ["datetime(0)", "datetime()", "datetime('2000-01-31T00:00:00+0200')"],
    "timeval": ["timeval(0)"],
    "future": ["future(nil)", "future(|| 1)"],
    "wrapped": ["{}.wrap('T')", ".a.wrap('T')"],
    "anonymous": ["&{a: 'int'}", "ano({})"],
    "mpdata": ["user_info()", "export({dump: true})"],
}  # fmt: skip
"""Expressions by the kind of value that they give; where a scope lacks the means for one, it gives an error."""

WIDER = {"num": ("int", "float"), "array": ("list", "tuple"), "thing": ("plain", "instance"),
         "raw": ("str", "bytes", "mpdata"), "moment": ("datetime", "timeval")}  # fmt: skip

EVERY = [expression for expressions in VALUES.values() for expression in expressions]
ONE_EACH = [expressions[0] for expressions in VALUES.values()]

SETUPS = {
    "//stuff": """
        set_enum('E', {A: 1, B: 2}); new_type('T'); set_type('T', {n: 'int', s: '{T}', f: |this, x| this.n + x});
        .a = {n: 1, x: 'a'}; .l = [1, 2, {}]; .s = set(.a, {n: 2}); .t = T{n: 1}; .r = room(); .r.set_name('a');
        new_procedure('p', |x| x); task(datetime(), |t| t);
    """,
    "@thingsdb": "new_user('iris'); new_collection('music'); new_procedure('p', |x| x); task(datetime(), |t| t);",
    "@node": "",
}
"""What calls in a scope may work on."""

SCOPES = {"C": "//stuff", "T": "@thingsdb", "N": "@node"}


@pytest.fixture
def few_objects() -> Iterator[None]:
    """Keep what lives already out of the collector's sight: types look through all objects, and the engines that a
    test is done with are collected by it alone."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.collect()


class Trial:
    """A small engine to run calls in, made anew after some that could have taken away what the next one needs."""

    def __init__(self, scope: str, patience: int = 1) -> None:
        self.scope = scope
        self.patience = patience
        self.engines = 0
        self.start()

    def start(self) -> None:
        self.left = self.patience
        self.engines += 1
        if not self.engines % 8:
            gc.collect()
        engine = engine_without_password(clock=lambda: 1_500_000_000.0, seed=1)
        self.engine, self.admin = engine, Admin(engine)
        if setup := SETUPS[self.scope]:
            done = engine.query(self.admin, self.scope, setup)
            assert done.error is None, done.error

    def check(self, code: str, fresh: bool) -> None:
        """Run it; what comes out is a value or an error of the language."""
        done = self.engine.query(self.admin, self.scope, code)
        for outcome in (done, *(done.more or ())):
            assert outcome.error is None or isinstance(outcome.error, LanguageError), f"{self.scope}: {code}"
        if fresh and done.error is None:
            self.left -= 1
            if not self.left:
                self.start()


def fitting(declaration: Declaration, index: int) -> list[str]:
    """Expressions of the kinds that an argument takes."""
    if not declaration.arguments:
        return EVERY
    kinds = declaration.argument(index).kinds
    if "any" in kinds:
        return EVERY
    return [value for kind in kinds for narrow in WIDER.get(kind, (kind,)) for value in VALUES[narrow]]


def argument_lists(declaration: Declaration, chance: random.Random, more: int) -> Iterator[str]:
    """Too few, enough and too many arguments; every kind as each argument, the others as declared; and some of
    anything."""
    most = declaration.least + 2 if declaration.most is None else declaration.most

    def fit(index: int) -> str:
        return chance.choice(fitting(declaration, index))

    for count in range(most + 2):
        yield ", ".join(fit(index) for index in range(count))
    for index in range(min(most, 3)):
        for value in ONE_EACH:
            count = chance.randint(max(index + 1, declaration.least), max(most, index + 1))
            yield ", ".join(value if at == index else fit(at) for at in range(count))
    for _ in range(more * (1 + 2 * (most > 1)) if most else 0):
        count = chance.randint(min(1, most), most)
        pick = fit if chance.random() < 0.8 else lambda _: chance.choice(EVERY)
        yield ", ".join(pick(at) for at in range(count))


MORE = 8
"""How many calls with arguments of any kind, a function and argument."""


def entries(name: str) -> list[Method]:
    """The methods of that name, each once."""
    found = [*METHODS[name].values(), *STEPWISE.get(name, {}).values()]
    return list({method.receiver: method for method in found}.values())


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("letter", "CTN")
def test_functions_take_any_arguments(letter: str) -> None:
    trial = Trial(SCOPES[letter])
    for name, function in sorted(FUNCTIONS.items()):
        chance = random.Random(f"{letter} {name}")
        if letter not in function.scopes:
            trial.check(f"{name}({', '.join(fitting(function, at)[0] for at in range(function.least))})", False)
            continue
        # What every scope does alike is tried at length in one of them.
        more = MORE if letter == "C" or function.scopes != "CTN" else 1
        for arguments in argument_lists(function, chance, more):
            if more > 1 or chance.random() < 0.3:
                trial.check(f"{name}({arguments})", function.changes_in(letter))


@pytest.mark.usefixtures("few_objects")
def test_methods_take_any_arguments() -> None:
    trial = Trial("//stuff", patience=20)
    for name in sorted(METHODS):
        for method in entries(name):
            chance = random.Random(f"{method.receiver} {name}")
            receivers = [value for kind in WIDER.get(method.receiver, (method.receiver,)) for value in VALUES[kind]]
            for arguments in argument_lists(method, chance, MORE):
                trial.check(f"({chance.choice(receivers)}).{name}({arguments})", method.mutates)


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("letter", "CTN")
def test_methods_of_any_value(letter: str) -> None:
    trial = Trial(SCOPES[letter])
    chance = random.Random(letter)
    for name in sorted(METHODS):
        for values in VALUES.values():
            method = entries(name)[0]
            if letter == "C" or chance.random() < 0.2:
                arguments = ", ".join(chance.choice(fitting(method, at)) for at in range(method.least))
                trial.check(f"({chance.choice(values)}).{name}({arguments})", False)


def declarations() -> list[Function | Method]:
    return [*FUNCTIONS.values(), *(method for name in METHODS for method in entries(name))]


@pytest.mark.parametrize("entry", declarations(), ids=lambda entry: f"{getattr(entry, 'receiver', '')} {entry.name}")
def test_documentation(entry: Function | Method) -> None:
    assert re.fullmatch(r"[A-Z`][^\n]*[.?]", entry.doc)
    sentences = re.sub(r"`[^`]*`", "x", entry.doc)
    assert not re.search(r"[.!?] +[A-Z]", sentences)
    try:
        parse(entry.example)
    except SyntaxFailed as error:
        raise AssertionError(entry.example) from error
    assert re.search(rf"\b{re.escape(entry.name)}\(", entry.example)
