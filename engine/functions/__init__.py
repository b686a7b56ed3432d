"""The global functions, a page a subject. Importing this package registers all of them."""

from engine.functions import collections, flow  # noqa: F401
