"""The README's lines for browsers, as a module of a page that the server serves."""

from __future__ import annotations

import re
from typing import Any

from tests.documents import blocks

# As a script of the driver's, which a page's security policy lets run, and where imports are expressions.
RUN = """
window.said = [];
console.log = (...values) => window.said.push(JSON.stringify(values));
(async () => {
    %s
})().catch((error) => window.said.push(String(error)));
"""


def test_the_readme(server: Any, open_page: Any) -> None:
    code = "\n".join(block.text for block in blocks("README.md") if block.language == "js")
    server.query(".board = {cards: [{text: 'Water the plants', done: false}]}; nil;")
    window = open_page("board.html", log_in=False)
    imported = re.sub(r"import (\{.*?\}) from (.*?);", r"const \1 = await import(\2);", code)
    window.driver.execute_script(RUN % imported)

    def said() -> str:
        text: str = "".join(window.driver.execute_script("return said"))
        return text

    window.until(lambda: "Water the plants" in said())
    assert "Feed the cat" not in said()
    server.query(".board.cards.push({text: 'Feed the cat', done: false}); nil;")
    window.until(lambda: "Feed the cat" in said())
    window.until(lambda: "Monday" in said())
    server.query(".board.title = 'Tuesday'")
    window.until(lambda: '{"set":{"title":"Tuesday"}}' in said())
