"""The global functions, a page a subject. Importing this package registers all of them."""

from engine import values as _values  # noqa: F401  (first, whichever page is the first)
from engine.functions import (  # noqa: F401
    backups,
    base64,
    collections,
    conversion,
    enums,
    errors,
    exporting,
    flow,
    history,
    introspection,
    json,
    lists,
    math,
    modules,
    node,
    nothing,
    procedures,
    random,
    tests,
    things,
    time,
    types,
    users,
)
