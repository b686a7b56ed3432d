"""Colours for query text, as a Pygments lexer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text, _TokenType

from shell import scanning

__all__ = ["QueryLexer"]

_TOKENS: dict[str, _TokenType] = {
    scanning.BLANK: Text.Whitespace,
    scanning.COMMENT: Comment,
    scanning.NUMBER: Number,
    scanning.STRING: String,
    scanning.TEMPLATE: String.Backtick,
    scanning.REGEX: String.Regex,
    scanning.NAME: Name.Variable,
    scanning.KEYWORD: Keyword,
    scanning.CONSTANT: Keyword.Constant,
    scanning.PROPERTY: Name.Attribute,
    scanning.CALL: Name.Function,
    scanning.METHOD: Name.Function,
    scanning.TYPE: Name.Class,
    scanning.OPERATOR: Operator,
    scanning.SIGN: Punctuation,
}


class QueryLexer(Lexer):  # type: ignore[misc]
    """The query language."""

    name = "Livethings"
    aliases: ClassVar = ["livethings"]
    filenames: ClassVar = ["*.ti"]

    def __init__(self, **options: Any) -> None:
        # The text as it is: what is shown must be what was typed.
        super().__init__(**({"stripnl": False, "ensurenl": False} | options))

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """The tokens with their offsets."""
        for piece in scanning.scan(text):
            yield piece.start, _TOKENS[piece.kind], piece.text
