"""Closures as text: as written, compact, and laid out for a reader (specification, lists 8.5 to 8.7)."""

from __future__ import annotations

import re
from typing import Final

from lark import Token

from engine.errors import BadDataError, LookupFailed
from engine.language import nodes
from engine.language.analysis import check_loops
from engine.language.nodes import Node
from engine.language.parser import parse, tokenise

__all__ = ["as_written", "compact", "doc", "layout", "parse_closure", "pretty"]

LONG: Final = 40
"""A conditional or a chain whose source is longer than this many characters may be put on several lines."""


def parse_closure(text: str) -> nodes.ClosureLiteral:
    """The closure literal that a text consists of; blanks around it and a final `;` don't matter.

    Raises SyntaxFailed for what does not parse, BadDataError for none or several statements and LookupFailed for
    another expression.
    """
    query = parse(text)
    if len(query.statements) != 1:
        raise BadDataError(f"a closure is made from one statement, not from {len(query.statements)}")
    (closure,) = query.statements
    if not isinstance(closure, nodes.ClosureLiteral):
        raise LookupFailed("a closure is made from a text such as '|a, b| a + b'")
    check_loops(query)
    return closure


def as_written(closure: nodes.ClosureLiteral, text: str) -> str:
    """The closure's part of the text that it was parsed from, with the blanks and comments behind it."""
    return text[closure.start : closure.end]


def doc(closure: nodes.ClosureLiteral) -> str:
    """The string that the first statement of the closure's block begins with, or the empty string."""
    if isinstance(closure.body, nodes.Block):
        first = closure.body.statements[0]
        if isinstance(first, nodes.Chain):
            first = first.head
        if isinstance(first, nodes.Constant) and isinstance(first.value, str):
            return first.value
    return ""


# --- compact


_COMMENT = re.compile(r"//[^\n]*|/\*(?s:.*?)\*/")


def compact(source: str) -> str:
    """A closure's source without comments and blanks, except those that keep words apart.

    Raises SyntaxFailed when the source does not parse.
    """
    pieces: list[str] = []
    tokens = tokenise(source)
    for index, token in enumerate(tokens):
        if index and tokens[index - 1].end_pos != token.start_pos and _stays_apart(tokens, index):
            pieces.append(" ")
        if token.type == "SEPARATOR":
            pieces.append(";" * _COMMENT.sub("", token).count(";"))
        else:
            pieces.append(token)
    return "".join(pieces)


def _stays_apart(tokens: list[Token], index: int) -> bool:
    """Does a token keep one blank of those before it?"""
    before, token = tokens[index - 1], tokens[index]
    if before.type in ("RETURN", "ELSE", "IN"):
        return token.type not in ("COLON", "ASSIGN")
    if token.type in ("ELSE", "IN"):
        return index + 1 == len(tokens) or tokens[index + 1].type not in ("COLON", "ASSIGN")
    # Without a blank these would be read as something else.
    if before.type == "NUMBER":
        return token.type == "DOT"
    if before.type == "LBRACE" == token.type:
        # Only a hole can begin behind these, and there two braces would be text.
        return index > 1 and tokens[index - 2].type in ("TEMPLATE_TEXT", "BACKQUOTE", "RBRACE")
    if before == "&" and token.type == "LBRACE":
        # A body can follow these, and there "&{" would begin one.
        return index > 1 and tokens[index - 2].type in ("RETURN", "RPAR")
    if before.type == "OPERATOR":
        return (
            (before == "/" and token.type == "REGEX")
            or (before == "&" and token.type == "ANONYMOUS")
            or (before == "|" and token.type in ("BAR", "BARS"))
        )
    return False


# --- laid out


class _Indent:
    def __init__(self, by: int) -> None:
        self.by = by


_NEW_LINE: Final = _Indent(0)
_DEEPER: Final = _Indent(1)
_BACK: Final = _Indent(-1)

_Piece = str | Node | _Indent


def pretty(source: str) -> str:
    """A closure's source laid out, as `str()` of a closure shows it. Comments are dropped.

    Raises what `parse_closure` raises.
    """
    return layout(parse_closure(source), source)


def layout(node: Node, text: str) -> str:
    """A node that was parsed from `text`, laid out; lines are indented by one tab a level."""
    level = 0
    written: list[str] = []
    waiting: list[_Piece] = [node]  # a stack and not a recursion: nodes may nest 501 deep
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            written.append(piece)
        elif isinstance(piece, Node):
            waiting += reversed(_pieces(piece, text))
        elif piece is _NEW_LINE:
            written.append("\n" + "\t" * level)
        else:
            level += piece.by
    return "".join(written)


def _pieces(node: Node, text: str) -> list[_Piece]:
    """What a node is written as."""
    match node:
        case nodes.Constant(source=source) | nodes.IntOverflow(source):
            return [source]
        case nodes.RegexLiteral() | nodes.Template() | nodes.Break() | nodes.Continue():
            return [text[node.start : node.end]]
        case nodes.Name(name):
            return [name]
        case nodes.Root():
            return []
        case nodes.ClosureLiteral(params, body):
            return ["|", ", ".join(params), "| ", body]
        case nodes.Block(statements):
            pieces: list[_Piece] = ["{", _DEEPER]
            for statement in statements:
                pieces += (_NEW_LINE, statement, ";")
            return [*pieces, _BACK, _NEW_LINE, "}"]
        case nodes.Parenthesis(inner):
            return ["(", inner, ")"]
        case nodes.Unary(operators, operand):
            return [operators, operand]
        case nodes.Binary(operator, left, right) | nodes.Logical(operator, left, right):
            return [left, f" {operator} ", right]
        case nodes.Ternary(test, yes, no):
            if node.end - node.start > LONG:
                return [test, _DEEPER, _NEW_LINE, "? ", yes, _NEW_LINE, ": ", no, _BACK]
            return [test, " ? ", yes, " : ", no]
        case nodes.If(test, body, orelse):
            pieces = ["if (", test, ") ", body]
            return pieces if orelse is None else [*pieces, " else ", orelse]
        case nodes.For(names, iterable, body):
            return [f"for ({', '.join(names)} in ", iterable, ") ", body]
        case nodes.Return(value, deep, flags):
            parts = [part for part in (value, deep, flags) if part is not None]
            return ["return ", *_listed(parts)] if parts else ["return"]
        case nodes.Assign(name, operator, value):
            return [f"{name} {operator}= ", value]
        case nodes.Call(name, arguments):
            return [name, "(", *_listed(arguments), ")"]
        case nodes.ListLiteral(items):
            return _entries("[", items, "]")
        case nodes.ThingLiteral(pairs):
            return _entries("{", pairs, "}")
        case nodes.Anonymous(pairs):
            return _entries("&{", pairs, "}")
        case nodes.Instance(name, pairs):
            return _entries(name + "{", pairs, "}")
        case nodes.Pair(name, value):
            return [name, ":"] if value is None else [name, ": ", value]
        case nodes.Member(name, member):
            return [name, "{", member, "}"]
        case nodes.Chain():
            return _chain(node)
        case nodes.GetProperty(name, optional):
            return [".." if optional else ".", name]
        case nodes.CallMethod(name, arguments, optional):
            return [".." if optional else ".", name, "(", *_listed(arguments), ")"]
        case nodes.SetProperty(name, operator, value, optional):
            return [".." if optional else ".", f"{name} {operator}= ", value]
        case nodes.GetItem(index):
            return ["[", index, "]"]
        case nodes.SetItem(index, operator, value):
            return ["[", index, f"] {operator}= ", value]
        case nodes.GetSlice():
            return _slice(node)
        case nodes.SetSlice(operator=operator, value=value):
            return [*_slice(node), f" {operator}= ", value]
    raise AssertionError(f"{type(node).__name__} has no layout")


def _listed(items: list[Node]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for item in items:
        pieces += (item, ", ")
    return pieces[:-1]


def _entries(opening: str, entries: list[Node] | list[nodes.Pair], closing: str) -> list[_Piece]:
    """What stands between brackets or braces: on one line when it is fewer than two, else each on its own."""
    if len(entries) < 2:
        return [opening, *entries, closing]
    pieces: list[_Piece] = [opening, _DEEPER]
    for entry in entries:
        pieces += (_NEW_LINE, entry, ",")
    if _takes_comma(entries[-1]):
        pieces.pop()
    return [*pieces, _BACK, _NEW_LINE, closing]


def _takes_comma(node: Node | None) -> bool:
    """Would a comma behind the node be read as a part of it? It would when it ends in a `return` with parts to go."""
    while True:
        match node:
            case nodes.Return(value=value, flags=None):
                return value is not None
            case nodes.Return(flags=last):
                node = last
            case nodes.Ternary(no=last) | nodes.Binary(right=last) | nodes.Logical(right=last):
                node = last
            case nodes.Unary(operand=last) | nodes.Assign(value=last) | nodes.Pair(value=last):
                node = last
            case nodes.If(orelse=None, body=last) | nodes.If(orelse=last):
                node = last
            case nodes.For(body=last) | nodes.ClosureLiteral(body=last):
                node = last
            case nodes.Chain(links=[*_, nodes.SetProperty(value=last)]):
                node = last
            case nodes.Chain(links=[*_, nodes.SetItem(value=last) | nodes.SetSlice(value=last)]):
                node = last
            case _:
                return False


def _chain(chain: nodes.Chain) -> list[_Piece]:
    pieces: list[_Piece] = [chain.head]
    if isinstance(chain.head, (nodes.Constant, nodes.IntOverflow)) and not isinstance(chain.links[0], nodes.GetItem):
        source = chain.head.source
        if source[-1].isdigit() or source[0].isdigit():
            pieces.append(" ")  # a number can't be followed by a dot
    broken = may_break = False
    for link in chain.links:
        if isinstance(link, (nodes.GetProperty, nodes.CallMethod, nodes.SetProperty)):
            if may_break and not broken and not isinstance(link, nodes.GetProperty):
                broken = True
                pieces.append(_DEEPER)
            if broken:
                pieces.append(_NEW_LINE)
            may_break = chain.end - link.start > LONG
        pieces.append(link)
    if broken:
        pieces.append(_BACK)
    return pieces


def _slice(link: nodes.GetSlice | nodes.SetSlice) -> list[_Piece]:
    pieces: list[_Piece] = ["["]
    for colons, part in enumerate((link.first, link.stop, link.step)):
        if 0 < colons <= link.colons:
            pieces.append(":")
        if part is not None:
            pieces.append(part)
    return [*pieces, "]"]
