"""Every number that bounds something in the language and the engine (spec/language.md, section 14)."""

from __future__ import annotations

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1

MAX_NAME_BYTES = 255
MAX_NESTED_STATEMENTS = 501
MAX_CLOSURE_ACTIVITY = 24  # calls of one closure that may be active at once
MAX_DEEP = 127
MAX_RANGE_ITEMS = 100_000
MAX_RESULT_BYTES = 20_971_520  # the default; checked whenever a thing is about to be written
MAX_TEXT_BYTES = 256 * 1024 * 1024  # a str or bytes made by a query
MAX_ARRAY_ITEMS = 16 * 1024 * 1024  # a list, tuple or set made by a query
MAX_VALUE_NESTING = 200  # arrays and new things inside one another in one stored or sent value
MAX_COPIED_THINGS = 1_000_000  # by one copy() or dup()
MAX_DEFAULT_THINGS = 100_000  # made together for fields that were given no value
MAX_FUTURES = 2000
MAX_FUTURES_PER_CLOSURE = 255
MAX_TASKS = 500
MAX_TYPES = 16_384
MAX_ENUMS = 8_191
MAX_MEMBERS = 65_535
MAX_FIELDS_TO_SELF = 255
MAX_TOKENS = 129
MAX_ERROR_MESSAGE_BYTES = 16_383
CACHED_QUERIES_BYTES = 64 * 1024 * 1024  # texts and their compiled code that are kept, about
CACHED_QUERY_TEXT = 64 * 1024  # a longer text is not kept
