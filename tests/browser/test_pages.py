"""What holds for every page: logging in, and fitting a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver.common.by import By

from .conftest import Server
from .window import Window

Open = Callable[..., Window]
PAGES = ["board.html", "dashboard.html", "inspector.html"]


def test_the_first_page_leads_to_the_others(open_page: Open) -> None:
    window = open_page("", log_in=False)
    assert [link.get_attribute("href") for link in window.driver.find_elements(By.CSS_SELECTOR, "a.choice")] == [
        window.driver.current_url + page for page in PAGES
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_password_is_refused_with_a_reason_and_a_right_one_remembered(open_page: Open, page: str) -> None:
    window = open_page(page, log_in=False)
    window.log_in("wrong")
    problem = window.wait_for("dialog.log-in .problem")
    assert problem.text
    window.log_in("pass")
    window.wait_for(".connection .word", "Connected")
    window.driver.refresh()
    window.wait_for(".connection .word", "Connected")
    window.find(".connection summary").click()
    window.wait_for(".connection .menu button", "Log out").click()
    window.wait_for("dialog.log-in")


@pytest.mark.parametrize("page", PAGES)
def test_another_window_asks_for_itself(open_page: Open, server: Server, page: str) -> None:
    open_page(page).wait_for(".connection .word", "Connected")
    open_page(page, log_in=False).wait_for("dialog.log-in")


@pytest.mark.parametrize("page", ["index.html", *PAGES])
def test_a_phone_shows_the_whole_width(open_page: Open, page: str) -> None:
    window = open_page(page, log_in=page in PAGES)
    if page in PAGES:
        window.wait_for(".connection .word", "Connected")
    window.resize(375, 800)
    assert window.driver.execute_script("return document.documentElement.scrollWidth") <= 375
