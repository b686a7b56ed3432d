"""`/openapi.json` and `/metrics`: what is said of the server must be valid, and true."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from engine.counters import BOUNDS, Durations
from server.native import AUTH, QUERY, WATCH, WATCH_WITH
from tests.http.conftest import Server
from tests.server.fakes import Client, bytes_of


async def test_the_openapi_document_is_valid_and_complete(server: Server) -> None:
    reply = await server.client(auth=None).get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    document = reply.json()
    OpenAPIV31SpecValidator(document).validate()
    assert {"/", "/healthy", "/ready", "/status", "/metrics", "/openapi.json"} < set(document["paths"])
    assert document["paths"]["//{collection}"]["post"]["security"]
    assert document["paths"]["/status"]["get"]["security"] == []


async def test_every_path_of_the_document_is_served_as_it_says(server: Server) -> None:
    client = server.client()
    document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if any(
                parameter["required"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
            ):
                continue
            options: dict[str, Any] = {}
            if "requestBody" in operation:
                options["json"] = operation["requestBody"]["content"]["application/json"]["schema"]["example"]
            url = server.url + path.replace("{collection}", "stuff")
            reply = await client.request(method.upper(), url, **options)
            declared = operation["responses"][str(reply.status_code)]["content"]
            assert reply.headers["content-type"].partition(";")[0] in declared
            assert reply.status_code == 200
            if options:
                assert reply.json() == 42


async def scrape(server: Server, accept: str = "") -> dict[str, float]:
    """The samples by name and labels, each family parsed as Prometheus does."""
    reply = await server.client(auth=None).get("/metrics", headers={"Accept": accept})
    assert reply.status_code == 200
    if "openmetrics" in accept:
        assert reply.headers["content-type"].startswith("application/openmetrics-text")
        families = list(open_metrics(reply.text))
    else:
        assert reply.headers["content-type"].startswith("text/plain; version=")
        families = list(prometheus(reply.text))
    assert all(family.documentation for family in families if family.name.startswith("livethings_"))
    samples = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_metrics_tell_what_happened(server: Server, accept: str) -> None:
    before = await scrape(server, accept)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.tcp_port)
    client = Client(reader, writer)
    await client.request(AUTH, ["admin", "pass"])
    root = server.eval(".id()")
    client.send(bytes_of(WATCH, ["//stuff", root]))
    await client.read(), await client.read()
    for code in (".a = {}", "1 / 0", "1"):
        client.send(bytes_of(QUERY, ["//stuff", code]))
        while (await client.read())[0] != 1:
            pass
    http = server.client(auth=("admin", "wrong"))
    await http.post(f"{server.url}//stuff", content=json.dumps({}))
    await asyncio.get_running_loop().run_in_executor(None, server.committer.flush)
    after = await scrape(server, accept)

    def grown(name: str) -> float:
        return after[f"livethings_{name}"] - before.get(f"livethings_{name}", 0.0)

    assert grown("queries_total{result=success}") == 3  # that of `eval` too
    assert grown("queries_total{result=error}") == 1
    assert grown("query_seconds_count") == grown("query_seconds_bucket{le=+Inf}") == 4
    assert grown("changes_total") == 1
    assert grown("events_total") == 1
    assert grown("things") == 1
    assert grown("watches") == 1
    assert grown("connections{kind=tcp}") == grown("sessions") == 1
    assert grown("commit_seconds_count") == 1
    assert grown("received_bytes_total") > 50 and grown("sent_bytes_total") > 50
    # The first scrape's response, and the refused request.
    assert grown("http_received_bytes_total") > 100 and 3_000 < grown("http_sent_bytes_total") < 100_000
    assert grown("logins_refused_total") == 1
    assert grown("http_request_seconds_count{operation=execute,status=401}") == 1
    assert after["livethings_outbox_frames"] == after["livethings_commit_backlog_bytes"] == 0
    assert after["livethings_last_change"] == server.engine.last_change
    assert after["process_open_fds"] > 0
    writer.close()


async def test_metrics_hold_no_names(server: Server) -> None:
    server.eval("new_user('somebody'); new_collection('private')", "@t")
    text = (await server.client(auth=None).get("/metrics")).text
    assert "somebody" not in text and "private" not in text


def test_durations() -> None:
    durations = Durations()
    for seconds in (0.002, 0.0025, 0.003, 3.0, 60.0):
        durations.add(seconds)
    counts = dict(durations.cumulative(105))
    assert list(counts) == [*BOUNDS, float("inf")]
    assert (counts[0.001], counts[0.0025], counts[0.005], counts[2.5], counts[5.0]) == (100, 102, 103, 103, 104)
    assert (counts[10.0], counts[float("inf")]) == (104, 105)


async def test_metrics_count_watches_that_are_taken_up(server: Server) -> None:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.config.tcp_port))
    await client.request(AUTH, ["admin", "pass"])
    root = server.eval(".x = 1; .id()")
    last = server.engine.last_change
    for since in (last, last, last + 1):
        client.send(bytes_of(WATCH_WITH, ["//stuff", {"ids": [root], "since": since}]))
        await client.read()
    await client.read()  # the first state
    await asyncio.to_thread(server.committer.flush)
    found = await scrape(server, "")
    assert found["livethings_resumed_watches_total{result=resumed}"] == 2
    assert found["livethings_resumed_watches_total{result=restarted}"] == 1
    assert found["livethings_first_kept_change"] == 1
    assert found["livethings_log_bytes"] > 0
    client.writer.close()
