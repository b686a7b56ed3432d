"""The global functions, a page a subject. Importing this package registers all of them."""

from engine.functions import collections, errors, flow, procedures  # noqa: F401
