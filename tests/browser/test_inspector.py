"""The inspector: a collection as a live tree, and the query box."""

from __future__ import annotations

from collections.abc import Callable

from selenium.webdriver.common.keys import Keys

from .conftest import Server
from .window import Window

Open = Callable[..., Window]


def test_the_query_box_changes_a_value_and_the_tree_follows(open_page: Open) -> None:
    window, other = open_page("inspector.html"), open_page("inspector.html")
    window.row()
    window.run(".greeting = 'hello'")
    window.wait_for("#result .value", '"hello"')
    for one in (window, other):
        one.until_value('"hello"', "greeting")
    window.run(".greeting = 5")
    for one in (window, other):
        one.until_value("5", "greeting")
        assert "changed" in (one.row("greeting").get_attribute("class") or "")
    window.run(".del('greeting')")
    other.until(lambda: '"hello"' not in other.find("#tree").text and "greeting" not in other.find("#tree").text)


def test_things_lists_and_sets_open_and_stay_live(open_page: Open, server: Server) -> None:
    server.query(".home = {street: 'Canal', rooms: [1, [2, 3]]}; .all = set({n: 1}); .home.owner = .all.one(); nil;")
    window = open_page("inspector.html")
    window.row("home").click()
    window.until_value('"Canal"', "home", "street")
    window.row("home", "rooms").click()
    window.until_value("2 items", "home", "rooms", "1")
    window.row("home", "owner").click()
    window.until_value("1", "home", "owner", "n")
    server.query(".home.rooms.unshift(0); .home.street = 'Dike'; .all.one().n = 2; .all.add({}); nil;")
    window.until_value('"Dike"', "home", "street")
    window.until_value("2", "home", "owner", "n")
    window.until_value("3 items", "home", "rooms")
    window.until_value("0", "home", "rooms", "0")
    window.until_value("set of 2", "all")
    window.row("home").click()
    window.until(lambda: "Dike" not in window.find("#tree").text)


def test_a_cycle_leads_back_to_where_it_is_open(open_page: Open, server: Server) -> None:
    server.query(".a = {}; .a.b = {}; .a.b.a = .a; .a.top = root(); nil;")
    window = open_page("inspector.html")
    window.row("a").click()
    window.row("a", "b").click()
    window.until(lambda: "open above" in window.value("a", "b", "a"))
    assert "open above" in window.value("a", "top")
    window.row("a", "b", "a").click()
    focused = window.driver.switch_to.active_element
    assert focused.get_attribute("aria-expanded") == "true"
    assert focused.text.startswith("a")


def test_the_tree_is_walked_by_keys(open_page: Open, server: Server) -> None:
    server.query(".a = {n: 1}; .z = 2;")
    window = open_page("inspector.html")
    window.row("a")
    window.driver.execute_script("document.querySelector('#tree [tabindex=\"0\"]').focus()")
    window.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    window.until_value("1", "a", "n")
    window.press(Keys.ARROW_RIGHT)
    assert window.driver.switch_to.active_element.text.startswith("n")
    window.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    window.until(lambda: "n:" not in window.find("#tree").text)
    window.press(Keys.END)
    assert window.driver.switch_to.active_element.text.startswith("z")


def test_errors_are_shown_with_class_and_message(open_page: Open) -> None:
    window = open_page("inspector.html")
    window.row()
    window.run(".nope")
    failure = window.wait_for("#result .failure", "LookupError")
    assert "nope" in failure.text
    assert "-54" in failure.text
    window.run("1 +")
    window.wait_for("#result .failure", "SyntaxError")
    window.run("1 + 1")
    window.wait_for("#result .value", "2")


def test_queries_are_recalled(open_page: Open) -> None:
    window = open_page("inspector.html")
    window.row()
    for code in ("1 + 1", "2 + 2"):
        window.run(code)
    window.wait_for("#result .value", "4")
    box = window.find("#code")
    box.clear()
    box.send_keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert box.get_property("value") == "1 + 1"
    box.send_keys(Keys.ARROW_DOWN)
    assert box.get_property("value") == "2 + 2"
    window.find(".history summary").click()
    window.wait_for(".history button", "1 + 1").click()
    assert box.get_property("value") == "1 + 1"


def test_any_text_is_only_text(open_page: Open, server: Server) -> None:
    text = "<img src=x onerror=alert(1)>"
    server.query(".set(name, text); nil;", name=text, text=text)
    window = open_page("inspector.html")
    window.until_value(f'"{text}"', text)
    assert window.driver.execute_script("return document.querySelectorAll('#tree img').length") == 0
