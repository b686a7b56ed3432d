"""Text to nodes.

`parse` runs the LALR tables of `grammar.lark`; `_Builder` makes the nodes while it runs, so there is no tree between.
The rules are those of the specification's page on the language, sections 2, 3 and 14.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any, Final

from lark import Lark, Token
from lark.exceptions import UnexpectedInput

from engine.errors import SyntaxFailed
from engine.language import nodes
from engine.language.lalr import Tables, Word
from engine.language.nodes import Node
from engine.language.syntax_errors import explain, line_and_column, shorten, skip_blanks
from engine.limits import INT_MAX, MAX_NESTED_STATEMENTS

__all__ = ["parse", "tokenise"]

_lock = Lock()


def parse(text: str) -> nodes.Query:
    """Parse a whole query. Raises SyntaxFailed, which says where and what would have fitted."""
    lark, tables, _ = _machinery()

    def work() -> Any:
        query = tables.parse(text)
        return lark.parse(text) if query is None else query  # which raises, and says why

    query: nodes.Query = _run(text, work)
    _check_nesting(query)
    return query


def tokenise(text: str) -> list[Token]:
    """The tokens of a query in order, with their offsets; what is between them are blanks and comments. What a piece
    of text is depends on what stands before it, so this parses, and raises SyntaxFailed as `parse` does."""
    lark, _, _ = _machinery()

    def step_through() -> list[Token]:
        parser = lark.parse_interactive(text)
        try:
            tokens = list(parser.iter_parse())
            parser.feed_eof(tokens[-1] if tokens else None)  # type: ignore[no-untyped-call]
        except UnexpectedInput as unexpected:
            unexpected.interactive_parser = parser  # which the message asks what would have fitted
            raise
        return tokens

    tokens: list[Token] = _run(text, step_through)
    return tokens


def _run(text: str, work: Callable[[], Any]) -> Any:
    _, _, builder = _machinery()
    with _lock:
        builder.text = text
        try:
            return work()
        except UnexpectedInput as unexpected:
            message = explain(text, unexpected)
        finally:
            builder.text = ""
    raise SyntaxFailed(message)  # out here, so that it carries no traceback of the parser's


@lru_cache(maxsize=1)
def _machinery() -> tuple[Lark, Tables, _Builder]:
    # Made when first needed: it costs a tenth of a second.
    builder = _Builder()
    lark = Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        lexer="contextual",
        transformer=builder,
        keep_all_tokens=True,
        maybe_placeholders=True,
    )
    return lark, Tables(lark), builder


# How tight a binary operator binds. Those of one level group to the left.
_BINDING: Final[dict[str, int]] = {
    "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "|": 4, "^": 5, "&": 6, "<<": 7, ">>": 7, "+": 8, "-": 8, "*": 9, "/": 9, "%": 9,
}  # fmt: skip


def _combine(left: Node, operator: str, right: Node) -> Node:
    # `operator` is a Token; the nodes carry plain strings.
    if operator == "&&" or operator == "||":
        return nodes.Logical(str(operator), left, right, start=left.start, end=right.end)
    return nodes.Binary(str(operator), left, right, start=left.start, end=right.end)


def _bind(flat: list[Any]) -> Node:
    """Sort out which operator binds tighter in `[operand, operator, operand, …]`."""
    if len(flat) == 3:
        return _combine(flat[0], flat[1], flat[2])
    operands: list[Node] = [flat[0]]
    waiting: list[str] = []
    for index in range(1, len(flat), 2):
        operator = flat[index]
        level = _BINDING[operator]
        while waiting and _BINDING[waiting[-1]] >= level:
            right = operands.pop()
            operands[-1] = _combine(operands[-1], waiting.pop(), right)
        waiting.append(operator)
        operands.append(flat[index + 1])
    while waiting:
        right = operands.pop()
        operands[-1] = _combine(operands[-1], waiting.pop(), right)
    return operands[0]


def _link(head: Any, link: nodes.Link) -> nodes.Chain:
    # A chain that comes up here is still open: one in parentheses is inside a Parenthesis.
    if type(head) is nodes.Chain:
        head.links.append(link)
        head.end = link.end
        return head
    return nodes.Chain(head, [link], start=head.start, end=link.end)


class _Builder:
    """The grammar's callbacks: each gets what its alternative matched, tokens included, and returns a node or a list.

    Lists are grown in place, so that a thousand items take a thousand steps.
    """

    def __init__(self) -> None:
        self.text = ""

    def _at(self, token: Word) -> str:
        """Where a token is, for a message."""
        return line_and_column(self.text, token.start_pos)

    # --- lists

    def first(self, children: list[Any]) -> list[Any]:
        return children

    def following(self, children: list[Any]) -> list[Any]:
        found: list[Any] = children[0]
        found.append(children[2])
        return found

    def more(self, children: list[Any]) -> list[Any]:
        found: list[Any] = children[0]
        found.append(children[1])
        return found

    # --- statements

    def empty(self, children: list[Any]) -> nodes.Query:
        return nodes.Query(self.text, [], start=0, end=len(self.text))

    def query(self, children: list[Any]) -> nodes.Query:
        return nodes.Query(self.text, children[0], start=0, end=len(self.text))

    def binary_first(self, children: list[Any]) -> list[Any]:
        return children

    def binary_more(self, children: list[Any]) -> list[Any]:
        found: list[Any] = children[0]
        found += children[1:]
        return found

    def binary_end(self, children: list[Any]) -> Node:
        return _bind(children[0])

    def ternary(self, children: list[Any]) -> nodes.Ternary:
        test, _, yes, _, no = children
        return nodes.Ternary(test, yes, no, start=test.start, end=no.end)

    def binary_ternary(self, children: list[Any]) -> nodes.Ternary:
        flat, _, yes, _, no = children
        test = _bind(flat)
        return nodes.Ternary(test, yes, no, start=test.start, end=no.end)

    def block(self, children: list[Any]) -> nodes.Block:
        return nodes.Block(children[1], start=children[0].start_pos, end=children[-1].end_pos)

    def block_method(self, children: list[Any]) -> nodes.Chain:
        block, dot, name, _ = children
        last = block.statements[-1]
        if isinstance(last, nodes.Constant):
            raise SyntaxFailed(
                f"{self._at(dot)}: found {str(dot)!r} behind a block that answers a literal, where an operator, ';' or "
                f"the end was expected; put the value in parentheses to call {name}() on it"
            )
        return _link(block, self.call_method(children[1:]))

    def break_(self, children: list[Any]) -> nodes.Break:
        return nodes.Break(start=children[0].start_pos, end=children[0].end_pos)

    def continue_(self, children: list[Any]) -> nodes.Continue:
        return nodes.Continue(start=children[0].start_pos, end=children[0].end_pos)

    def return_(self, children: list[Any]) -> nodes.Return:
        word = children[0]
        last = children[-1]
        value, deep, flags = (*children[1::2], None, None, None)[:3]
        return nodes.Return(value, deep, flags, start=word.start_pos, end=word.end_pos if last is word else last.end)

    def if_(self, children: list[Any]) -> nodes.If:
        orelse = children[6] if len(children) > 5 else None
        return nodes.If(children[2], children[4], orelse, start=children[0].start_pos, end=children[-1].end)

    def for_(self, children: list[Any]) -> nodes.For:
        names = [self._loop_variable(item, children[0]) for item in children[2]]
        return nodes.For(names, children[4], children[6], start=children[0].start_pos, end=children[6].end)

    def _loop_variable(self, item: Node, word: Word) -> str:
        # The parser can't tell a variable of a loop from an argument before it sees `in`.
        if type(item) is nodes.Name:
            return item.name
        if type(item) in (nodes.Break, nodes.Continue, nodes.Constant):
            written = self.text[item.start : item.end]
            if written.isidentifier():
                return written
        raise SyntaxFailed(f"{self._at(word)}: a loop is written for(NAME, NAME, … in VALUE); "
                           f"{shorten(self.text[item.start : item.end])} is no name")  # fmt: skip

    # --- closures

    def closure(self, children: list[Any]) -> nodes.ClosureLiteral:
        return self._closure(children, children[1])

    def closure_bare(self, children: list[Any]) -> nodes.ClosureLiteral:
        return self._closure(children, [])

    def _closure(self, children: list[Any], parameters: list[Word]) -> nodes.ClosureLiteral:
        body = children[-1]
        return nodes.ClosureLiteral(
            [str(name) for name in parameters],
            body,
            start=children[0].start_pos,
            end=skip_blanks(self.text, body.end),
        )

    # --- expressions

    def prefixed(self, children: list[Any]) -> nodes.Unary:
        prefixes, operand = children
        return nodes.Unary("".join(prefixes), operand, start=prefixes[0].start_pos, end=operand.end)

    def prefixed_return(self, children: list[Any]) -> Node:
        raise SyntaxFailed(f"{self._at(children[1])}: a return takes no prefix")

    def assign(self, children: list[Any]) -> nodes.Assign:
        name, operator, value = children
        return nodes.Assign(str(name), operator[:-1], value, start=name.start_pos, end=value.end)

    def root_assign(self, children: list[Any]) -> nodes.Chain:
        return _link(self._root(children[0]), self._set_property(*children))

    def property_assign(self, children: list[Any]) -> nodes.Chain:
        return _link(children[0], self._set_property(*children[1:]))

    def _root(self, dot: Any) -> nodes.Root:
        return nodes.Root(start=dot.start_pos, end=dot.start_pos)

    def _set_property(self, dot: Any, name: str, operator: str, value: Node) -> nodes.SetProperty:
        return nodes.SetProperty(str(name), operator[:-1], value, len(dot) == 2, start=dot.start_pos, end=value.end)

    def subscript_assign(self, children: list[Any]) -> nodes.Chain:
        head, target, operator, value = children
        link: nodes.Link
        if type(target) is nodes.GetItem:
            link = nodes.SetItem(target.index, operator[:-1], value, start=target.start, end=value.end)
        else:
            link = nodes.SetSlice(
                target.first, target.stop, target.step, operator[:-1], value, target.colons,
                start=target.start, end=value.end,
            )  # fmt: skip
        return _link(head, link)

    def number(self, children: list[Any]) -> Node:
        token = children[0]
        source = str(token)
        start, end = token.start_pos, token.end_pos
        value: int | float
        if "x" in source:
            value = int(source, 16)
        elif "." in source:
            return nodes.Constant(float(source), source=source, start=start, end=end)
        elif "o" in source:
            value = int(source, 8)
        elif "b" in source:
            value = int(source, 2)
        elif len(source) < 30:
            value = int(source)
        else:
            # Python refuses to convert thousands of digits, most of which can be zeros here.
            digits = source.lstrip("+-0")
            value = int(digits[:30] or "0")
            if source[0] == "-":
                value = -value
        if -INT_MAX <= value <= INT_MAX:
            return nodes.Constant(value, source=source, start=start, end=end)
        return nodes.IntOverflow(source, start=start, end=end)

    def string(self, children: list[Any]) -> nodes.Constant:
        token = children[0]
        source = str(token)
        quote = source[0]
        value = source[1:-1]
        if quote in value:
            value = value.replace(quote + quote, quote)
        return nodes.Constant(value, source=source, start=token.start_pos, end=token.end_pos)

    def nil(self, children: list[Any]) -> nodes.Constant:
        return nodes.Constant(None, source="nil", start=children[0].start_pos, end=children[0].end_pos)

    def true(self, children: list[Any]) -> nodes.Constant:
        return nodes.Constant(True, source="true", start=children[0].start_pos, end=children[0].end_pos)

    def false(self, children: list[Any]) -> nodes.Constant:
        return nodes.Constant(False, source="false", start=children[0].start_pos, end=children[0].end_pos)

    def float_word(self, children: list[Any]) -> nodes.Constant:
        token = children[0]
        return nodes.Constant(float(token), source=str(token), start=token.start_pos, end=token.end_pos)

    def regex(self, children: list[Any]) -> nodes.RegexLiteral:
        token = children[0]
        pattern, _, flags = token[1:].rpartition("/")
        return nodes.RegexLiteral(pattern, flags, start=token.start_pos, end=token.end_pos)

    def parenthesis(self, children: list[Any]) -> nodes.Parenthesis:
        return nodes.Parenthesis(children[1], start=children[0].start_pos, end=children[2].end_pos)

    def list_empty(self, children: list[Any]) -> nodes.ListLiteral:
        return nodes.ListLiteral([], start=children[0].start_pos, end=children[1].end_pos)

    def list_literal(self, children: list[Any]) -> nodes.ListLiteral:
        return nodes.ListLiteral(children[1], start=children[0].start_pos, end=children[-1].end_pos)

    # --- templates

    def template_empty(self, children: list[Any]) -> nodes.Template:
        return nodes.Template([], start=children[0].start_pos, end=children[1].end_pos)

    def template(self, children: list[Any]) -> nodes.Template:
        parts = [
            part.replace("``", "`").replace("{{", "{").replace("}}", "}") if isinstance(part, str) else part
            for part in children[1]
        ]
        return nodes.Template(parts, start=children[0].start_pos, end=children[2].end_pos)

    def hole(self, children: list[Any]) -> Node:
        statement: Node = children[1]
        return statement

    # --- things. What stands between braces comes as (pairs, start, end).

    def fields_empty(self, children: list[Any]) -> tuple[list[nodes.Pair], int, int]:
        return [], children[0].start_pos, children[1].end_pos

    def fields(self, children: list[Any]) -> tuple[list[nodes.Pair], int, int]:
        return children[1], children[0].start_pos, children[-1].end_pos

    def thing(self, children: list[Any]) -> nodes.ThingLiteral:
        pairs, start, end = children[0]
        return nodes.ThingLiteral(pairs, start=start, end=end)

    def anonymous_empty(self, children: list[Any]) -> nodes.Anonymous:
        return nodes.Anonymous([], start=children[0].start_pos, end=children[1].end_pos)

    def anonymous(self, children: list[Any]) -> nodes.Anonymous:
        return nodes.Anonymous(children[1], start=children[0].start_pos, end=children[-1].end_pos)

    def instance(self, children: list[Any]) -> nodes.Instance:
        name, (pairs, _, end) = children
        return nodes.Instance(str(name), pairs, start=name.start_pos, end=end)

    def member(self, children: list[Any]) -> nodes.Member:
        name, _, which, close = children
        if type(which) is not nodes.ClosureLiteral:
            which = str(which)
        return nodes.Member(str(name), which, start=name.start_pos, end=close.end_pos)

    def pair_short(self, children: list[Any]) -> nodes.Pair:
        key, colon = children
        return nodes.Pair(str(key), None, start=key.start_pos, end=colon.end_pos)

    def pair(self, children: list[Any]) -> nodes.Pair:
        key, _, value = children
        return nodes.Pair(str(key), value, start=key.start_pos, end=value.end)

    # --- names, calls and chains. Arguments come as (items, end).

    def name(self, children: list[Any]) -> nodes.Name:
        token = children[0]
        return nodes.Name(str(token), start=token.start_pos, end=token.end_pos)

    def arguments_empty(self, children: list[Any]) -> tuple[list[Node], int]:
        return [], children[1].end_pos

    def arguments(self, children: list[Any]) -> tuple[list[Node], int]:
        return children[1], children[-1].end_pos

    def call(self, children: list[Any]) -> nodes.Call:
        name, (items, end) = children
        return nodes.Call(str(name), items, start=name.start_pos, end=end)

    def word_call(self, children: list[Any]) -> nodes.Call:
        items: list[Node] = []
        for child in children[2:-1]:
            if isinstance(child, Node):
                items.append(child)
            elif type(child) is list:
                items += child
        return nodes.Call(str(children[0]), items, start=children[0].start_pos, end=children[-1].end_pos)

    def root_property(self, children: list[Any]) -> nodes.Chain:
        return _link(self._root(children[0]), self.get_property(children))

    def root_call(self, children: list[Any]) -> nodes.Chain:
        return _link(self._root(children[0]), self.call_method(children))

    def linked(self, children: list[Any]) -> nodes.Chain:
        return _link(children[0], children[1])

    def get_property(self, children: list[Any]) -> nodes.GetProperty:
        dot, name = children
        return nodes.GetProperty(str(name), len(dot) == 2, start=dot.start_pos, end=name.end_pos)

    def call_method(self, children: list[Any]) -> nodes.CallMethod:
        dot, name, (items, end) = children
        return nodes.CallMethod(str(name), items, len(dot) == 2, start=dot.start_pos, end=end)

    def index(self, children: list[Any]) -> nodes.GetItem:
        return nodes.GetItem(children[1], start=children[0].start_pos, end=children[2].end_pos)

    def slice_all(self, children: list[Any]) -> nodes.GetSlice:
        return nodes.GetSlice(None, None, None, 0, start=children[0].start_pos, end=children[1].end_pos)

    def slice_two(self, children: list[Any]) -> nodes.GetSlice:
        return nodes.GetSlice(children[1], children[3], None, 1, start=children[0].start_pos, end=children[4].end_pos)

    def slice_three(self, children: list[Any]) -> nodes.GetSlice:
        return nodes.GetSlice(
            children[1], children[3], children[5], 2, start=children[0].start_pos, end=children[6].end_pos
        )


# --- nesting

# Each nested statement has at least one of these before it, so a text with few of them needs no walk.
_OPENERS: Final = (*"([{|=+-*/%<>&^?`", "return")


def _check_nesting(query: nodes.Query) -> None:
    """Raise SyntaxFailed where statements nest more than MAX_NESTED_STATEMENTS deep.

    Every parenthesis, bracket, argument, block, body and right side is one more; so is every right operand, whichever
    operator binds tighter: the operands of one expression are each one deeper than the operand before.
    """
    text = query.text
    if len(text) < MAX_NESTED_STATEMENTS or sum(map(text.count, _OPENERS)) < MAX_NESTED_STATEMENTS:
        return
    waiting = [(statement, 1) for statement in query.statements]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_NESTED_STATEMENTS:
            raise SyntaxFailed(
                f"{line_and_column(text, node.start)}: statements can be nested {MAX_NESTED_STATEMENTS} deep, no more"
            )
        for kind, inner in _inner(node):
            waiting.append((inner, depth + kind))


def _inner(node: Node) -> list[tuple[int, Node]]:
    """What stands directly in a node, with how much deeper that is."""
    match node:
        case nodes.Binary() | nodes.Logical():
            operands: list[Node] = []
            waiting: list[Node] = [node]
            while waiting:
                operand = waiting.pop()
                if isinstance(operand, (nodes.Binary, nodes.Logical)):
                    waiting += (operand.right, operand.left)
                else:
                    operands.append(operand)
            return list(enumerate(operands))
        case nodes.Chain():
            inner = [(0, node.head)]
            for link in node.links:
                match link:
                    case nodes.CallMethod():
                        inner += [(1, argument) for argument in link.arguments]
                    case nodes.SetProperty():
                        inner.append((1, link.value))
                    case nodes.GetItem():
                        inner.append((1, link.index))
                    case nodes.SetItem():
                        inner += ((1, link.index), (1, link.value))
                    case nodes.GetSlice() | nodes.SetSlice():
                        inner += [(1, part) for part in (link.first, link.stop, link.step) if part]
                        if isinstance(link, nodes.SetSlice):
                            inner.append((1, link.value))
            return inner
        case nodes.Unary():
            return [(0, node.operand)]
        case nodes.Ternary():
            return [(0, node.test), (1, node.yes), (1, node.no)]
        case nodes.Block():
            return [(1, statement) for statement in node.statements]
        case nodes.Parenthesis():
            return [(1, node.inner)]
        case nodes.If():
            return [(1, part) for part in (node.test, node.body, node.orelse) if part]
        case nodes.For():
            return [(1, node.iterable), (1, node.body)]
        case nodes.Return():
            return [(1, part) for part in (node.value, node.deep, node.flags) if part]
        case nodes.ClosureLiteral():
            return [(1, node.body)]
        case nodes.Assign():
            return [(1, node.value)]
        case nodes.Call():
            return [(1, argument) for argument in node.arguments]
        case nodes.ListLiteral():
            return [(1, item) for item in node.items]
        case nodes.Template():
            return [(1, part) for part in node.parts if isinstance(part, Node)]
        case nodes.ThingLiteral() | nodes.Anonymous() | nodes.Instance():
            return [(1, pair.value) for pair in node.pairs if pair.value]
        case nodes.Member(member=nodes.ClosureLiteral() as closure):
            return [(0, closure)]
    return []
