"""Random programs for atomic queries: in a collection and in `@thingsdb`. Many fail, as queries of people do."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.types import programs as types

__all__ = ["SERVER_SETUP", "SETUP", "programs"]

SETUP = [
    *types.SETUP,
    ".list = [1, 'two', {a: 3}, [4, 5]]; .set = set({n: 1}, {n: 2}); .text = 'text';"
    ".room = room(); .room.set_name('lobby'); .rooms = [room(), room()]; .sorted = {}; .sorted['a key'] = [1];"
    ".limited = {one: 1}; .limited.restrict('int'); .wrapped = .a.wrap('T'); .colour = E{A};"
    ".big = {}; range(70).each(|i| .big.set('k' + str(i), [i]));",
    "new_procedure('p', |x| .text = x); new_procedure('q', |x| x + 1);"
    "task(datetime(1500009000), |t, x| .text = x, [.set]); .task = task(datetime(1500009001), |t| .list.push(1));",
    "mod_type('T', 'idx', true); mod_type('T', 'rel', 'us', 'many'); .a.us.add(.c, .d); .b.us.add(.c);",
]

SERVER_SETUP = [
    "new_user('iris'); new_user('ivy'); new_collection('music'); grant('//music', 'iris', USER);"
    "set_password('iris', nil); whitelist_add('iris', 'rooms'); whitelist_add('iris', 'rooms', /^a/);"
    "new_procedure('sp', |x| x); task(datetime(1500009000), |t| nil); set_history('//music', true);",
]

_KEYS = st.sampled_from(("list", "set", "text", "room", "sorted", "limited", "big", "a", "colour", "task", "new"))
_ARRAYS = st.sampled_from((".list", ".big.k1", ".big.k69", ".sorted['a key']", ".a.l", "held"))
_VALUES = st.one_of(
    types.VALUES,
    st.sampled_from(
        (
            ".list", ".set", "{n: [{m: 1}]}", "room()", "[room()]", "E{B}", ".wrapped", "held", "made", ".big",
            "set({n: 3})", "tasks()", "tasks()[0]", "[[], [{}]]", "range(5)", ".sorted", "|x| x + 1", "{x: set({})}",
        )
    ),
)  # fmt: skip


def _join(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


_STATEMENTS = st.one_of(
    _join(".", _KEYS, " = ", _VALUES),
    _join("held = .", _KEYS),
    _join("held = ", _ARRAYS),
    _join("made = {n: ", _VALUES, "}; .made = made; made.me = made"),
    _join("made = {}; made.me = made; .list.push(made)"),
    _join(_ARRAYS, ".push(", _VALUES, ")"),
    _join(_ARRAYS, ".splice(0, 1, ", _VALUES, ")"),
    _join(_ARRAYS, ".unshift(", _VALUES, ")"),
    _join(_ARRAYS, "[0] = ", _VALUES),
    _join(_ARRAYS, "[0:1] = [", _VALUES, "]"),
    _join(_ARRAYS, st.sampled_from((".pop()", ".clear()", ".shift()", ".remove(|x| x == 1)", ".fill(1)",
                                    ".extend([1, 2])", ".extend_unique([1, 2])"))),
    _join(".set.add(", st.sampled_from((".a", "{n: 9}", ".set.one()", ".sorted", "held", "made")), ")"),
    st.sampled_from((
        ".set.clear()", ".set.remove(|x| x.n == 1)", ".set |= set({n: 4})", ".set -= .set", ".set.each(|x| x.n += 1)",
        "t = .set.one(); .set.clear(); t.n = [t]; .new = t", "s = .set; .set = set(); s.add({n: 7}); .new = s.copy()",
        "l = .list; .list = [l.len()]; l.push(3); .del('list'); l.push(4)", "l = .list; .ren('list', 'elsewhere'); "
        "l.push(1); .ren('elsewhere', 'list')", "held = .sorted; .del('sorted'); held['x y'] = 1; held.clear()",
        ".big.del('k3'); .big.del('k7'); .big.new = 1; .big.del('k69')", ".big.clear()", ".big.assign({k1: 'x', z: 1})",
        ".big.each(|k, v| .big.set(k, 1))", ".big.ren('k5', 'five')", ".assign({text: 1, other: {}})", ".clear()",
        "x = .big; .del('big'); x.k9.push(1); .small = x.k9", ".sorted['b key'] = {}; .sorted.del('a key')",
        ".list['x'] = 1", ".text['a key'] = 1", ".limited.two = 2", ".limited.restrict('any')", ".limited.x = 'text'",
        ".limited.restrict(nil); .limited.y = 'text'", ".text += 'x'", ".room.set_name('hall')", ".del('room')",
        ".room.set_name(nil)", ".room = nil; .rooms = []", ".rooms[0].set_name('lobby')", ".room.emit('e', 1)",
        "room('lobby').set_name('attic'); .rooms[0].set_name('lobby')", "log('x')", ".emit('e', {n: 1})",
        "task(datetime(1500009002), |t| nil)", "tasks().each(|t| t.del())", ".task.cancel()", "tasks()[0].del()",
        ".task.set_args([])", ".task.set_closure(|t| nil)", "tasks()[0].set_args([{new: 1}])",
        ".task.set_owner('admin')",
        "new_procedure('n', |x| x)", "mod_procedure('p', |y| y)", "rename_procedure('p', 'pp')", "del_procedure('q')",
        "p(1)", "run('p', {n: 1})", "mod_enum('E', 'add', 'D', 4)", "mod_enum('E', 'del', 'A')",
        "mod_enum('E', 'mod', 'A', 9)", "mod_enum('E', 'ren', 'A', 'AA')", "mod_enum('E', 'def', 'B')",
        ".colour = nil; mod_enum('E', 'del', 'A')", "set_enum('F', {X: {n: 1}, m: |e| e.value()}); .f = F{X}",
        "mod_enum('E', 'add', 'meth', |e| 1)", "del_enum('E')", "rename_enum('E', 'EE')",
        "set_enum('G', {A: 1, B: 'x'})",
        ".wrapped = nil", "type_all('T').each(|x| x.n += 1)", "set_type('N', {f: 'E', g: '[E]'}); .n = N{}",
        "del_type('V')", ".e.to_thing(); del_type('V')", "x = .c; .del('c'); x.n = 7; x.many.clear()",
        ".a.us.clear()", ".a.us = set()", ".c.many.add(T{}); .c.many.each(|t| t.n = 5)", ".b = .a; .del('a')",
        "wse(.text = 1)", "try(.list.push(1 / 0)); .text = 'tried'", "return(1)", "nse(.a.n = 1)", "change_id()",
        "type_count('T')", "1 / 0", "raise('no')", "assert(false)", ".nothing", "new_user('x')", "future(|| nil)",
        "del_type('U')", "mod_type('T', 'rel', 'us', nil)", "mod_type('T', 'del', 'l')", "mod_type('U', 'del', 'many')",
        "x = .a.l; mod_type('T', 'del', 'l'); x.push(1)", "mod_type('V', 'mod', 'k', 'thing<str>', |v| {})",
        "mod_type('T', 'add', 'extra', '[int]', [1, 2]); .a.extra.push(3)",
        "mod_type('T', 'ren', 'l', 'll'); .a.ll.push(4)",
    )),
    types.QUERIES,
    types.QUERIES,
)  # fmt: skip

_NAMES = st.sampled_from(("iris", "ivy", "admin", "moss"))
_SCOPES = st.sampled_from(("//music", "//stuff", "//songs", "@t", "@n"))
_MASKS = st.sampled_from(("QUERY", "FULL", "USER", "CHANGE|JOIN"))
_SERVER = st.one_of(
    _join("new_user('", _NAMES, "')"),
    _join("del_user('", _NAMES, "')"),
    _join("rename_user('", _NAMES, "', '", _NAMES, "')"),
    _join(st.sampled_from(("grant", "revoke")), "('", _SCOPES, "', '", _NAMES, "', ", _MASKS, ")"),
    _join("set_password('", _NAMES, "', nil)"),
    _join("new_token('", _NAMES, "', nil, 'text')"),
    _join("k = new_token('", _NAMES, "'); del_token(k)"),
    _join("whitelist_add('", _NAMES, "', 'rooms', /^b/)"),
    _join("whitelist_add('", _NAMES, "', 'procedures')"),
    _join("whitelist_del('", _NAMES, "', 'rooms', /^a/)"),
    _join("whitelist_del('", _NAMES, "', 'rooms')"),
    _join("set_default_deep('", _SCOPES, "', 3)"),
    _join("set_time_zone('", _SCOPES, "', 'Europe/Amsterdam')"),
    _join("set_history('", _SCOPES, "', ", st.sampled_from(("true", "false")), ")"),
    _join("del_collection('", st.sampled_from(("music", "songs", "stuff")), "')"),
    st.sampled_from((
        "new_collection('songs')", "new_collection('music')", "rename_collection('music', 'songs')",
        "rename_collection('stuff', 'music')", "set_quota('stuff', 'things', 1000)",
        "set_quota('music', 'things', nil)",
        "new_procedure('s', |x| x)", "mod_procedure('sp', |y| y)", "rename_procedure('sp', 's')", "del_procedure('sp')",
        "task(datetime(1500009003), |t| nil)", "tasks().each(|t| t.cancel())", "tasks()[0].del()",
        "tasks()[0].set_owner('iris')", "raise('no')", "1 / 0", "del_expired()", "log('x')", "return(1)",
        "new_module('m', 'm.py')", "try(new_user('')); new_user('late')",
    )),
)  # fmt: skip


def programs(*, server: bool = False, longest: int = 6) -> st.SearchStrategy[str]:
    """A query of several statements."""
    statements = st.lists(_SERVER if server else _STATEMENTS, min_size=1, max_size=longest)
    first = "" if server else "held = [1]; made = {}; "
    return statements.map(lambda lines: first + "; ".join(line.rstrip("; ") for line in lines))
