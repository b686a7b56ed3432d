"""Random programs: queries that make, change and use types. Many of them fail, as queries of people do."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["SETUP", "programs"]

SETUP = [
    "set_enum('E', {A: 1, B: 2}); new_type('T'); new_type('U'); new_type('V');",
    "set_type('U', {t: 'T?', many: '{T}', n: 'int', u: 'U?'});",
    "set_type('T', {n: 'int', u: 'U?', us: '{U}', s: 'str?', l: '[int]', t: 'T?', ts: '{T}', f: |this| this.n});",
    "set_type('V', {k: 'thing<int>', r: 'room', a: 'any'});",
    ".a = T{}; .b = T{}; .c = U{}; .d = U{}; .e = V{}; .x = T{}; .y = U{}; .l = [T{}, {n: 1}];",
]
"""What a program may begin with, so that it has something to work on."""

TYPES = st.sampled_from("TTTTUUUVW")
NEW_NAMES = st.sampled_from(("k", "p", "new", "id", "f", "n"))
PLACES = st.sampled_from(("a", "b", "c", "d", "e", "x", "y"))
_FIELDS = {
    "T": ("n", "u", "us", "s", "l", "t", "ts", "k", "p"),
    "U": ("n", "t", "many", "u", "k", "p"),
    "V": ("k", "r", "a"),
    "W": ("z", "k"),
}
_HOLD = {"a": "T", "b": "T", "x": "T", "c": "U", "d": "U", "y": "U", "e": "V"}
# "T', 'n" is a type and one of its fields, as they stand in a call of mod_type; "a.n" a field of what is in a place.
TYPE_FIELDS = st.sampled_from([f"{name}', '{field}" for name in "TTTUUUV" for field in _FIELDS[name]])
PLACE_FIELDS = st.sampled_from([f"{place}.{field}" for place, name in _HOLD.items() for field in _FIELDS[name]])
PLACE_KEYS = st.sampled_from([f"{place}.set('{field}'" for place, name in _HOLD.items() for field in _FIELDS[name]])
FIELDS = st.sampled_from(("n", "u", "us", "s", "l", "t", "ts", "many", "k"))

DEFINITIONS = st.sampled_from(
    (
        "any", "int", "int?", "uint", "number", "float", "str", "str?", "utf8", "raw", "bytes", "bool", "bool<true>",
        "regex", "closure", "error", "room", "email", "email<a@b>", "tel", "enum", "E", "E?", "E{B}", "T", "T?", "U",
        "U?", "V", "V?", "W?", "thing", "thing?", "thing<int>", "thing<T>", "thing<E>?", "thing<str?>", "[]", "[int]",
        "[int?]", "[number]", "[T]", "[U]?", "[thing]", "[E]", "{}", "{T}", "{U}", "{U}?", "{thing}", "{V}", "#",
        "str<1:3>", "str<0:9:x>", "int<1:5>", "int<:>", "float<0:1:0.5>", "/^a/<a>", "/b/i?", "&T?", "+^T?", "!any",
        "nope", "", "[[]]", "{int}",
    )
)  # fmt: skip
VALUES = st.sampled_from(
    (
        "nil", "0", "7", "-3", "1.5", "true", "'a'", "'abc'", "''", "bytes('z')", "[]", "[1, 2]", "['x']", "[.a]",
        "set()", "set(.a)", "set(.a, .b)", "set(.c, .d)", "set(.x, T{})", "set(U{})", "{}", "{n: 3}", "{q: 'z'}",
        "{l: [4], s: 'm'}", "T{}", "U{}", "V{}", "T{n: 4, l: [1]}", "T{s: 'k', t: T{}}", ".a", ".b", ".c", ".d",
        ".e", ".x", ".a.l", ".a.ts", ".a.t", "E{A}", "E{B}", "/x/i", "|x| x", "room()", "err(-100, 'm')", "v", "w",
        ".a.dup()", "new('T', .a)", "{k: T{}, l: [U{}]}",
    )
)  # fmt: skip
CLOSURES = st.sampled_from(
    (
        "|x| nil", "|x| x", "|x| 1/0", "|x| 5", "|x| x.n", "|x| str(x.n)", "|x| {x.n = 9; nil}", "|x| T{}",
        "|x| {.made = T{}; 3}", "|x| set(x)", "|x| [x.n]", "|x| {.b.n += 1; .b.n}", "|x| {.del('d'); 'q'}",
        "|x| {x.t = .a; nil}", "|x| {k: 1}", "|x| U{}", "|x| x.n > 0 ? 'bad' : 2", "|x| {y = x.dup(); .made = y; y}",
    )
)  # fmt: skip


def _join(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    """The texts of the parts one after the other."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


_TYPE_CHANGES = st.one_of(
    _join("new_type('", TYPES, "', ", st.sampled_from(("0", "WPO", "HID|IDX", "true")), ")"),
    _join("set_type('", st.sampled_from("WWT"), "', {", FIELDS, ": '", DEFINITIONS, "', z: '", DEFINITIONS,
          "', m: |this| this.z})"),
    _join("set_type('W', {id: '#', ", FIELDS, ": '", DEFINITIONS, "'}, HID)"),
    _join("del_type('", TYPES, "')"),
    _join("rename_type('", TYPES, "', '", TYPES, "')"),
    _join("rename_type('T', 'Z'); .z = Z{}; rename_type('Z', 'T')"),
    _join("mod_type('", TYPES, "', 'add', '", NEW_NAMES, "', '", DEFINITIONS, "')"),
    _join("mod_type('", TYPES, "', 'add', '", NEW_NAMES, "', '", DEFINITIONS, "', ", VALUES, ")"),
    _join("mod_type('", TYPES, "', 'add', '", NEW_NAMES, "', '", DEFINITIONS, "', ", CLOSURES, ")"),
    _join("mod_type('", TYPES, "', 'add', '", NEW_NAMES, "', ", CLOSURES, ")"),
    st.tuples(TYPE_FIELDS, st.just("")).map(lambda pair: _action("del", pair)),
    st.tuples(TYPE_FIELDS, NEW_NAMES.map("'{}'".format)).map(lambda pair: _action("ren", pair)),
    st.tuples(TYPE_FIELDS, DEFINITIONS.map("'{}'".format)).map(lambda pair: _action("mod", pair)),
    st.tuples(TYPE_FIELDS, _join("'", DEFINITIONS, "', ", CLOSURES)).map(lambda pair: _action("mod", pair)),
    _join("mod_type('", TYPES, "', 'mod', 'f', ", CLOSURES, ")"),
    _join("mod_type('", TYPES, "', 'all', ", CLOSURES, ")"),
    _join("mod_type('", TYPES, "', '", st.sampled_from(("hid", "idx", "wpo")), "', ",
          st.sampled_from(("true", "false")), ")"),
    st.just("rename_enum('E', 'E2'); rename_enum('E2', 'E')"),
    st.just("mod_enum('E', 'ren', 'B', 'C'); mod_enum('E', 'ren', 'C', 'B')"),
    st.just("mod_enum('E', 'def', 'B')"),
)  # fmt: skip


def _action(action: str, parts: tuple[str, str]) -> str:
    """A call of mod_type, given the type and the field, and the rest."""
    type_, _, field = parts[0].partition("', '")
    return f"mod_type('{type_}', '{action}', '{field}'" + (f", {parts[1]})" if parts[1] else ")")


_MAKE_RELATION = st.sampled_from(
    (
        "mod_type('T', 'rel', 'u', 't')",
        "mod_type('T', 'rel', 'u', 'many')",
        "mod_type('T', 'rel', 'us', 't')",
        "mod_type('T', 'rel', 'us', 'many')",
        "mod_type('U', 'rel', 'many', 'us')",
        "mod_type('T', 'rel', 't', 't')",
        "mod_type('T', 'rel', 'ts', 'ts')",
        "mod_type('T', 'rel', 't', 'ts')",
        "mod_type('T', 'rel', 'ts', 't')",
        "mod_type('U', 'rel', 'u', 'u')",
    )
)
_RELATIONS = st.one_of(_MAKE_RELATION, TYPE_FIELDS.map(lambda pair: _action("rel", (pair, "nil"))))

_SIDES = st.sampled_from(
    [(f".{place}.{field}", member) for place in "abx" for field, member in (("u", "U"), ("t", "T"))]
    + [(f".{place}.{field}", member) for place in "cdy" for field, member in (("t", "T"), ("u", "U"))]
)
_SET_SIDES = st.sampled_from(
    [(f".{place}.{field}", member) for place in "abx" for field, member in (("us", "U"), ("ts", "T"))]
    + [(f".{place}.many", "T") for place in "cdy"]
)
_MEMBERS = {"T": (".a", ".b", ".x", "T{}", "v"), "U": (".c", ".d", ".y", "U{}", "w")}
_SET_CHANGES = (
    "{0}.add({1})", "{0}.add({1}, {2})", "{0}.remove({1})", "{0}.remove(|x| x.n == 0)", "{0}.clear()",
    "{0} = set({1})", "{0} = set({1}, {2})", "{0} |= set({1})", "{0} -= set({1})", "{0} &= set({1}, {2})",
    "{0} ^= set({1}, {2})", "q = {0}; q.add({1})", "{0}.each(|x| {{x.u = nil; x.t = nil;}})",
    "{0}.each(|x| {0}.add({1}))",
)  # fmt: skip


def _related_change(parts: tuple[tuple[str, str], int, int, str]) -> str:
    """A change of a field that may be related, with members of its type."""
    (side, member), first, second, form = parts
    return form.format(side, _MEMBERS[member][first], _MEMBERS[member][second])


_PICKS = st.integers(0, 4)
_RELATED_CHANGES = st.one_of(
    st.tuples(_SIDES, _PICKS, _PICKS, st.sampled_from(("{0} = {1}", "{0} = {1}", "{0} = nil"))).map(_related_change),
    st.tuples(_SET_SIDES, _PICKS, _PICKS, st.sampled_from(_SET_CHANGES)).map(_related_change),
    st.tuples(_SET_SIDES, _PICKS, _PICKS, st.sampled_from(_SET_CHANGES)).map(_related_change),
)

_MUTATIONS = st.one_of(
    _join(".", PLACES, " = ", VALUES),
    _join(".", PLACE_FIELDS, " = ", VALUES),
    _join(".", PLACE_FIELDS, " = ", VALUES),
    _join(".", PLACE_KEYS, ", ", VALUES, ")"),
    _join(".", PLACES, ".assign(", VALUES, ")"),
    _join(".", PLACE_FIELDS, " += ", VALUES),
    _join(".", PLACE_FIELDS, ".push(", VALUES, ")"),
    _join(".", st.sampled_from("abx"), ".l[0] = ", VALUES),
    _join(".", st.sampled_from("abx"), ".l[0:1] = ", VALUES),
    _join(".", PLACES, ".k.", FIELDS, " = ", VALUES),
    _join(".del('", PLACES, "')"),
    _join(".", PLACES, ".to_thing()"),
    _join(".", PLACES, " = .", PLACES, ".copy(); .", PLACES, ".to_type('", TYPES, "')"),
    _join(".", PLACES, " = {n: 1}; .", PLACES, ".to_type('", TYPES, "')"),
    _join(".p = {}; .p.restrict('", st.sampled_from(("T", "int", "E", "thing")), "')"),
    _join(".", PLACES, " = new('", TYPES, "', ", VALUES, ")"),
    _join(".", PLACES, " = ", TYPES, "{", FIELDS, ": ", VALUES, ", ", FIELDS, ": ", VALUES, "}"),
    _join(".", PLACES, " = ", TYPES, "(", VALUES, ")"),
    _join(".", PLACES, " = .", PLACES, ".dup(2)"),
    _join("type_all('", TYPES, "').each(|x| x.n += 1)"),
    _join(".l.push(", VALUES, ")"),
)

# Sampled, since `one_of` would take each of several equal ones but once.
_STATEMENTS = st.sampled_from([*[_TYPE_CHANGES] * 3, _RELATIONS, *[_RELATED_CHANGES] * 5, *[_MUTATIONS] * 2]).flatmap(
    lambda statements: statements
)
_FORMS = st.sampled_from(
    (
        *["try({{{0}}})"] * 12,
        "{0}",
        "r = [T{{}}, U{{}}, try({{{0}}})]; .kept = r[0]",
        ".kept = [T{{}}, U{{}}, try({{{0}}}), {{k: 1}}]",
        "[T{{}}].map(|x| {{try({{{0}}}); x}}).each(|x| .kept = x)",
        "try(T{{}}.each(|x| {{{0}}}))",
        "try({{for (x in .a) {{{0};}}}})",
        "try(.kept = T{{n: {{{0}; 4}}}})",
    )
)
_IN_PLACE = st.tuples(_FORMS, _STATEMENTS).map(lambda pair: pair[0].format(pair[1]))
QUERIES = st.tuples(
    st.sampled_from(("v = .x; w = .y; ", "v = T{}; w = U{}; ", "v = .a; w = .c; ")),
    st.lists(_IN_PLACE, min_size=1, max_size=4),
).map(lambda parts: parts[0] + "; ".join(parts[1]))


_RELATED_FROM_THE_START = st.lists(_MAKE_RELATION, max_size=3).map(
    lambda texts: "; ".join(f"try({text})" for text in [*texts, "1"])
)


def programs(longest: int = 12) -> st.SearchStrategy[list[str]]:
    """Programs of up to so many queries after the setup, which is a part of it."""
    return st.tuples(_RELATED_FROM_THE_START, st.lists(QUERIES, min_size=1, max_size=longest)).map(
        lambda parts: [*SETUP, parts[0], *parts[1]]
    )
