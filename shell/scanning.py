"""Query text cut into coloured pieces while it is being typed, so also when it does not parse.

The parser knows best what a piece of text is, but says nothing about text that is not finished. The rules here are
those of its terminals (`engine/language/grammar.lark`), with one guess: whether an operand or an operator comes next,
which tells a regex from a division, a sign from a minus, and the bars of a closure from an "or". Tests hold both
together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["COMMENT", "KEYWORDS", "Piece", "is_unfinished", "scan"]

BLANK: Final = "blank"
COMMENT: Final = "comment"
NUMBER: Final = "number"
STRING: Final = "string"
TEMPLATE: Final = "template"
REGEX: Final = "regex"
NAME: Final = "name"
KEYWORD: Final = "keyword"
CONSTANT: Final = "constant"
PROPERTY: Final = "property"
CALL: Final = "call"
METHOD: Final = "method"
TYPE: Final = "type"
OPERATOR: Final = "operator"
SIGN: Final = "sign"

KEYWORDS: Final = frozenset(("if", "else", "for", "in", "return", "break", "continue"))
CONSTANTS: Final = frozenset(("nil", "true", "false", "inf", "nan"))

_BLANK = re.compile(r"[ \t\n\x0b\f\r]+")
_COMMENT = re.compile(r"//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)")
_STRING = re.compile(r"'[^']*(?:''[^']*)*(?:'|\Z)|\"[^\"]*(?:\"\"[^\"]*)*(?:\"|\Z)")
_NUMBER = re.compile(r"[+-]?(?:0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+|[0-9]*\.[0-9]+(?:e[+-][0-9]+)?|[0-9]+)(?![0-9A-Za-z_])")
_REGEX = re.compile(r"/(?![*/])[^\n]+?(?<!\\)/[a-z]*")
_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_]*")
_TEMPLATE = re.compile(r"(?:[^`{}]|``|\{\{|\}\})+")
_SIGN = re.compile(r"[!+\-~]")
_OPERATOR = re.compile(r"[-+*/%&|^]=(?!=)|=(?!=)|\|\||&&|[=!<>]=|<<|>>|[-+*/%&|^<>]")
_FOLLOWED = re.compile(r"(?:[ \t\n\x0b\f\r]|//[^\n]*|/\*(?s:.*?)\*/)*(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the text: what it is, where it begins, and whether it lacks its end."""

    kind: str
    start: int
    text: str
    cut: bool = False


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.operand = True
        """An operand comes next, not an operator."""
        self.dotted = False
        """A name comes next, since a dot came last."""
        self.open: list[str] = []
        """What is open: brackets; `if` for the parenthesis after if or for; "`" for a template, `|` for parameters."""
        self.word = ""
        """The word that came last, if it was one."""

    def pieces(self) -> Iterator[Piece]:
        while self.at < len(self.text):
            start = self.at
            kind, end, cut = self._next()
            self.at = end
            yield Piece(kind, start, self.text[start:end], cut)

    def _next(self) -> tuple[str, int, bool]:
        text, at = self.text, self.at
        if self.open and self.open[-1] == "`":
            return self._in_template()
        if found := _BLANK.match(text, at):
            return BLANK, found.end(), False
        if found := _COMMENT.match(text, at):
            return COMMENT, found.end(), found[0].startswith("/*") and (len(found[0]) < 4 or found[0][-2:] != "*/")
        word, self.word = self.word, ""
        if found := _NAME.match(text, at):
            return self._name(found[0]), found.end(), False
        self.dotted = False
        if self.operand:
            for kind, pattern in ((NUMBER, _NUMBER), (REGEX, _REGEX), (STRING, _STRING)):
                if found := pattern.match(text, at):
                    self.operand = False
                    piece = found[0]
                    # A string is cut when its quotes do not pair: those in it are doubled.
                    return kind, found.end(), kind == STRING and piece.count(piece[0]) % 2 == 1
            if text.startswith("||", at):
                return OPERATOR, at + 2, False  # a closure without parameters
            if text[at] == "|":
                self._bar()
                return OPERATOR, at + 1, False
            if text[at] == "`":
                self.open.append("`")
                return TEMPLATE, at + 1, False
            if found := _SIGN.match(text, at):
                return OPERATOR, found.end(), False
        if text[at] == "|" and self.open and self.open[-1] == "|":
            self._bar()
            return OPERATOR, at + 1, False
        if found := _OPERATOR.match(text, at):
            self.operand = True
            return OPERATOR, found.end(), False
        self._sign(text[at], word)
        return SIGN, at + 1, False

    def _in_template(self) -> tuple[str, int, bool]:
        text, at = self.text, self.at
        if found := _TEMPLATE.match(text, at):
            return TEMPLATE, found.end(), False
        if text[at] == "`":
            self.open.pop()
            self.operand = False
            return TEMPLATE, at + 1, False
        if text[at] == "{":
            self.open.append("{")
            self.operand = True
            return SIGN, at + 1, False
        return TEMPLATE, at + 1, False  # a brace alone, which is wrong

    def _bar(self) -> None:
        """The first or the last bar around a closure's parameters."""
        if self.open and self.open[-1] == "|":
            self.open.pop()
        else:
            self.open.append("|")
        self.operand = True

    def _name(self, name: str) -> str:
        dotted, self.dotted = self.dotted, False
        followed = _FOLLOWED.match(self.text, self.at + len(name))
        sign = followed[1] if followed is not None else ""
        if not dotted and not (self.open and self.open[-1] == "|"):
            if name in KEYWORDS:
                self.word = name
                self.operand = name not in ("break", "continue")
                return KEYWORD
            if name in CONSTANTS:
                self.operand = False
                return CONSTANT
        self.operand = bool(self.open) and self.open[-1] == "|"
        if sign == "(":
            return METHOD if dotted else CALL
        if dotted:
            return PROPERTY
        return TYPE if sign == "{" else NAME

    def _sign(self, sign: str, word: str) -> None:
        if sign in "([{":
            self.open.append("if" if word in ("if", "for") else sign)
            self.operand = True
        elif sign in ")]}":
            closed = self.open.pop() if self.open else ""
            self.operand = closed == "if"  # the body follows
        elif sign == ".":
            self.dotted = True
            self.operand = False
        else:
            self.operand = True


def scan(text: str) -> list[Piece]:
    """The pieces of the text in order, without a gap."""
    return list(_Scanner(text).pieces())


def is_unfinished(text: str) -> bool:
    """Does the text break off where it can't end: in brackets, in a string, after an operator or an `else`?"""
    scanner = _Scanner(text)
    pieces = list(scanner.pieces())
    if scanner.open or any(piece.cut for piece in pieces):
        return True
    last = next((piece for piece in reversed(pieces) if piece.kind not in (BLANK, COMMENT)), None)
    if last is None:
        return False
    if last.kind == OPERATOR or (last.kind == KEYWORD and last.text in ("else", "in", "if", "for")):
        return True
    return (last.kind == SIGN and last.text in ",:?.") or (last.text == ")" and scanner.operand)
