"""The dashboard: live queries over a garden that changes, in several windows at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .conftest import Server
from .window import Window

Open = Callable[..., Window]
MINE = "This window moves the garden along."
THEIRS = "A window of admin moves the garden along."
WATCH = """
const list = document.getElementById("thirsty");
window.left = new Set();
new MutationObserver(() => {
  for (const row of list.querySelectorAll(".leaving")) window.left.add(row.innerText.split(/\\s*\\n\\s*/).join("; "));
}).observe(list, { subtree: true, childList: true, attributes: true });
"""
THIRSTY = "thirsty = .garden.plants.filter(|plant| plant.moisture < 20); thirsty.each(|plant| plant.moisture = 60); "


def plant(window: Window) -> None:
    window.wait_for("#plant").click()
    window.wait_for("#bees li")


def pause(window: Window, server: Server) -> None:
    """Let the garden stand still, with two thirsty plants."""
    window.wait_for("#pause", "Pause").click()
    window.wait_for("#who", "Paused for everybody.")
    changed = -1
    while changed != (changed := server.query(".garden.changed")):  # a step may be under way
        pass
    server.query(THIRSTY + ".garden.plants[0].moisture = 5; .garden.plants[1].moisture = 6; nil;")
    until_thirsty(window, "Fern 1", "Fern 2")


def until_thirsty(window: Window, *names: str) -> None:
    window.until(lambda: thirsty(window) == list(names), f"{names} do not become the thirsty plants")


def thirsty(window: Window) -> list[str]:
    rows = window.driver.find_elements(By.CSS_SELECTOR, "#thirsty li:not(.leaving) .name")
    return [row.text for row in rows]


def test_one_window_moves_the_garden_and_all_show_it(open_page: Open, server: Server) -> None:
    one, other = open_page("dashboard.html"), open_page("dashboard.html")
    plant(one)
    other.wait_for("#bees li")
    assert len(one.driver.find_elements(By.CSS_SELECTOR, "#houses canvas")) == 12
    one.until_here("2 are here")
    assert {one.find("#who").text, other.find("#who").text} == {MINE, THEIRS}
    before = server.query(".garden.changed")
    one.until(lambda: server.query(".garden.changed") > before)
    other.find("#speed input[value=fast]").find_element(By.XPATH, "..").click()
    one.until(lambda: one.find("#speed input[value=fast]").is_selected())
    first, second = (one, other) if one.find("#who").text == MINE else (other, one)
    first.driver.get("about:blank")
    second.wait_for("#who", MINE)
    before = server.query(".garden.changed")
    second.until(lambda: server.query(".garden.changed") > before)


def test_a_watered_plant_leaves_the_list_everywhere(open_page: Open, server: Server) -> None:
    one, other = open_page("dashboard.html"), open_page("dashboard.html")
    plant(one)
    pause(one, server)
    other.wait_for("#pause", "Resume")
    until_thirsty(other, "Fern 1", "Fern 2")
    for window in (one, other):
        window.driver.execute_script(WATCH)
    one.driver.execute_script("arguments[0].focus()", one.find("#thirsty button[aria-label='Water Fern 1']"))
    one.press(Keys.ENTER)
    for window in (one, other):
        until_thirsty(window, "Fern 2")
        left = window.driver.execute_script("return [...window.left]")
        assert any("Fern 1" in text and "✓ Watered" in text for text in left), left
    assert one.driver.switch_to.active_element.get_attribute("aria-label") == "Water Fern 2"
    assert server.query(".garden.plants[0].moisture") >= 70
    one.until(lambda: one.find(".figure:nth-child(2) .value").text == "1")


def test_the_server_is_killed_and_the_page_goes_on(open_page: Open, server: Server) -> None:
    window = open_page("dashboard.html")
    plant(window)
    pause(window, server)
    server.stop(signal.SIGKILL)
    window.wait_for("#thirsty-panel[data-state=stale]")
    assert thirsty(window) == ["Fern 1", "Fern 2"]
    server.start()
    window.wait_for("#thirsty-panel[data-state=live]")
    server.query(".garden.plants[2].moisture = 7; nil;")
    until_thirsty(window, "Fern 1", "Fern 2", "Fern 3")
    window.until_here("Only you are here")


def test_the_garden_can_be_removed_and_planted_again(open_page: Open, server: Server) -> None:
    one, other = open_page("dashboard.html"), open_page("dashboard.html")
    plant(one)
    other.wait_for("#remove").click()
    other.wait_for(".notice button", "Remove").click()
    one.wait_for("#plant")
    assert server.query('.has("garden")') is False
    plant(one)
    other.wait_for("#bees li")
    other.until_here("2 are here")
