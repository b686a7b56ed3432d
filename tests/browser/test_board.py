"""The board: several people at once, by mouse, finger and keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.server.fakes import free_ports

from .conftest import Server
from .window import Window

DRAG = "Drag me to another column"
WINDOW = "Open this page in a second window"
KEYBOARD = "Try the keyboard"
LOOK = "Look at the board in the inspector"

Open = Callable[..., Window]


def test_sets_itself_up_once(open_page: Open, server: Server) -> None:
    windows = [open_page("board.html", log_in=False) for _ in range(2)]
    for window in windows:
        window.log_in()
    for window in windows:
        window.until_columns(To_do=[DRAG, WINDOW, KEYBOARD], Doing=[LOOK], Done=[])
    assert server.query(".board.columns.len()") == 3


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_one_drags_and_the_other_sees_it(open_page: Open, server: Server, pointer: str) -> None:
    one, other = open_page("board.html"), open_page("board.html")
    other.until_columns(Doing=[LOOK])
    one.until_columns(Doing=[LOOK])
    one.drag(DRAG, "Doing", pointer)
    for window in (one, other):
        window.until_columns(To_do=[WINDOW, KEYBOARD], Doing=[DRAG, LOOK])
    assert server.query(".board.columns.map(|c| c.cards.len())") == [2, 2, 0]
    assert other.wait_for("[aria-live=polite]", "Doing").text == f"{DRAG} was moved to Doing."
    one.until(lambda: one.driver.find_elements(By.CSS_SELECTOR, ".ghost, .landing, .dragging, dialog.form") == [])


def test_a_card_is_moved_by_keys_and_each_step_is_told(open_page: Open) -> None:
    one, other = open_page("board.html"), open_page("board.html")
    other.until_columns(Doing=[LOOK])
    one.until_columns(Doing=[LOOK])
    one.driver.execute_script("arguments[0].focus()", one.card(DRAG))
    one.press(Keys.ARROW_DOWN)
    one.press(Keys.SPACE)
    one.wait_for("[aria-live=assertive]", f"Lifted {WINDOW}, 2 of 3 in To do.")
    one.press(Keys.ARROW_RIGHT)
    one.wait_for("[aria-live=assertive]", f"{WINDOW}, 2 of 2 in Doing")
    assert other.columns()["Doing"] == [LOOK]  # it is not dropped yet
    one.press(Keys.ARROW_UP, Keys.SPACE)
    one.wait_for("[aria-live=assertive]", f"Dropped {WINDOW}, 1 of 2 in Doing.")
    other.until_columns(To_do=[DRAG, KEYBOARD], Doing=[WINDOW, LOOK])
    assert WINDOW in one.driver.switch_to.active_element.text
    one.press(Keys.SPACE, Keys.ARROW_RIGHT, Keys.ESCAPE)
    one.wait_for("[aria-live=assertive]", "Cancelled.")
    one.until_columns(Doing=[WINDOW, LOOK], Done=[])


def test_cards_are_added_edited_deleted_and_brought_back(open_page: Open, server: Server) -> None:
    one, other = open_page("board.html"), open_page("board.html")
    one.until_columns(Done=[])
    other.until_columns(Done=[])
    title = 'Tea & <b onclick="x">biscuits</b>'
    one.column("Done").find_element(By.CSS_SELECTOR, ".add-card").click()
    one.press(title, Keys.ENTER)
    other.until_columns(Done=[title])
    other.card(title).click()
    other.wait_for("dialog.form textarea").send_keys("at four")
    other.find("dialog.form .swatch[data-label=green] input").click()
    other.find("dialog.form button[type=submit]").click()
    assert one.wait_for(".card-note", "at four")
    assert server.query(".board.columns[2].cards[0].label") == "green"
    one.card(title).click()
    one.wait_for("dialog.form .danger").click()
    other.until_columns(Done=[])
    one.wait_for(".notice button", "Undo").click()
    other.until_columns(Done=[title])
    assert other.wait_for(".card-note", "at four")


def test_columns_are_added_renamed_and_deleted(open_page: Open) -> None:
    one, other = open_page("board.html"), open_page("board.html")
    other.until_columns(Done=[])
    one.wait_for(".add-column").click()
    one.press("Someday", Keys.ENTER)
    other.until_columns(Someday=[])
    other.column("Someday").find_element(By.CSS_SELECTOR, "header button").click()
    title = other.wait_for("dialog.form input")
    title.clear()
    title.send_keys("Never", Keys.ENTER)
    one.until_columns(Never=[])
    one.column("Never").find_element(By.CSS_SELECTOR, "header button").click()
    one.wait_for("dialog.form .danger").click()
    other.until(lambda: "Never" not in other.columns())


def test_what_fails_is_told_and_undone(open_page: Open, server: Server) -> None:
    window = open_page("board.html")
    window.card(DRAG).click()
    window.wait_for("dialog.form input").send_keys(" now")
    server.query(".board.columns[0].cards.shift(); nil;")
    window.until_columns(To_do=[WINDOW, KEYBOARD])
    window.find("dialog.form button[type=submit]").click()
    window.wait_for(".notice.error", "LookupError")
    window.until_columns(To_do=[WINDOW, KEYBOARD])


def test_a_board_that_is_removed_gives_way_to_a_new_one(open_page: Open, server: Server) -> None:
    window = open_page("board.html")
    window.until_columns(Doing=[LOOK])
    server.query(".board.columns[1].cards.clear(); nil;")
    window.until_columns(Doing=[])
    server.query(".del('board'); nil;")
    window.until_columns(Doing=[LOOK])


def test_the_server_restarts_and_the_page_recovers(open_page: Open, server: Server) -> None:
    window = open_page("board.html")
    window.until_columns(Doing=[LOOK])
    server.stop()
    window.wait_for(".strip", "No connection")
    server.start(*free_ports(1))  # where the page does not find it
    server.query(".board.columns[1].cards[0].title = 'Changed meanwhile'; .board.columns[0].cards.pop(); nil;")
    server.stop()
    server.start()
    window.until_columns(To_do=[DRAG, WINDOW], Doing=["Changed meanwhile"])
    window.wait_for(".connection .word", "Connected")
    window.drag(DRAG, "Doing")
    window.until_columns(Doing=[DRAG, "Changed meanwhile"])
    assert server.query(".board.columns[1].cards.len()") == 2


def test_the_header_shows_who_is_here(open_page: Open, server: Server) -> None:
    server.query("new_user('ann'); set_password('ann', 'pass'); grant('//stuff', 'ann', USER);", scope="@thingsdb")
    one, other = open_page("board.html"), open_page("board.html", log_in=False)
    one.until_here("Only you are here")
    user = other.wait_for("dialog.log-in input[name=user]")
    user.clear()
    user.send_keys("ann")
    other.log_in()
    one.until_here("2 are here")
    one.wait_for("[aria-live=polite]", "ann has come.")
    one.find(".present summary").click()
    names = [item.text.split("\n")[-1] for item in one.driver.find_elements(By.CSS_SELECTOR, ".present .menu li")]
    assert names == ["admin (you)", "ann"]
    one.press(Keys.ESCAPE)
    one.until(lambda: not one.find(".present .menu").is_displayed())
    other.driver.get("about:blank")
    one.until_here("Only you are here")
    one.wait_for("[aria-live=polite]", "ann has left.")
    other.driver.back()  # the browser may have kept the page as it was
    one.until_here("2 are here")
    other.until_here("2 are here")
