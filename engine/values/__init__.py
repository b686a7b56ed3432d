"""The data types of the language. Importing this package registers every kind of value, method and function."""

from engine.values import (  # noqa: F401
    closure,
    copying,
    error,
    list,
    mpdata,
    numbers,
    regex,
    replace,
    room,
    set,
    set_methods,
    split,
    str,
    thing,
    thing_aliases,
    thing_copies,
    thing_methods,
    thing_walks,
    thing_watch,
)
