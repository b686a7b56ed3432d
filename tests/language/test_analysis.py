"""What makes a query a change, as its text says, and where `break` and `continue` may stand."""

from __future__ import annotations

import pytest

from engine.errors import SyntaxFailed
from engine.language import nodes
from engine.language.analysis import MUTATORS, RECEIVER_MUTATORS, TASK_MUTATORS, analyse, check_loops
from engine.language.formatter import parse_closure
from engine.language.parser import parse
from tests.language.trees import every


class Some:
    """A few built-in functions."""

    def is_function(self, name: str, scope: str) -> bool:
        return name in ("range", "set", "list", "future", "nse", "wse", "try") or self.changes(name, scope)

    def changes(self, name: str, scope: str) -> bool:
        return (name == "new_type" and scope == "C") or (name in ("new_procedure", "task") and scope in "CT")


def needs(text: str, scope: str = "C") -> bool:
    return analyse(parse(text), scope, Some())


def flags(text: str, scope: str = "C") -> list[bool]:
    """`has_effects` of each closure literal, in the order of the text."""
    query = parse(text)
    analyse(query, scope, Some())
    found = [node for node in every(query) if isinstance(node, nodes.ClosureLiteral)]
    return [closure.has_effects for closure in sorted(found, key=lambda closure: closure.start)]


@pytest.mark.parametrize(
    "text",
    [
        ".x = 1", ".x += 1", "x.a = 1", "x[0] = 1", "x['a'] |= 1", "x[1:2] = [3]", "{a: {b: x.c = 1}}",
        "false && .x = 1",
        "if (false) .x = 1", "if (a) b else .x = 1", "return 1, .x = 2", "f(.x = 1)", "`{.x = 1}`", "x[.y = 1]",
        "x[1:.y = 1]", "|a| .x = a", "E{|| .x = 1}", "T{a: .x = 1}", "&{a: {b: .x = 1}}", "for (a in .x = 1) b",
        "for (a in b) .x = 1", "!.x = 1", "a + b.x = 1", "a ? b : .x = 1", "return .x = 1", "return 1, 2, .x = 1",
        "x = .y = 1", "{a; .x = 1}", "a.b(c.d(.x = 1)).e", "{.x = 1}.id()", "[||{||{.x = 1}}]",
    ],
)  # fmt: skip
def test_an_assignment_to_a_property_or_item_anywhere(text: str) -> None:
    assert needs(text)
    assert not needs(text, "T")
    assert not needs(text, "N")
    assert not needs("nse();" + text)


@pytest.mark.parametrize(
    "text", ["x = 1", "x += 1", "x = y = 1", "1 == 1", ".x", ".x.y()", "x[0]", "{a: 1}", "x = {a: 1}.a", "wse", "|a| a"]
)
def test_what_is_no_change(text: str) -> None:
    assert not needs(text)


@pytest.mark.parametrize("name", sorted(MUTATORS))
def test_methods_that_count_on_anything(name: str) -> None:
    for receiver in ["x", "(x)", "[1]", "range(3)", "x.l", "{}", "T{}", "|a| a"]:
        assert needs(f"{receiver}.{name}()")
        assert needs(f"{receiver}..{name}(1)")
        assert needs(f"nse(); {receiver}.{name}()") is False
    assert needs(f".{name}()")
    assert not needs(f"x.{name}")
    assert not needs(f"{name}()")
    assert needs(f"x.{name}()", "T") == (name == "del")
    assert not needs(f"x.{name}()", "N")


@pytest.mark.parametrize("name", sorted(RECEIVER_MUTATORS))
def test_methods_that_count_by_their_receiver(name: str) -> None:
    for own in ["x", "(x)", "((x))", "[1]", "([1])", "range(3)", "(set({}))", "(x = [1])"]:
        assert not needs(f"{own}.{name}(1)"), own
        assert needs(f"{own}.{name}(.x = 1)"), own
        assert needs(f"{own}.{name}(1).{name}(1)"), own
    for other in ["", "x.l", "x['l']", "x[0]", "f()", "(f())", "[1].map(f)", "(.l)", "{}", "'a'", "x.copy()", "(x.l)"]:
        assert needs(f"{other}.{name}(1)"), other
        assert not needs(f"nse();{other}.{name}(1)"), other
        assert not needs(f"{other}.{name}(1)", "T"), other


@pytest.mark.parametrize("name", sorted(TASK_MUTATORS))
def test_methods_of_tasks_count_even_under_nse(name: str) -> None:
    for scope in "CT":
        assert needs(f"x.{name}()", scope)
        assert needs(f"nse(x.{name}())", scope)
    assert not needs(f"x.{name}()", "N")


def test_a_task_s_del_is_held_back() -> None:
    assert needs(".t.del()")
    assert needs("t.del()", "T")
    assert not needs("nse(.t.del())")
    assert not needs("nse(t.del())", "T")


def test_functions_that_always_change() -> None:
    for text in ["new_type('A')", "nse(); new_type('A')", "nse(new_type('A'))", "|| new_type('A')", "x(new_type('A'))"]:
        assert needs(text)
        assert not needs(text, "T")
    assert needs("new_procedure('p', || 1)", "T")
    assert not needs("x.new_type('A')")
    assert not needs("new_type")


def test_wse() -> None:
    for text in ["wse()", "wse(1)", "nse(); wse()", "nse(wse())", "if (false) wse()", "|| wse()", "wse(nse(.x = 1))"]:
        assert needs(text)
        assert needs(text, "T")
        assert not needs(text, "N")
    assert not needs("x.wse()")


def test_nse_works_from_its_place_in_the_text_on() -> None:
    assert not needs("nse(.x = 1)")
    assert not needs("nse({x = {}; x.a = 1})")
    assert not needs("x = {}; nse(); x.a = 1")
    assert not needs("[nse(), .x = 1]")
    assert not needs("nse(x).a = 1")
    assert not needs("nse(x).l.push(1)")
    assert not needs("x[nse()] = 1")
    assert not needs("nse(); |a| .x = a")
    assert not needs("|a| {nse(); .x = a}")
    assert needs(".x = 5; nse()")
    assert needs(".x = nse(5)")
    assert needs(".l.push(nse(5))")
    assert needs("[.x = 1, nse()]")
    assert needs("x.nse(); .x = 1")


def test_closures_are_examined_on_their_own() -> None:
    assert flags("|x| x.push(1)") == [False]
    assert flags("|x| x.l.push(1)") == [True]
    assert flags("||{nse(); .x = 1}") == [False]
    assert flags("||{.x = 1; nse()}") == [True]
    assert flags("|| wse()") == [True]
    assert flags("|| .c()") == [False]
    assert flags("|| new_type('A')") == [True]
    assert flags("|| x = 1") == [False]
    assert flags(".x = 1; || 1") == [False]
    assert flags("|| .x = 1; || 1") == [True, False]
    assert flags("|| || .x = 1") == [True, True]
    assert flags("||{|| .x = 1; || 1; 1}") == [True, True, False]
    assert flags("|| [|| 1, .x = 1]") == [True, False]
    assert flags("nse(); || .x = 1") == [False]
    assert flags("|| .x = 1", "T") == [False]
    assert flags("|| new_procedure('p', || 1)", "T") == [True, False]
    assert flags("|| wse()", "N") == [False]


def test_closures_of_futures_do_not_count_for_what_they_stand_in() -> None:
    for text in ["future(|| .x = 1)", "future(|| .x = 1, [])", "future(nil).then(|| .x = 1)", "f.else(|| .x = 1)"]:
        assert not needs(text)
        assert flags(text) == [True]
        assert flags(f"|| {text}") == [False, True]
    assert not needs("future(|| wse())")
    assert not needs("future(|| 1).then(|| .x = 1).else(|| .y = 1)")
    for text in [
        "future(nil, .x = 1)", "future((|| .x = 1))", "future(1, || .x = 1)", "c = || .x = 1; future(c)", ".x = 1",
        "x.then(1, || .x = 1)", "other(|| .x = 1)", "then(|| .x = 1)", "future(|| .x = 1, .y = 2)",
        "future([|| .x = 1])",
    ]:  # fmt: skip
        assert needs(text), text
    assert flags("nse(); future(|| .x = 1)") == [True]
    assert needs("future(|| nse()); .x = 1")


def test_a_closure_by_itself() -> None:
    assert analyse(parse_closure("|x| .a = x"), "C", Some())
    assert not analyse(parse_closure("|x| x.a"), "C", Some())
    closure = parse_closure("|x| .a = x")
    analyse(closure, "T", Some())
    assert not closure.has_effects


def test_large_and_deep_texts() -> None:
    assert needs("[" + "1," * 50_000 + ".x = 1]")
    assert needs("x" + ".a" * 10_000 + ".set(1)")
    assert needs("(" * 490 + ".x = 1" + ")" * 490)
    assert needs("if (a) {" * 240 + ".x = 1" + "}" * 240)
    assert needs("1 + " * 490 + "f(.x = 1)")


@pytest.mark.parametrize(
    "text",
    [
        "for (a in b) break", "for (a in b) {continue}", "for (a in b) if (a) break else continue",
        "for (a in b) a ? break : c", "for (a in b) a && continue", "for (a in b) for (c in break) d",
        "|| for (a in b) break", "for (a in b) {|| for (c in d) break; break}", "for (a in b) f(break)", "break = 1",
        "x.break", "{break: 1}",
    ],
)  # fmt: skip
def test_where_break_may_stand(text: str) -> None:
    check_loops(parse(text))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("break", "line 1, column 1: break"),
        ("continue", "line 1, column 1: continue"),
        ("1;\n  continue", "line 2, column 3: continue"),
        ("if (false) break", "line 1, column 12: break"),
        ("|| break", "line 1, column 4: break"),
        ("for (a in b) || break", "line 1, column 17: break"),
        ("for (a in b) c.each(|| continue)", "line 1, column 24: continue"),
        ("for (a in break) b", "line 1, column 11: break"),
        ("for (a in b) c; break", "line 1, column 17: break"),
        ("try(break)", "line 1, column 5: break"),
        ("future(|| break)", "line 1, column 11: break"),
    ],
)
def test_where_it_may_not(text: str, where: str) -> None:
    for scope in "CTN":
        with pytest.raises(SyntaxFailed) as caught:
            analyse(parse(text), scope, Some())
        assert caught.value.message.startswith(where)
    with pytest.raises(SyntaxFailed):
        check_loops(parse(text))


@pytest.mark.parametrize("text", [".emit('x')", "thing(1).emit('x')", "root().emit('x')", "|x| .emit(x)"])
def test_emitting_on_what_can_only_be_a_thing(text: str) -> None:
    assert needs(text)
    assert not needs(text, "T")
    assert not needs(f"nse({text})")


@pytest.mark.parametrize("text", [".a.emit('x')", "a.emit('x')", "room(1).emit('x')"])
def test_emitting_on_what_may_be_a_room(text: str) -> None:
    assert not needs(text)
