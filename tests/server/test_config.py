"""Where settings come from, and what is said about those that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config import Config, ConfigError, load


def test_defaults() -> None:
    config = load({}, {})
    assert config == Config()
    assert (config.host, config.tcp_port, config.ws_port, config.http_port) == ("127.0.0.1", 9200, 9270, 9210)


def test_a_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "livethings.toml"
    file.write_text('host = "file"\ntcp-port = 1\nws_port = 2\n')
    environment = {"LIVETHINGS_CONFIG": str(file), "LIVETHINGS_HOST": "environment", "LIVETHINGS_TCP_PORT": "3"}
    config = load({"host": "flag"}, environment)
    assert (config.host, config.tcp_port, config.ws_port, config.http_port) == ("flag", 3, 2, 9210)


def test_the_config_flag_wins_over_its_variable(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('host = "a"')
    (tmp_path / "b.toml").write_text('host = "b"')
    config = load({"config": str(tmp_path / "a.toml")}, {"LIVETHINGS_CONFIG": str(tmp_path / "b.toml")})
    assert config.host == "a"


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('data-dir = "things"')
    assert load({"config": str(tmp_path / "c.toml")}, {}).data_dir == tmp_path / "things"


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ({"tcp_port": "x"}, {}, "--tcp-port must be an integer, not 'x'"),
        ({"tcp_port": "65536"}, {}, "--tcp-port must be from 0 to 65535, not 65536"),
        ({}, {"LIVETHINGS_QUERY_TIME": "soon"}, "LIVETHINGS_QUERY_TIME must be a number, not 'soon'"),
        ({"query_time": "nan"}, {}, "--query-time must be from 0 to 86400, not nan"),
        ({"log_level": "loud"}, {}, "--log-level must be one of debug, info, warning, error, critical, not 'loud'"),
        ({"tls_cert": "c.pem"}, {}, "go together"),
        ({"tcp_port": "7000", "ws_port": "7000"}, {}, "must differ"),
        ({"tcp_port": "0", "ws_port": "0", "http_port": "0"}, {}, "every port is 0"),
        ({"host": ""}, {}, "--host must not be empty"),
        ({"config": "/nowhere/at/all.toml"}, {}, "can't be read: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_named(flags: dict[str, str], environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(flags, environment)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host = ", "is no TOML"),
        ('prot = "x"', "there is no setting 'prot'"),
        ("host = [1]", "host must be text or a number"),
        ("tcp-port = true", "tcp-port must be text or a number"),
        ("tcp-port = -1", "tcp-port must be from 0 to 65535, not -1"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load({"config": str(tmp_path / "c.toml")}, {})
    assert said in str(error.value)
    assert "c.toml" in str(error.value)
