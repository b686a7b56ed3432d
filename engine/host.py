"""What the process around the engine knows and does for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import BadDataError
from engine.modules import NoModules

if TYPE_CHECKING:
    from engine.modules import ModuleHost
    from engine.users import User

__all__ = ["Host", "NoHost"]


class Host(Protocol):
    """Asked for when a query wants to know."""

    @property
    def status(self) -> str:
        """The node's status word."""

    @property
    def log_level(self) -> str:
        """DEBUG, INFO, WARNING, ERROR or CRITICAL."""

    @property
    def tcp_port(self) -> int: ...

    @property
    def http_port(self) -> int:
        """0: off."""

    @property
    def storage_path(self) -> str: ...

    @property
    def durable_change(self) -> int:
        """The id of the last durable change."""

    @property
    def stored_change(self) -> int:
        """The id of the change that the last checkpoint contains."""

    @property
    def connections(self) -> int:
        """How many clients are connected."""

    @property
    def pcre_version(self) -> str: ...

    @property
    def modules(self) -> ModuleHost:
        """What runs the modules."""

    @property
    def modules_path(self) -> str:
        """The folder of the modules, empty when none are run."""

    @property
    def python_interpreter(self) -> str: ...

    def set_log_level(self, level: str) -> None:
        """Log from this level on."""

    def shutdown(self) -> None:
        """Stop the node in good order, after the reply to the request that is being run."""

    def check_backup(self, file: str) -> None:
        """BadDataError unless the file is there and looks like a backup."""

    def restore(self, file: str, keeping: User | None, tasks: bool) -> None:
        """Restore a backup soon, with its tasks or without; a user to keep stays as the only one (`engine.restoring`).
        OperationError while another backup is being restored."""


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
    modules_path = ""
    python_interpreter = "python"

    def __init__(self) -> None:
        self.modules: ModuleHost = NoModules()

    def set_log_level(self, level: str) -> None:
        self.log_level = level

    def shutdown(self) -> None:
        self.status = "SHUTTING_DOWN"

    def check_backup(self, file: str) -> None:
        raise BadDataError(f"an engine that runs by itself can't read {file[:200]!r}")

    def restore(self, file: str, keeping: User | None, tasks: bool) -> None:
        self.check_backup(file)
