"""Every function and method that reads, on stored values: a live query that calls it knows of every change of its
result. What is declared later is tested without a word here, or named as what can't be tested so.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from engine.errors import EngineError
from engine.functions.registry import FUNCTIONS, METHODS, Declaration
from engine.language.compiler import compile_query
from tests.watch.living import World, copied
from tests.watch.reading import START

MORE = """
.i = 2; .fl = 1.5; .by = bytes('x'); .re = regex('a'); .dt = datetime(2020, 1, 1); .tv = timeval(2020, 1, 1);
.er = err(-100, 'no'); .ro = room(); .ta = task(datetime().move('years', 1), |x, y, z| nil, [1, 2]);
.yes = true; .none = nil;
.num = '12'; .json = '[1]'; .word = 'Dog'; .seven = {n: 7};
.sum = |a, b| 1; .ro.set_name('hall');
.a.home = .h; .box2 = {}; .box2.restrict('int'); .box2.n = 1;
"""

VALUES = {
    "nil": [".none"],
    "bool": [".yes"],
    "int": [".i", "0", "5", "17", "40"],
    "float": [".fl"],
    "str": [".text", "'Dog'", "'Home'", "'Colour'", "'total'", "'n'", "'name'", "'guest'", "'stuff'", ".word", ".num",
            ".json", "'years'", "'Europe/Amsterdam'", "'int'"],
    "bytes": [".by"],
    "regex": [".re"],
    "list": [".list", ".nums", ".list.map(|x| x.t)", ".list[0:2]", "[.text, 'b']", "[17, 18]"],
    "tuple": [".rows[0]", "[[.a, .b]][0]", "[['a', .text]][0]"],
    "set": [".set", ".h.dogs", "(.set | .a.pals)"],
    "thing": [".a", ".map", ".h", ".list[0]", "root()", ".seven", "{n: .i, t: .map}", "{deep: 2}"],
    "closure": [".f", "|x| x", "|k, x| x", "|x| x.n", "|x, y| y", "|x| type(x)"],
    "wrapped": [".w", ".v", ".a.wrap('View')"],
    "anonymous": ["&{n: 'int', older: |x| .i}"],
    "enum": [".e", ".a.c"],
    "error": [".er"],
    "datetime": [".dt"],
    "timeval": [".tv"],
    "room": [".ro"],
    "task": [".ta"],
    "mpdata": ["type_info('Dog')"],
}  # fmt: skip
"""Expressions for values of each kind, most of them stored."""

VALUES |= {
    "any": [values[0] for values in VALUES.values()] + [".list", ".set", ".w"],
    "num": VALUES["int"] + VALUES["float"],
    "plain": VALUES["thing"],
    "instance": VALUES["thing"],
}

CALLS = {
    "type_assert": ["type_assert(.i, 'int')", "type_assert(.map.n, ['int', 'float'])"],
    "ano": [".map.wrap(ano({n: .word == 'Dog' ? 'int' : 'str'}))"],
}
"""Calls of what takes values of no kind alone."""

UNTESTED = {
    **dict.fromkeys(("now", "timeit"), "gives the clock's time"),
    **dict.fromkeys(("rand", "randint", "randstr", "choice"), "gives what chance gives"),
    "refs": "is refused",
    **dict.fromkeys(("log", "emit", "watch", "unwatch"), "says something, which is refused"),
    **dict.fromkeys(("future", "then", "else", "is_future"), "is for futures, which are refused"),
    "commit": "needs a change",
    "raise": "gives nothing",
    **dict.fromkeys(("wse", "set_name", "set_args", "set_closure", "set_owner", "cancel", "del"), "changes something"),
    **dict.fromkeys(("has_module", "module_info", "modules_info", "is_module"), "is about modules, see below"),
    **dict.fromkeys(
        ("backup_info", "backups_info", "backups_ok", "counters", "has_backup", "node", "node_info"), "@node"
    ),
    **dict.fromkeys(("nodes_info", "nodes", "del_backup", "new_backup", "shutdown", "restart_module"), "@node"),
    **dict.fromkeys(("reset_counters", "set_log_level", "set_loglevel", "set_zone"), "@node"),
    "has_node": "tells of nodes, of which there is one",
    **dict.fromkeys(("again_at", "again_in"), "is for running tasks"),
    **dict.fromkeys(("history",), "tells of commits, which need a history: tested below"),
}
"""Names of functions and methods, and why they are not called here."""

STUFF_CHANGES = [
    ".i = 3", ".fl = 2.5", ".by = bytes('zz')", ".re = regex('t')", ".dt = datetime(2021, 2, 3)",
    ".tv = timeval(2021, 2, 3)", ".er = err(-101, 'never')", ".yes = false", ".none = 1", ".num = '77'",
    ".json = '[2, 3]'", ".text = 'b'", ".word = 'Home'", ".seven.n = 8", ".map.n = 5", ".map.t.n = 6",
    ".map.set('odd key', 3)", ".map.del('n')", ".map.name = 'text'", ".map.n = 3", ".list[0].n = 9",
    ".list[0].t.n = 8", ".list[1].t.t.n = 7", ".list.push({n: 4, t: {n: 1}})", ".list.pop()", ".list[2] = .list[0]",
    ".nums.push(8)", ".nums[0] = 6", ".rows[0].len(); .rows = [[7, 8]]", ".set.add({n: 5})",
    ".set.remove(.set.one())", ".set.one().n = 11", ".a.name = 'z'", ".a.age += 1", ".b.age += 1",
    ".a.c = Colour{BLUE}", ".a.pals.add(Dog{name: 'p'})", ".a.pals.one().name = 'q'", ".a.toys.push({n: 3})",
    ".a.toys[0].n = 4", ".h.any = {n: 1}", ".h.any.n = 2", ".a.home = .g", ".h.dogs.add(.b)", ".h.dogs.clear()",
    ".h.best = .b", ".g.other = .h", ".a.size = Size{L}", ".f = |x| x.age", ".f = |x| .i", ".i = 4",
    ".sum = |a, b| b", ".w = .b.wrap('HomeView')", ".v = .seven.wrap('View')", ".w = .a.wrap('View')",
    ".e = Colour{BLUE}", "mod_enum('Colour', 'mod', 'RED', {n: 9})", "Colour{RED}.value().n = 10",
    "mod_enum('Colour', 'add', 'GREEN', {n: 3})", "mod_enum('Colour', 'mod', 'tone', |this| 1)",
    "mod_enum('Size', 'def', 'L')", "mod_enum('Colour', 'ren', 'GREEN', 'LIME')", "mod_enum('Colour', 'del', 'LIME')",
    "mod_procedure('total', || .map.n)", "mod_procedure('name_of', |d| 'x')", "new_procedure('other', || 1)",
    "rename_procedure('other', 'another')", "del_procedure('another')", "mod_type('Dog', 'add', 'x', 'str', 'x')",
    "mod_type('Dog', 'mod', 'older', |this| 0)", "mod_type('View', 'mod', 'seen', |this| .i)", ".i = 6",
    "mod_type('View', 'add', 'm', 'int')", "mod_type('View', 'del', 'age')", "mod_type('Dog', 'ren', 'x', 'y')",
    "mod_type('Dog', 'del', 'y')", ".fresh = Dog{name: 'fresh'}", ".del('fresh')", "new_type('Other')",
    "set_type('Other', {n: 'int'})", ".seven = {n: 1}", ".seven.to_type('Other')", ".seven.n = 9",
    "rename_type('Other', 'Another')", ".seven.to_thing()", "del_type('Another')",
    ".ta = task(datetime().move('years', 1), |x, y, z| nil, [1, 2])", ".ta.set_args([3, 4])",
    ".ta.set_closure(|x, y, z| x)", ".ta2 = task(datetime().move('years', 2), || nil)", ".ta.set_owner('admin')",
    ".ta2.del()", ".ro.set_name('room')", ".ro = room()", ".ro.set_name('attic')", ".box2.n = 2",
    ".box2.restrict(nil)", ".list.sort(|x, y| y.n - x.n).len(); .list = []", ".list = [{n: 1, t: .map}]", ".a = .b",
    ".del('b')", ".map = {n: 1}", ".set = set(.map)", ".h = Home{}", ".ta.cancel()", ".ta.del()",
    "rename_enum('Colour', 'Color')",
]  # fmt: skip

SERVER_CHANGES = [
    "rename_user('guest', 'visitor')", "new_user('other')", "grant('//stuff', 'other', QUERY)",
    "revoke('//stuff', 'other', QUERY)", "new_token('other', nil, 'a token')", "del_user('other')",
    "rename_user('visitor', 'guest')", "set_default_deep('//stuff', 2)",
    "set_time_zone('//stuff', 'Europe/Amsterdam')", "new_collection('more')", "rename_collection('more', 'most')",
    "del_collection('most')", "new_procedure('p', || 1)", "del_procedure('p')",
    "whitelist_add('admin', 'procedures')", "whitelist_del('admin', 'procedures')",
    "set_quota('stuff', 'things', 9999)", "task(datetime().move('years', 1), || nil)",
    "set_password('guest', 'long enough')", "set_history('//stuff', true)", "grant('@thingsdb', 'guest', QUERY)",
]  # fmt: skip


TRIED, SUCCESSES, FAILURES = 80, 5, 2
"""How many calls of a function are tried, and of these kept to be followed."""


def calls_of(declaration: Declaration, receivers: list[str] | None, chance: random.Random) -> Iterator[str]:
    """Calls in random combinations of what it might take, few arguments first."""

    def values(index: int) -> list[str]:
        kinds = declaration.argument(index).kinds
        return list(dict.fromkeys(value for kind in kinds for value in VALUES.get(kind, ())))

    most = declaration.least + 2 if declaration.most is None else min(declaration.most, declaration.least + 2)
    for count in range(declaration.least, most + 1):
        choices = [[""] if receivers is None else [f"({receiver})." for receiver in receivers]]
        choices += [values(index) for index in range(count)]
        combinations = math.prod(map(len, choices))
        for place in chance.sample(range(combinations), min(combinations, TRIED)):
            head, *given = [some[place // math.prod(map(len, choices[:index])) % len(some)]
                            for index, some in enumerate(choices)]  # fmt: skip
            yield f"{head}{declaration.name}({', '.join(given)})"


def calls(world: World, scope: str) -> dict[str, list[str]]:
    """Calls of every function and method that reads in a scope, those first that succeed."""
    chance = random.Random(7)
    kind = "C" if scope == "//stuff" else "T"
    found: dict[str, list[str]] = {}

    def add(name: str, candidates: Iterator[str]) -> None:
        succeed: list[str] = []
        fail: list[str] = []
        for code in (*CALLS.get(name, ()), *candidates):
            if len(succeed) < SUCCESSES and not compile_query(code, kind).changes:
                outcome = world.engine.query(world.client, scope, code)
                (succeed if outcome.error is None else fail).append(code)
        found[name] = succeed
        found[f"{name}, failing"] = fail[:FAILURES]

    for name, function in FUNCTIONS.items():
        if name not in UNTESTED and not function.changes and kind in function.scopes:
            add(name, calls_of(function, None, chance))
    for name, methods in METHODS.items():
        if name not in UNTESTED and kind == "C":
            for method in {id(one): one for one in methods.values() if not one.mutates}.values():
                if method.receiver in VALUES:
                    add(f"{method.receiver}.{name}", calls_of(method, VALUES[method.receiver], chance))
    return found


def _subscribed(world: World, code: str, scope: str) -> int:
    try:
        return world.subscribe(code, scope=scope)
    except EngineError as error:
        raise AssertionError((code, error)) from error


def follow(world: World, scope: str, codes: list[str], statements: list[tuple[str, str]]) -> set[str]:
    """Run statements, each with its scope, and see that live queries of the codes know their results; gives the codes
    that ever had one."""
    held: dict[int, str] = {}
    lived: set[str] = set()
    left = dict.fromkeys(codes)

    def subscribe() -> None:
        lives = set(held.values())
        for code in [code for code in left if code not in lives]:
            plain = world.change(code, scope)
            world.run()
            if plain.change is not None:  # it does more than to read
                del left[code]
            elif plain.error is None:
                held[_subscribed(world, code, scope)] = code
                lived.add(code)

    subscribe()
    for place, (where, statement) in enumerate(statements):
        outcome = world.change(statement, where)
        assert outcome.error is None, (statement, outcome.error)
        world.run()
        for number, code in list(held.items()):
            why = world.client.ended.get(number)
            if why is not None:
                del held[number]
                if "can change nothing" in why:
                    del left[code]
                    continue
            plain = world.engine.query(world.client, scope, code)
            assert (plain.error is None) == (why is None), (code, statement, plain.error, why)
            if why is None:
                assert world.client.values[number] == copied(plain.value), (code, statement)
        if not place % 12:
            subscribe()
    return lived


@pytest.mark.parametrize("scope", ["//stuff", "@thingsdb"])
def test_every_function_that_reads_notes_what_it_reads(scope: str) -> None:
    def world() -> World:
        made = World(START + MORE)
        made.change("new_user('guest')", "@thingsdb")
        made.live.per_connection = 100_000
        return made

    found = calls(world(), scope)
    statements = [("//stuff", change) for change in STUFF_CHANGES] + [
        ("@thingsdb", change) for change in SERVER_CHANGES
    ]
    lived = follow(world(), scope, [code for calls in found.values() for code in calls], statements)
    if scope == "//stuff":
        never = [
            name for name, calls in found.items() if not name.endswith("failing") and not lived.intersection(calls)
        ]
        assert not never, f"no call of these succeeded, give VALUES what they take: {never}"


@pytest.mark.parametrize("name", ["log", "emit", "watch", "unwatch", "future", "refs"])
def test_what_says_something_is_refused(name: str) -> None:
    world = World("")
    codes = {"emit": "root().emit('x')", "watch": "root().watch()", "unwatch": "root().unwatch()"}
    with pytest.raises(EngineError):
        world.subscribe(codes.get(name, f"{name}(nil)"))


def test_commits_are_read() -> None:
    world = World("")
    world.change("set_history('//stuff', true)", "@thingsdb")
    codes = ["history({scope: '//stuff', last: 5})", "collection_info('stuff')"]
    changes = [
        ("//stuff", ".x = 1; commit('first')"),
        ("//stuff", ".x = 2; commit('second')"),
        ("@thingsdb", "del_history({scope: '//stuff', last: 1})"),
        ("@thingsdb", "set_history('//stuff', false)"),
    ]
    lived = follow(world, "@thingsdb", codes, changes)
    assert lived == set(codes)


def test_modules_are_read() -> None:
    world = World("")
    changes = [("@thingsdb", "new_module('hello', 'hello.py')"), ("@thingsdb", "del_module('hello')")]
    codes = ["has_module('hello')", "modules_info().len()", "try(module_info('hello').load().name)"]
    assert follow(world, "//stuff", codes, changes) == set(codes)
