"""The data types of the language. Importing this package registers every kind of value, method and function."""

from engine.values import closure, error, list, mpdata, numbers, regex, replace, room, set, split, str, thing  # noqa: F401
