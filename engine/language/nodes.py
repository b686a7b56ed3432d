"""What a text parses to. Nodes only hold fields; `start` and `end` are offsets into the query's text.

An expression with something behind it is one flat `Chain`: a head and its links in order, so that `a.b[0].c(1)` is
`Chain(Name("a"), [GetProperty("b"), GetItem(0), CallMethod("c", …)])` and the length of a chain costs no depth.
Assignments to properties, items and slices are links too; they can only be the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "Anonymous", "Assign", "Binary", "Block", "Break", "Call", "CallMethod", "Chain", "ClosureLiteral", "Constant",
    "Continue", "For", "GetItem", "GetProperty", "GetSlice", "If", "Instance", "IntOverflow", "Link", "ListLiteral",
    "Logical", "Member", "Name", "Node", "Pair", "Parenthesis", "Query", "RegexLiteral", "Return", "Root", "SetItem",
    "SetProperty", "SetSlice", "Template", "Ternary", "ThingLiteral", "Unary",
]  # fmt: skip


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    start: int = 0
    end: int = 0


@dataclass(slots=True, eq=False)
class Query(Node):
    text: str
    statements: list[Node]


@dataclass(slots=True, eq=False)
class Block(Node):
    statements: list[Node]


@dataclass(slots=True, eq=False)
class Parenthesis(Node):
    """`( statement )`: means what is in it; kept for the formatter and the rules on what may be a change."""

    inner: Node


@dataclass(slots=True, eq=False)
class Ternary(Node):
    test: Node
    yes: Node
    no: Node


@dataclass(slots=True, eq=False)
class Logical(Node):
    """`&&` or `||`: the value is the operand that decides."""

    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False)
class Unary(Node):
    """Prefixes before a whole chain: `operators` holds one or more of `~`, `!`, `+`, `-` as written, so the last one
    is applied first. They are one flat node because their number has no limit."""

    operators: str
    operand: Node


@dataclass(slots=True, eq=False)
class If(Node):
    test: Node
    body: Node
    orelse: Node | None


@dataclass(slots=True, eq=False)
class For(Node):
    names: list[str]
    iterable: Node
    body: Node


@dataclass(slots=True, eq=False)
class Return(Node):
    value: Node | None
    deep: Node | None
    flags: Node | None


@dataclass(slots=True, eq=False)
class Break(Node):
    pass


@dataclass(slots=True, eq=False)
class Continue(Node):
    pass


@dataclass(slots=True, eq=False)
class ClosureLiteral(Node):
    """`|params| body`. Set by the analysis: `has_effects`, does its body need a change where it stands? `held_back`: it
    stands where `nse` holds that back, so it may need one when it is stored and runs elsewhere."""

    params: list[str]
    body: Node
    has_effects: bool = field(default=False, kw_only=True)
    held_back: bool = field(default=False, kw_only=True)


@dataclass(slots=True, eq=False)
class Constant(Node):
    """nil, true, false, an int, a float or a str; `source` as written."""

    value: bool | int | float | str | None
    source: str = field(default="", kw_only=True)


@dataclass(slots=True, eq=False)
class IntOverflow(Node):
    """An int literal beyond 64 bits: OverflowError when it is evaluated."""

    source: str


@dataclass(slots=True, eq=False)
class RegexLiteral(Node):
    pattern: str
    flags: str


@dataclass(slots=True, eq=False)
class Template(Node):
    """Text and holes, in order."""

    parts: list[str | Node]


@dataclass(slots=True, eq=False)
class ListLiteral(Node):
    items: list[Node]


@dataclass(slots=True, eq=False)
class Pair(Node):
    """`name: value`; without a value it takes the variable of that name."""

    name: str
    value: Node | None


@dataclass(slots=True, eq=False)
class ThingLiteral(Node):
    pairs: list[Pair]


@dataclass(slots=True, eq=False)
class Anonymous(Node):
    """`&{ … }`."""

    pairs: list[Pair]


@dataclass(slots=True, eq=False)
class Name(Node):
    """A bare name: a variable, a procedure or a constant."""

    name: str


@dataclass(slots=True, eq=False)
class Assign(Node):
    """`name = value`, or with one of the operators `+= -= *= /= %= &= |= ^=` (`operator` is `""` for `=`, else
    the operator without its `=`)."""

    name: str
    operator: str
    value: Node


@dataclass(slots=True, eq=False)
class Call(Node):
    """`name(arguments)`."""

    name: str
    arguments: list[Node]


@dataclass(slots=True, eq=False)
class Instance(Node):
    """`Type{ … }`."""

    name: str
    pairs: list[Pair]


@dataclass(slots=True, eq=False)
class Member(Node):
    """`Enum{NAME}`, or `Enum{|| …}` whose closure gives the name."""

    name: str
    member: str | ClosureLiteral


@dataclass(slots=True, eq=False)
class Root(Node):
    """The start of a chain that begins with a dot: the collection's root."""


@dataclass(slots=True, eq=False)
class Link(Node):
    pass


@dataclass(slots=True, eq=False)
class GetProperty(Link):
    name: str
    optional: bool = False  # after `..`


@dataclass(slots=True, eq=False)
class SetProperty(Link):
    name: str
    operator: str
    value: Node
    optional: bool = False


@dataclass(slots=True, eq=False)
class CallMethod(Link):
    name: str
    arguments: list[Node]
    optional: bool = False


@dataclass(slots=True, eq=False)
class GetItem(Link):
    index: Node


@dataclass(slots=True, eq=False)
class SetItem(Link):
    index: Node
    operator: str
    value: Node


@dataclass(slots=True, eq=False)
class GetSlice(Link):
    """`[a:b:c]`, and `[]`, which is all three absent. `colons` is how many were written."""

    first: Node | None
    stop: Node | None
    step: Node | None
    colons: int = 0


@dataclass(slots=True, eq=False)
class SetSlice(Link):
    first: Node | None
    stop: Node | None
    step: Node | None
    operator: str
    value: Node
    colons: int = 0


@dataclass(slots=True, eq=False)
class Chain(Node):
    head: Node
    links: list[Link]
