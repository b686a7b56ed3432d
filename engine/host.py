"""What the process around the engine knows and does for it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Host", "NoHost"]


class Host(Protocol):
    """Attributes are asked for when a query wants them."""

    status: str  # the node's status word
    log_level: str  # DEBUG, INFO, WARNING, ERROR or CRITICAL
    tcp_port: int
    http_port: int  # 0: off
    storage_path: str
    durable_change: int  # id of the last durable change
    stored_change: int  # id of the change that the last checkpoint contains
    connections: int
    pcre_version: str

    def set_log_level(self, level: str) -> None:
        """Log from this level on."""

    def shutdown(self) -> None:
        """Stop the node in good order, after the reply to the request that is being run."""


class NoHost:
    """An engine that runs by itself, as in tests."""

    status = "READY"
    log_level = "WARNING"
    tcp_port = 0
    http_port = 0
    storage_path = ""
    durable_change = 0
    stored_change = 0
    connections = 0
    pcre_version = ""

    def set_log_level(self, level: str) -> None:
        self.log_level = level

    def shutdown(self) -> None:
        self.status = "SHUTTING_DOWN"
