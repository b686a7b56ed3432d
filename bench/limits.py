"""Limits of the system that stand in the way of thousands of connections."""

from __future__ import annotations

import resource

__all__ = ["raise_open_files"]


def raise_open_files() -> None:
    """Let this process have as many open files as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
