"""Nodes as plain tuples, to be compared and read; and a source of random programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from engine.language import nodes

_SKIPPED = frozenset(("start", "end", "text", "source", "has_effects"))


def tree(node: object) -> Any:
    """A node as `(class name, field, …)`, without offsets; floats as text, so that nan equals itself."""
    if isinstance(node, nodes.Node):
        fields = (field.name for field in dataclasses.fields(node) if field.name not in _SKIPPED)
        return (type(node).__name__, *(tree(getattr(node, name)) for name in fields))
    if isinstance(node, list):
        return [tree(item) for item in node]
    if isinstance(node, (float, bool)):
        return repr(node)
    return node


def every(node: object) -> list[nodes.Node]:
    """All nodes from a node downwards."""
    found: list[nodes.Node] = []
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, nodes.Node):
            found.append(one)
            waiting += [getattr(one, field.name) for field in dataclasses.fields(one)]
    return found


# Programs are lists of tokens, which may be joined by any blanks.

Tokens = list[str]

_NAMES = ["a", "b", "total", "_", "x1", "iffy", "nilly"]
_WORDS = ["if", "else", "for", "in", "break", "continue", "return", "nil", "true", "false", "inf", "nan"]
_NUMBERS = ["0", "7", "-7", "+3", "007", "0xfF", "0b101", "0o17", "1.5", ".5", "1.5e+3", "-2.25e-4", "9" * 19]
_STRINGS = ["''", '"it\'s"', "'a''b'", '"two\nlines // here"', "'/* no comment */'", "'ü'"]
_REGEXES = ["/a/", "/a b/i", r"/a\/b/", "/'/"]
_BINARY = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "&&", "||"]
_ASSIGN = ["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="]
_TEXTS = ["", "text", " // blanks ", "``", "{{", "}}", "'"]

name = st.sampled_from(_NAMES)
key = st.sampled_from(_NAMES + _WORDS)


def _flat(*parts: Any) -> st.SearchStrategy[Tokens]:
    """The tokens of several parts in a row: a str is one token, a strategy gives a str or tokens."""
    strategies = [st.just([part]) if isinstance(part, str) else part for part in parts]

    def join(found: tuple[Any, ...]) -> Tokens:
        return [token for part in found for token in ([part] if isinstance(part, str) else part)]

    return st.tuples(*strategies).map(join)


def _between(item: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[Tokens]:
    """Several items and the commas between and perhaps behind them."""

    def join(found: tuple[list[Any], bool]) -> Tokens:
        items, trailing = found
        tokens: Tokens = []
        for one in items:
            tokens += [one] if isinstance(one, str) else one
            tokens.append(",")
        # `return a,` would take the comma for its own
        return tokens if trailing and "return" not in tokens else tokens[:-1]

    return st.tuples(st.lists(item, min_size=least, max_size=most), st.booleans()).map(join)


def _extend(statement: st.SearchStrategy[Tokens]) -> st.SearchStrategy[Tokens]:
    pairs = _between(st.one_of(_flat(key, ":", statement), _flat(key, ":")))
    arguments = _flat("(", _between(statement), ")")
    block = _flat("{", statement, ";", statement, st.sampled_from([[], [";"], [";", ";"]]), "}")
    closure = st.one_of(
        _flat("|", _between(key, least=1), "|", statement), _flat("||", statement), _flat("|", "|", statement)
    )
    hole = st.tuples(st.sampled_from(_TEXTS), statement, st.sampled_from(_TEXTS)).map(
        lambda found: found[0] + "{ " + " ".join(found[1]) + " }" + found[2]
    )
    template = st.lists(hole, max_size=2).map(lambda holes: ["`" + "".join(holes) + "`"])
    primary = st.one_of(
        _flat(name),
        _flat(st.sampled_from(_STRINGS)),
        _flat(st.sampled_from(_REGEXES)),
        _flat("(", statement, ")"),
        _flat("[", _between(statement), "]"),
        _flat("{", pairs, "}"),
        _flat("&{", pairs, "}"),
        _flat(name, "{", pairs, "}"),
        _flat(name, "{", key, "}"),
        _flat(name, "{", closure, "}"),
        _flat(name, arguments),
        _flat(".", key),
        _flat("..", key, arguments),
        template,
    )
    part: st.SearchStrategy[Tokens] = st.one_of(st.just([]), statement)
    subscript = st.one_of(
        _flat("[", "]"),
        _flat("[", statement, "]"),
        _flat("[", part, ":", part, "]"),
        _flat("[", part, ":", part, ":", part, "]"),
    )
    dot = st.sampled_from([".", ".."])
    link = st.one_of(_flat(dot, key), _flat(dot, key, arguments), subscript)
    links = st.lists(link, max_size=3).map(lambda found: [token for one in found for token in one])
    chain = _flat(st.one_of(primary, _flat(st.sampled_from(_NUMBERS))), links)
    assignment = st.one_of(
        _flat(name, st.sampled_from(_ASSIGN), statement),
        _flat(primary, links, dot, key, st.sampled_from(_ASSIGN), statement),
        _flat(primary, links, subscript, st.sampled_from(_ASSIGN), statement),
    )
    prefixes = st.tuples(st.lists(st.just("~"), max_size=2), st.lists(st.sampled_from("!+-"), max_size=2)).map(
        lambda found: [*found[0], *found[1]]
    )
    operand = st.one_of(
        chain,
        _flat(prefixes, primary, links),
        assignment,
        block,
        closure,
        _flat("if", "(", statement, ")", statement),
        _flat("if", "(", statement, ")", statement, "else", statement),
        _flat("for", "(", name, ",", key.filter(lambda word: word in _NAMES), "in", statement, ")", statement),
        _flat("return", st.one_of(st.just([]), statement)),
        _flat("return", statement, ",", statement),
        _flat(st.sampled_from(["break", "continue"])),
    )
    return st.one_of(
        operand,
        _flat(operand, st.sampled_from(_BINARY), operand),
        _flat(operand, st.sampled_from(_BINARY), operand, st.sampled_from(_BINARY), operand),
        _flat(operand, "?", statement, ":", statement),
    )


_leaves = st.one_of(
    name, st.sampled_from(_NUMBERS), st.sampled_from(_STRINGS), st.sampled_from(["nil", "true", "false", "inf"])
).map(lambda token: [token])

statements = st.recursive(_leaves, _extend, max_leaves=8)
"""Statements as lists of tokens. Some don't parse: an `if` may swallow what was meant to follow it."""

blanks = st.sampled_from([" ", "\n", "\t ", " /* why */ ", " // because\n"])


@st.composite
def sources(draw: st.DrawFn, statement: st.SearchStrategy[Tokens] = statements) -> str:
    """The text of a statement, with random blanks between its tokens."""
    tokens = draw(statement)
    between = draw(st.lists(blanks, min_size=1, max_size=4))
    return "".join(token + between[index % len(between)] for index, token in enumerate(tokens)).strip()


@st.composite
def closures(draw: st.DrawFn) -> str:
    """The text of a closure literal."""
    return draw(st.sampled_from(["||", "| |", "|a|", "|a, b|", "|a,|"])) + draw(blanks) + draw(sources())
