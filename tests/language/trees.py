"""Nodes as plain tuples, to be compared and read; and a source of random programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st

from engine.language import nodes

_SKIPPED = frozenset(("start", "end", "text", "source", "has_effects", "held_back"))


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


class _Writer:
    """Writes random statements. A method a rule of the grammar, rather than a strategy each: Hypothesis would spell
    strategies that nest out in full, which takes gigabytes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def pick(self, options: list[str]) -> str:
        return self.draw(st.sampled_from(options))

    def often(self) -> bool:
        return self.draw(st.booleans())

    def count(self, most: int, least: int = 0) -> int:
        return self.draw(st.integers(least, most))

    def name(self) -> Tokens:
        return [self.pick(_NAMES)]

    def key(self) -> Tokens:
        return [self.pick(_NAMES + _WORDS)]

    def statement(self, depth: int) -> Tokens:
        if depth <= 0:
            return [self.pick([*_NAMES, *_NUMBERS, *_STRINGS, "nil", "true", "false", "inf"])]
        form = self.pick(["operand", "binary", "ternary"])
        tokens = self.operand(depth)
        if tokens[-1] == "return":
            return tokens  # `return + 1` and `return +1` mean the same, but as a prefix and as a sign
        if form == "binary":
            for _ in range(self.count(2, 1)):
                tokens += [self.pick(_BINARY), *self.operand(depth - 1)]
                if tokens[-1] == "return":
                    break
        elif form == "ternary":
            tokens += ["?", *self.statement(depth - 1), ":", *self.statement(depth - 1)]
        return tokens

    def operand(self, depth: int) -> Tokens:
        if depth <= 0:
            return self.statement(0)
        inner = partial(self.statement, depth - 1)
        match self.pick(["chain", "prefixed", "assignment", "block", "closure", "if", "for", "return", "word"]):
            case "chain":
                first = self.primary(depth) if self.often() else [self.pick(_NUMBERS)]
                return first + self.links(depth)
            case "prefixed":
                prefixes = ["~"] * self.count(2) + [self.pick(["!", "+", "-"]) for _ in range(self.count(2))]
                return prefixes + self.primary(depth) + self.links(depth)
            case "assignment":
                target = self.pick(["name", "property", "item"])
                if target == "name":
                    tokens = self.name()
                elif target == "property":
                    tokens = [*self.primary(depth), *self.links(depth), self.pick([".", ".."]), *self.key()]
                else:
                    tokens = self.primary(depth) + self.links(depth) + self.subscript(depth)
                return [*tokens, self.pick(_ASSIGN), *inner()]
            case "block":
                return ["{", *inner(), ";", *inner(), *[";"] * self.count(2), "}"]
            case "closure":
                return self.closure(depth)
            case "if":
                tokens = ["if", "(", *inner(), ")", *inner()]
                return [*tokens, "else", *inner()] if self.often() else tokens
            case "for":
                return ["for", "(", *self.name(), ",", *self.name(), "in", *inner(), ")", *inner()]
            case "return":
                tokens = ["return", *(inner() if self.often() else [])]
                return [*tokens, ",", *inner()] if self.often() and len(tokens) > 1 else tokens
        return [self.pick(["break", "continue"])]

    def primary(self, depth: int) -> Tokens:
        inner = partial(self.statement, depth - 1)
        match self.pick("name text paren list thing ano instance member call root method template".split()):  # noqa: SIM905
            case "text":
                return [self.pick(_STRINGS + _REGEXES)]
            case "paren":
                return ["(", *inner(), ")"]
            case "list":
                return ["[", *self.between(inner), "]"]
            case "thing":
                return ["{", *self.pairs(depth), "}"]
            case "ano":
                return ["&{", *self.pairs(depth), "}"]
            case "instance":
                return [*self.name(), "{", *self.pairs(depth), "}"]
            case "member":
                return [*self.name(), "{", *(self.key() if self.often() else self.closure(depth)), "}"]
            case "call":
                return [*self.name(), "(", *self.between(inner), ")"]
            case "root":
                return [self.pick([".", ".."]), *self.key()]
            case "method":
                return [self.pick([".", ".."]), *self.key(), "(", *self.between(inner), ")"]
            case "template":
                text = self.pick(_TEXTS)
                for _ in range(self.count(2)):
                    text += "{ " + " ".join(inner()) + " }" + self.pick(_TEXTS)
                return ["`" + text + "`"]
        return self.name()

    def closure(self, depth: int) -> Tokens:
        parameters = self.between(self.key)
        opening = ["|", *parameters, "|"] if parameters or self.often() else ["||"]
        return opening + self.statement(depth - 1)

    def links(self, depth: int) -> Tokens:
        tokens: Tokens = []
        for _ in range(self.count(3)):
            form = self.pick(["property", "method", "subscript"])
            if form == "subscript":
                tokens += self.subscript(depth)
                continue
            tokens += [self.pick([".", ".."]), *self.key()]
            if form == "method":
                tokens += ["(", *self.between(partial(self.statement, depth - 1)), ")"]
        return tokens

    def subscript(self, depth: int) -> Tokens:
        tokens = ["["]
        for index in range(self.count(3)):
            if index:
                tokens.append(":")
            if self.often():
                tokens += self.statement(depth - 1)
        return [*tokens, "]"]

    def pairs(self, depth: int) -> Tokens:
        def pair() -> Tokens:
            return [*self.key(), ":", *(self.statement(depth - 1) if self.often() else [])]

        return self.between(pair)

    def between(self, item: Callable[[], Tokens]) -> Tokens:
        """Several items with commas between and perhaps behind them."""
        tokens: Tokens = []
        for _ in range(self.count(3)):
            tokens += [*item(), ","]
        # A `return` would take a comma behind it for its own.
        return tokens if "return" not in tokens and self.often() else tokens[:-1]


_blanks = st.sampled_from([" ", "\n", "\t ", " /* why */ ", " // because\n"])


@st.composite
def sources(draw: st.DrawFn) -> str:
    """The text of a statement, with random blanks between its tokens. A few don't parse: a body may swallow what was
    meant to follow it."""
    tokens = _Writer(draw).statement(draw(st.integers(0, 3)))
    between = draw(st.lists(_blanks, min_size=1, max_size=4))
    return "".join(token + between[index % len(between)] for index, token in enumerate(tokens)).strip()


@st.composite
def closures(draw: st.DrawFn) -> str:
    """The text of a closure literal."""
    return draw(st.sampled_from(["||", "| |", "|a|", "|a, b|", "|a,|"])) + draw(_blanks) + draw(sources())
