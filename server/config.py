"""How the server is configured: a flag, else an environment variable, else the TOML file, else the default.

The option `tcp_port` is the flag `--tcp-port`, the variable `LIVETHINGS_TCP_PORT` and the key `tcp-port` or `tcp_port`
of the file, which `--config` or `LIVETHINGS_CONFIG` names.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["LOG_LEVELS", "Config", "ConfigError", "load", "option_help"]

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class ConfigError(ValueError):
    """A setting that can't be used; the message says which, where it was set, and what would be right."""


def about(text: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """What the help says of a setting, and its bounds, both included."""
    return {"help": text, "low": low, "high": high}


_PORT = 65535
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting of `livethings serve`. Times are in seconds, sizes in bytes."""

    data_dir: Path = field(
        default=Path("data"), metadata=about("folder that holds the store; made when it is not there")
    )
    host: str = field(default="127.0.0.1", metadata=about("address to listen on; 0.0.0.0 or :: for all"))
    tcp_port: int = field(default=9200, metadata=about("port for native packages; 0: off", 0, _PORT))
    ws_port: int = field(default=9270, metadata=about("port for WebSocket and the pages; 0: off", 0, _PORT))
    http_port: int = field(default=9210, metadata=about("port for HTTP; 0: off", 0, _PORT))
    unix_socket: Path | None = field(
        default=None, metadata=about("file of a Unix socket for native packages too; there must be none yet")
    )
    tls_cert: Path | None = field(
        default=None, metadata=about("PEM file with the certificate chain; with --tls-key: TLS on every port")
    )
    tls_key: Path | None = field(default=None, metadata=about("PEM file with the certificate's private key"))
    http_time: float = field(
        default=30.0, metadata=about("how long an HTTP request may take to arrive, in seconds", 0.1, 86400)
    )
    max_http_body: int = field(
        default=64 * _MIB, metadata=about("largest body of an HTTP request, in bytes", 1024, 1 << 30)
    )
    log_level: str = field(default="warning", metadata=about("least severe message to log: " + ", ".join(LOG_LEVELS)))
    slow_query_warning: float = field(
        default=0.0, metadata=about("log queries that take longer, in seconds, as warnings; 0: don't", 0, 86400)
    )
    slow_query_error: float = field(
        default=0.0, metadata=about("log queries that take longer, in seconds, as errors; 0: don't", 0, 86400)
    )
    max_result: int = field(default=20 * _MIB, metadata=about("largest result of a query, in bytes", 1024, 1 << 30))
    query_time: float = field(
        default=10.0, metadata=about("longest time a query may run, in seconds; 0: no limit", 0, 86400)
    )
    login_time: float = field(
        default=10.0, metadata=about("how long a connection may stay without login, in seconds", 0.1, 86400)
    )
    max_connections: int = field(default=10000, metadata=about("most connections at once", 1, 1_000_000))
    max_package: int = field(default=1 << 30, metadata=about("largest package or message, in bytes", 1024, 1 << 30))
    max_package_before_login: int = field(default=64 << 10, metadata=about("the same before login", 1024, 1 << 30))
    max_requests_before_login: int = field(
        default=1000, metadata=about("most requests that a connection may send before login", 1, 1_000_000)
    )
    max_outgoing: int = field(
        default=16 * _MIB, metadata=about("most bytes that may wait for a slow reader", 64 << 10, 1 << 40)
    )
    max_deep_things: int = field(
        default=20_000, metadata=about("most things that the deep watches of a connection may reach", 1, 10_000_000)
    )
    max_live_queries: int = field(default=1000, metadata=about("most live queries of a connection", 0, 1_000_000))
    max_live_result: int = field(default=_MIB, metadata=about("largest result of a live query, in bytes", 64, 1 << 30))
    live_query_time: float = field(
        default=1.0, metadata=about("longest time that a run of a live query may take, in seconds", 0.001, 86400)
    )
    room_history: int = field(
        default=1000, metadata=about("most events to keep of a room that is joined with history", 0, 1_000_000)
    )
    room_history_time: float = field(
        default=3600.0, metadata=about("how long to keep them, in seconds", 0, 86400 * 365)
    )
    room_history_bytes: int = field(
        default=8 * _MIB, metadata=about("most bytes of such events of all rooms together", 0, 1 << 40)
    )
    keep_changes: int = field(
        default=0, metadata=about("changes that are kept for clients who come back; 0: no limit", 0, 1 << 40)
    )
    keep_time: float = field(default=0.0, metadata=about("how long they are kept, in seconds; 0: no limit", 0, 1e10))
    keep_bytes: int = field(default=1 << 30, metadata=about("how many bytes of them are kept; 0: no limit", 0, 1 << 50))
    ping_interval: float = field(
        default=30.0, metadata=about("a connection that is silent this long is asked for a sign of life", 1, 86400)
    )

    modules_path: Path | None = field(
        default=None, metadata=about("folder of the modules, programs that queries may ask; without it none is run")
    )
    python_interpreter: str = field(default=sys.executable, metadata=about("what runs modules written in Python"))
    module_time: float = field(
        default=60.0, metadata=about("longest time that a module may take to answer, in seconds; 0: no limit", 0, 86400)
    )

    wait_for_modules: int = field(
        default=0,
        metadata=about("1: load the modules before listening for clients, for a minute at most; 0: don't", 0, 1),
    )
    github_url: str = field(
        default="https://api.github.com",
        metadata=about("where repositories of modules are downloaded from: GitHub's API, or one like it"),
    )

    def __post_init__(self) -> None:
        if not self.github_url.startswith(("https://", "http://")):
            raise ConfigError(f"--github-url must begin with https:// or http://, not {self.github_url!r}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key go together: set both or neither")
        if not (self.tcp_port or self.ws_port or self.http_port or self.unix_socket):
            raise ConfigError("every port is 0, and there is no Unix socket, so nobody could reach the server")
        ports = [port for port in (self.tcp_port, self.ws_port, self.http_port) if port]
        if len(set(ports)) < len(ports):
            raise ConfigError("--tcp-port, --ws-port and --http-port must differ")


_FIELDS = {item.name: item for item in fields(Config)}


def option_help() -> dict[str, str]:
    """A sentence on each setting, by its name, the default included."""
    return {
        name: f"{item.metadata['help']} (default: {'none' if item.default is None else item.default})"
        for name, item in _FIELDS.items()
    }


def load(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Config:
    """The configuration from flags (those not given: None or left out), environment and file.

    Raises ConfigError for what can't be used.
    """
    values: dict[str, Any] = {}
    file = flags.get("config") or environment.get("LIVETHINGS_CONFIG")
    if file:
        values |= _from_file(Path(file))
    for name in _FIELDS:
        variable = f"LIVETHINGS_{name.upper()}"
        if variable in environment:
            values[name] = _convert(name, environment[variable], variable)
        flag = flags.get(name)
        if flag is not None:
            values[name] = _convert(name, flag, f"--{name.replace('_', '-')}")
    return Config(**values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {path} is no TOML: {error}") from None
    values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in _FIELDS:
            raise ConfigError(f"{path}: there is no setting {key!r}; there are {', '.join(sorted(_FIELDS))}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ConfigError(f"{path}: {key} must be text or a number")
        values[name] = _convert(name, str(value), f"{path}: {key}")
        if name in ("data_dir", "unix_socket", "tls_cert", "tls_key", "modules_path"):
            values[name] = path.parent / values[name]
    return values


def _convert(name: str, text: str, where: str) -> Any:
    """The text as a value of the setting. `where` names the place it comes from."""
    kind = str(_FIELDS[name].type)
    if "Path" in kind:
        if not text:
            raise ConfigError(f"{where} must name a file or folder, not be empty")
        return Path(text).expanduser()
    if kind == "str":
        if name == "log_level" and text.lower() not in LOG_LEVELS:
            raise ConfigError(f"{where} must be one of {', '.join(LOG_LEVELS)}, not {text!r}")
        if not text:
            raise ConfigError(f"{where} must not be empty")
        return text.lower() if name == "log_level" else text
    low, high = _FIELDS[name].metadata["low"], _FIELDS[name].metadata["high"]
    try:
        number: float = int(text) if kind == "int" else float(text)
    except ValueError:
        raise ConfigError(f"{where} must be {'an integer' if kind == 'int' else 'a number'}, not {text!r}") from None
    if not low <= number <= high:
        raise ConfigError(f"{where} must be from {low} to {high}, not {text}")
    return number
