"""The pages beside the WebSocket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from server.pages import Pages, pages_folder
from tests.server.fakes import House, within


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    root = tmp_path / "pages"
    (root / "board").mkdir(parents=True)
    (root / "index.html").write_text("<p>home")
    (root / "live.js").write_text("export {}")
    (root / "a b.css").write_text("p {}")
    (root / "board" / "index.html").write_text("<p>board")
    (root / "secret.py").write_text("secret")
    (root / ".hidden.html").write_text("secret")
    (tmp_path / "outside.html").write_text("secret")
    (root / "link.html").symlink_to(tmp_path / "outside.html")
    os.mkfifo(root / "pipe.html")
    return Pages(root)


def ask(pages: Pages, path: str, method: str = "GET", **headers: str) -> Response:
    return pages.respond(
        Request(path, Headers({name.replace("_", "-"): value for name, value in headers.items()}), method)
    )


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", b"<p>home"),
        ("/?room=1", "text/html; charset=utf-8", b"<p>home"),
        ("/index.html", "text/html; charset=utf-8", b"<p>home"),
        ("/live.js?v=2", "text/javascript; charset=utf-8", b"export {}"),
        ("/a%20b.css", "text/css; charset=utf-8", b"p {}"),
        ("/board/", "text/html; charset=utf-8", b"<p>board"),
    ],
)
def test_files(pages: Pages, path: str, kind: str, body: bytes) -> None:
    response = ask(pages, path)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == kind
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.body == body


@pytest.mark.parametrize(
    "path",
    [
        "/outside.html", "/../outside.html", "/%2e%2e/outside.html", "/board/../../outside.html", "//outside.html",
        "/..%2foutside.html", "/..\\outside.html", "/%2e%2e%5coutside.html", "/link.html", "/pipe.html", "/secret.py",
        "/.hidden.html", "/board", "/nothing.html", "/nothing/", "/%00.html", "/%ff.html", "/C:/x.html", "*",
        "outside.html", "http://[/", "/" + "a" * 5000 + ".html", "/index.html/", "/index.html/x.html",
    ],
)  # fmt: skip
def test_everything_else_is_not_found(pages: Pages, path: str) -> None:
    response = ask(pages, path)
    assert response.status_code == 404
    assert b"secret" not in response.body


def test_what_the_browser_has_is_not_sent_again(pages: Pages) -> None:
    tag = ask(pages, "/live.js").headers["ETag"]
    again = ask(pages, "/live.js", If_None_Match=f'"other", W/{tag}')
    assert (again.status_code, again.body) == (304, b"")
    assert ask(pages, "/live.js", If_None_Match='"other"').status_code == 200


def test_head_and_other_methods(pages: Pages) -> None:
    response = ask(pages, "/live.js", "HEAD")
    assert (response.status_code, response.body, response.headers["Content-Length"]) == (200, b"", "9")
    response = ask(pages, "/", "DELETE")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")


async def http(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await within(reader.read(-1))
    writer.close()
    return answer


async def test_the_module_comes_from_the_websockets_port(house: House) -> None:
    answer = await http(house.config.ws_port, b"GET /livethings.js HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/javascript" in head
    assert body == (pages_folder() / "livethings.js").read_bytes()


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2f..%2fetc/passwd"])
async def test_no_way_out_of_the_folder(house: House, path: str) -> None:
    answer = await http(house.config.ws_port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
