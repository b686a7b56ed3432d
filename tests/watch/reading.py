"""Random code that reads, and random statements that change what it reads: for tests of live queries.

Strategies are made level by level, so that code is as deep as a level says. Closures read what they are called with.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from hypothesis import strategies as st

__all__ = ["START", "changes", "queries"]

Text = st.SearchStrategy[str]

START = """
new_type('Dog'); new_type('Home'); new_type('View', true); new_type('HomeView', true);
set_enum('Colour', {RED: {n: 1}, BLUE: {n: 2}, tone: |this| this.value().n * 10});
set_enum('Size', {S: 1, L: 2, next: |this, n| this.value() + n});
set_type('Dog', {
    name: 'str', age: 'int', home: 'Home?', pals: '{Dog}', toys: '[thing]', c: 'Colour', size: 'Size',
    older: |this| this.age + 1, names: |this| this.pals.map(|d| d.name),
});
set_type('Home', {
    dogs: '{Dog}', best: 'Dog?', any: 'any', other: 'Home?',
    ages: |this| this.dogs.reduce(|sum, d| sum + d.age, 0),
});
set_type('View', {
    name: 'str', age: 'int', home: 'HomeView?', pals: '[View]', toys: '&[]', c: '*Colour', t: 'View', n: 'int',
    seen: |this| this.age, far: |this| try(this.home.best.name),
});
set_type('HomeView', {dogs: '[View]', best: '&View?', any: '-any', count: |this| this.dogs.len()});
mod_type('Dog', 'rel', 'home', 'dogs');
mod_type('Home', 'rel', 'other', 'other');
new_procedure('total', || .list.map(|x| x.n).sum());
new_procedure('name_of', |d| d.name);
new_procedure('pick', |i| .list[i]);
.list = range(4).map(|i| {n: i, t: {n: i + 10, t: {n: i + 20}}});
.nums = [3, 1, 2]; .rows = [[1, 2], [3]];
.set = set(.list[0], .list[1], {n: 7});
.a = Dog{name: 'a', age: 1}; .b = Dog{name: 'b', age: 2, toys: [{n: 1}]}; .h = Home{}; .g = Home{best: .b};
.a.pals.add(.b); .h.dogs.add(.a); .h.other = .g;
.map = {n: 1, t: {n: 3}}; .map.set('odd key', 2); .text = 'some text';
.f = |x| x.n; .w = .a.wrap('View'); .e = Colour{RED}; .v = .map.wrap('View');
.box = {}; .box.restrict('thing'); .box.one = {n: 1};
nil;
"""


class Level(NamedTuple):
    """Code that gives a thing, a list, a set, a number, a text, and any of these."""

    thing: Text
    list: Text
    set: Text
    number: Text
    value: Text


names = st.sampled_from(
    ["n", "t", "name", "age", "home", "best", "pals", "toys", "c", "any", "other", "dogs", "odd key"]
)
types = st.sampled_from(["Dog", "Home", "View", "HomeView", "Other"])
plain_types = st.sampled_from(["Dog", "Home"])
ids = st.integers(2, 60).map(str)
deeps = st.integers(0, 4).map(str)
places = st.sampled_from(["0", "1", "-1", "2", "5"])


def build(*patterns: str, **parts: Text) -> Text:
    """Code by patterns that name parts; each `{name}` is drawn for itself."""

    def one(pattern: str) -> Text:
        pieces = pattern.split("«")
        drawn = [st.just(pieces[0])]
        for piece in pieces[1:]:
            name, _, rest = piece.partition("»")
            drawn += [parts[name.rstrip("0123456789")], st.just(rest)]
        return st.tuples(*drawn).map("".join)

    return st.sampled_from(patterns).flatmap(one) if len(patterns) > 1 else one(patterns[0])


@cache
def level(depth: int, bound: str = "") -> Level:
    """Code of so many levels; `bound` are the names of variables that hold things or other values."""
    first = [".a", ".b", ".h", ".g", ".map", ".map.t", ".list[0]", ".list[1].t", ".list[-1]", ".box.one", "root()"]
    atoms = Level(
        thing=st.sampled_from([*first, *(list(bound) * 6)]),
        list=st.sampled_from([".list", ".nums", ".rows", ".b.toys", ".list[0:2]"]),
        set=st.sampled_from([".set", ".h.dogs", ".a.pals", ".g.dogs"]),
        number=st.sampled_from([".a.age", ".list[0].n", ".nums[0]", ".map.n", "2", *(f"{name}.n" for name in bound)]),
        value=st.sampled_from([".text", ".w", ".e", ".v", ".f", "nil", "true", "2", "'a'", ".map['odd key']", ".a.c"]),
    )
    if depth == 0:
        return atoms._replace(value=st.one_of(*atoms))
    below = level(depth - 1, bound)
    inner = level(depth - 1, "".join(sorted(set(bound + "x"))))
    pairs = level(depth - 1, "".join(sorted(set(bound + "xy"))))

    parts = {
        "T": below.thing, "L": below.list, "S": below.set, "N": below.number, "V": below.value,
        "name": names, "type": types, "kind": plain_types, "id": ids, "deep": deeps, "place": places,
        # What closures give: any value, or a thing, or a number. They take one value, or two.
        "fv": build("|x| «V»", V=inner.value), "ft": build("|x| «V»", V=inner.thing),
        "fn": st.one_of(build("|x| «V»", V=inner.number), st.sampled_from(["|x| x.n", "|x| x.age", ".f"])),
        "fk": build("|k, x| «V»", V=inner.value), "gv": build("|x, y| «V»", V=pairs.value),
    }  # fmt: skip
    both = {**parts, "C": st.one_of(parts["fv"], parts["fn"])}
    thing = build(
        "«L»[«place»]", "«L».first()", "«L».last(nil)", "«S».one()", "«L».find(«C»)", "«S».find(«C», «T»)",
        "thing(«id»)", "«T».«field»", "«T».home", "«T».t", "«T».best", "«T».get('«name»', «T»)", "«T»['«name»']",
        "«kind»(«id»)", "«T».copy(«deep»)", "«T».dup(«deep»)", "«T».filter(«fk»)", "«T».vmap(«C»)",
        "Colour{RED}.value()", ".e.value()", "«T».wrap('«type»').unwrap()", "(«N» ? «T» : «T»)", "pick(«N»)",
        "«kind»{}", "{n: «V», t: «T»}", "«T».c.value()", "run('pick', «N»)", "«kind»(«T»)", "enum_map('Colour')",
        "(«T» && «T»)", "(«T» || «T»)", "new('«kind»', {name: 'x'})", "(|x| «T»).call(«T»)", "thing(«T»)",
        "«L».sort(«fn»)[0]", "try(«T»)", "«T».w.unwrap()",
        field=names.filter(str.isidentifier), **both,
    )  # fmt: skip
    list_ = build(
        "«L».map(«C»)", "«S».map(«C»)", "«T».map(«fk»)", "«L».filter(«C»)", "«L».sort(«fn»)", "«L».sort()",
        "«T».keys()", "«T».values()", "«L».reverse()", "«L».unique()", "«L».flat()", "«L».copy(«deep»)",
        "«L».dup(«deep»)", "«L»[«place»:«place»]", "range(«N»)", "list(«S»)", "list(«L»)", "«L».map_wrap('«type»')",
        "«S».map_wrap('«type»')", "«L».map_id()", "«S».map_id()", "«L».map_type('«kind»')", "type_all('«kind»')",
        "[«V», «V»]", "«L» + «L»", "«T».toys", "«T».search(«T», {deep: «deep»})", "«L».sort(|x, y| y.n - x.n)",
        "(|x| «L»).call(«T»)", "{ z = []; for (x in «L») { z.push(«inner»); }; z; }",
        "{ z = []; for (k, x in «T») { z.push(«inner»); }; z; }", "'a,b'.split(',')", "json_load(json_dump(«L»))",
        "«S».copy(«deep»).map(|x| x)", "(«N» ? «L» : «L»)",
        inner=inner.value, **both,
    )  # fmt: skip
    set_ = build(
        "(«S» | «S»)", "(«S» & «S»)", "(«S» - «S»)", "(«S» ^ «S»)", "set(«T», «T»)", "set(«L»)", "«S».filter(«C»)",
        "«S».copy()", "«S».dup(«deep»)", "«T».pals", "«T».dogs", "set(type_all('«kind»'))",
        **both,
    )  # fmt: skip
    number = build(
        "«L».len()", "«S».len()", "«T».len()", "«L».reduce(|sum, x| sum + «n», 0)",
        "«S».reduce(|sum, x| sum + «n», 0)", "«L».count(«C»)", "«L».count(«V»)", "«L».find_index(«C»)",
        "«L».index_of(«V»)", "«L».sum(«fn»)", "«L».max(«fn»)", "«L».min()", "«N» + «N»", "«T».n", "«T».age",
        "«T».id()", "type_count('«kind»')", "total()", "run('total')", "«T».older()", "«T».ages()", "«T».c.tone()",
        "«T».size.next(«N»)", "«T».get('n', 0)", "Size(2).value()", ".f(«T»)", "types_info().len()",
        "«T».wrap('View').seen()", "(«N» ? «N» : «N»)", "-«N»", "int(«V»)", "abs(«N»)",
        n=inner.number, **both,
    )  # fmt: skip
    value = build(
        "«V»", "«T»", "«L»", "«S»", "«N»", "«V» == «V»", "«N» > «N»", "«T».has('«name»')", "«T».get('«name»')",
        "«T».equals(«T», «deep»)", "«L».has(«V»)", "«S».has(«T»)", "«L».every(«C»)", "«L».some(«C»)", "«S».some(«C»)",
        "«S».every(«C»)", "«L».is_unique()", "«L».join(',')", "type(«V»)", "str(«V»)", "bool(«V»)", "is_thing(«V»)",
        "is_str(«V»)", "!«V»", "(«V» && «V»)", "(«V» || «V»)", "(«N» ? «V» : «V»)", "try(«V»)", "«T».wrap('«type»')",
        "«T».wrap()", "«T».wrap(&{n: 'int', t: 'View', sum: |x| «inner»})", "«T».name", "«T».names()",
        "json_dump(«V»)", "json_dump(«V», {deep: «deep»})", "[«T».wrap('«type»'), «V»]", "name_of(«T»)",
        "run('name_of', «T»)", "has_type('«type»')", "type_info('«kind»')", "enum_info('Colour')", "enums_info()",
        "types_info()", "procedures_info()", "procedure_info('total')", "has_procedure('total')", "has_enum('Size')",
        "export()", "«T».restriction()", "«L».restriction()", "«T».copy(«deep»)", "«T».wrap('«type»').copy(«deep»)",
        "`{«T».n}`", "«L».reduce(«gv»)", "«S».reduce(«gv»)", "«T».each(«fk»)", "«L».each(«C»)", "«S».each(«C»)",
        "{ if («N» > 1) { «V»; } else { «V»; }; }", "{ return «V», «deep»; }",
        "type_assert(«V», ['thing', 'int', 'list'])", "«T».c", "«T».size.name()", "assert(«V»)", "«T» == «T»",
        "(|x| «V»).call(«T»)", "now()", "«T».wrap('«type»').id()", "root().keys()", "tasks()", "raise(str(«V»))",
        "user_info().load().name", "is_err(try(raise(str(«V»))))", "&{n: «V», t: «T»}", "deep()", "is_list(«V»)",
        "is_set(«V»)", "«T».any", "{a: «V», b: «V»}", "change_id()", "{ z = «T»; z.n; }", "{ z = «L»; z.len(); }",
        "«T».wrap('View').far()",
        inner=inner.value, **both,
    )  # fmt: skip
    return Level(*(st.one_of(one, two) for one, two in zip(atoms, (thing, list_, set_, number, value), strict=True)))


def queries(depth: int = 3) -> Text:
    """Code that only reads. Much of it fails."""
    code = st.one_of(*(level(depth).value for depth in range(1, depth + 1)))
    return st.one_of(
        code, build("try(«V»)", V=code), build("return «V», «deep»", V=code, deep=deeps),
        build("return «V», «deep», NO_IDS", V=code, deep=deeps),
    )  # fmt: skip


def changes() -> Text:
    """Statements that each change little, so that what was not noted as read shows."""
    things = st.sampled_from(
        [
            ".a", ".b", ".h", ".g", ".map", ".map.t", ".list[0]", ".list[1]", ".list[1].t", ".list[-1]", ".list[2].t.t",
            ".box", ".box.one", ".b.toys[0]", ".set.one()", ".h.best", ".a.home", "Colour{RED}.value()", "root()",
        ]
    )  # fmt: skip
    dogs = st.sampled_from([".a", ".b", "Dog{name: 'new'}", ".h.dogs.one()", ".g.best", "Dog{name: 'c', age: 5}"])
    homes = st.sampled_from([".h", ".g", "Home{}", "nil"])
    values = st.sampled_from(
        [
            "1", "2", "5", "nil", "'text'", "{n: 5}", ".a", ".b", ".list[0]", "{}", "[1, {n: 2}]", "true", "1.0",
            ".a.wrap('View')", "|x| x.age", "Colour{BLUE}", "set(.a)", "{n: 1, t: {n: 2}}",
        ]
    )  # fmt: skip
    return build(
        "«T».n += 1", "«T».n += 1", "«T».age += 1", "«D».age += 1", "«D».name = 'z'", "«D».name += 'z'",
        "«D».home = «H»", "«H».best = «D»", "«H».other = «H»", "«H».dogs.add(«D»)", "«H».dogs.remove(«D»)",
        "«H».dogs.clear()", "«H».any = «V»", "«D».pals.add(«D»)", "«D».pals.remove(«D»)", "«D».pals.clear()",
        "«D».toys.push({n: 3})", "«D».toys.pop()", "«D».c = Colour{BLUE}", "«D».c = Colour{RED}",
        "«D».size = Size{L}", "«T».t = «V»", "«T».set('odd key', «V»)", "«T».del('t')", "«T».del('n')",
        "«T».ren('n', 'm')", "«T».«name» = «V»", ".list.push({n: 8, t: {n: 9}})", ".list.pop()", ".list.shift()",
        ".list.unshift({n: 1})", ".list[1] = .list[0]", ".list.splice(1, 1, .a)", ".nums.push(9)", ".nums[0] = 7",
        ".nums = [2]", ".rows[0].len(); .rows.push([4])", ".set.add({n: 6})", ".set.add(.list[2])",
        ".set.remove(.set.one())", ".set.clear()", ".text = 'b'", ".f = |x| x.age", ".f = |x| .map.n",
        ".w = .b.wrap('View')", ".v = .list[0].wrap('HomeView')", ".e = Colour{BLUE}", ".a = .b", ".b = «D»",
        ".h = .g", ".g = Home{}", ".del('b')", ".map = {n: 4}", ".map.clear()", ".box.two = {n: 2}",
        ".box.one = .list[0]", ".box.restrict(nil)", "«T».assign({n: 3})", "«T».to_type('Home')", "«D».to_thing()",
        "wse(«T».to_type('Dog'))", ".del('a')", ".list = []", ".extra = «D»", ".del('extra')",
        "mod_enum('Colour', 'mod', 'RED', {n: 9})", "mod_enum('Colour', 'add', 'GREEN', {n: 3})",
        "mod_enum('Size', 'mod', 'S', 4)", "mod_enum('Size', 'def', 'L')",
        "mod_enum('Colour', 'mod', 'tone', |this| this.value().n)", "mod_enum('Size', 'ren', 'S', 'M')",
        "mod_procedure('total', || .map.n)", "mod_procedure('pick', |i| .list[0])", "del_procedure('total')",
        "rename_procedure('total', 'sum')", "mod_type('Dog', 'add', 'extra', 'str', 'x')",
        "mod_type('Dog', 'del', 'age')", "mod_type('Dog', 'ren', 'age', 'n')",
        "mod_type('Dog', 'mod', 'age', 'float', |d| float(d.age))",
        "mod_type('Dog', 'mod', 'older', |this| this.age + 5)", "mod_type('View', 'add', 'm', 'int')",
        "mod_type('View', 'del', 'name')", "mod_type('View', 'mod', 'seen', |this| try(this.n))",
        "mod_type('Home', 'ren', 'dogs', 'pack')", "rename_type('Dog', 'Hound')", "rename_enum('Colour', 'Color')",
        "del_type('HomeView')", "set_type('Other', {n: 'int'}); .o = Other{n: 1}",
        "mod_type('HomeView', 'mod', 'best', 'View?')", "new_type('Other')", "task(datetime() , || nil)",
        "mod_type('Dog', 'rel', 'home', nil)", "mod_type('View', 'wpo', false)", "nil",
        T=things, D=dogs, H=homes, V=values, name=names.filter(str.isidentifier),
    )  # fmt: skip
