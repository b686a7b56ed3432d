"""A window of the browser, and what a person does and sees in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 20.0  # seconds

COLUMNS = """
const text = (element) => element.textContent;
return Object.fromEntries([...document.querySelectorAll(".column")].map((column) =>
  [text(column.querySelector("h2")), [...column.querySelectorAll(".card-title")].map(text)]));"""


class Window:
    """One window. Whatever is called on it happens in it, whichever window was used before."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver = driver
        driver.switch_to.new_window("window")
        self._handle = driver.current_window_handle
        driver.get(url)

    @property
    def driver(self) -> Chrome:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def close(self) -> None:
        self.driver.close()
        self._driver.switch_to.window(self._driver.window_handles[0])

    def resize(self, width: int, height: int) -> None:
        """Give the page a size as on a phone, which is smaller than a window can be."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[dict[str, Any]]:
        """What the browser has written to its console; that a server can't be reached is none of the page's faults."""
        driver: Any = self.driver
        return [entry for entry in driver.get_log("browser") if "WebSocket connection to" not in entry["message"]]

    def until(self, condition: Callable[[], Any], message: str = "") -> Any:
        """Wait until the condition holds; elements that come and go meanwhile don't matter."""
        ignored = [NoSuchElementException, StaleElementReferenceException]
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=ignored)
        return wait.until(lambda _: condition(), message)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def wait_for(self, selector: str, text: str = "") -> WebElement:
        """The first element that is visible and holds the text, as soon as there is one."""

        def found() -> WebElement | None:
            for element in self.driver.find_elements(By.CSS_SELECTOR, selector):
                if element.is_displayed() and text in element.text:
                    return element
            return None

        element = self.until(found, f"nothing at {selector} shows {text!r}")
        assert isinstance(element, WebElement)
        return element

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def log_in(self, password: str = "pass") -> None:
        field = self.wait_for("dialog.log-in input[name=password]")
        field.clear()
        field.send_keys(password, Keys.ENTER)

    def until_here(self, text: str) -> None:
        """Wait until the header says who is here."""
        self.until(lambda: self.find(".present summary .unseen").text == text, f"it does not say: {text}")

    # The board

    def columns(self) -> dict[str, list[str]]:
        """The titles of the cards by their column's."""
        columns: dict[str, list[str]] = self.driver.execute_script(COLUMNS)
        return columns

    def until_columns(self, **expected: list[str]) -> None:
        """Wait until the given columns hold the given cards."""

        def shown() -> bool:
            columns = self.columns()
            return all(columns.get(name.replace("_", " ")) == cards for name, cards in expected.items())

        self.until(shown, f"expected {expected}, but the last was {self.columns()}")

    def card(self, title: str) -> WebElement:
        self.wait_for(".board .card-title", title)
        return next(card for card in self.driver.find_elements(By.CSS_SELECTOR, ".board .card") if title in card.text)

    def column(self, title: str) -> WebElement:
        self.wait_for(".column h2", title)
        sections = self.driver.find_elements(By.CSS_SELECTOR, ".column")
        return next(section for section in sections if section.find_element(By.CSS_SELECTOR, "h2").text == title)

    def drag(self, title: str, column: str, pointer: str = "mouse") -> None:
        """Drag a card to the top of a column."""
        target = self.column(column).find_element(By.CSS_SELECTOR, ".cards").rect
        card = self.card(title).rect
        x, y = int(card["x"] + card["width"] / 2), int(card["y"] + card["height"] / 2)
        source: Any = PointerInput
        builder = ActionBuilder(self.driver, mouse=source(pointer, f"the {pointer}"), duration=100)
        action: Any = builder.pointer_action
        action.move_to_location(x, y).pointer_down()
        if pointer == "touch":
            action.pause(0.5)  # a finger that moves at once would scroll
        action.move_to_location(x + 20, y + 20)
        action.move_to_location(int(target["x"] + target["width"] / 2), int(target["y"] + 10)).release()
        builder.perform()

    # The inspector

    def row(self, *path: str) -> WebElement:
        """The row that a path of names leads to, in the tree of things."""
        xpath = "//*[@id='tree']//ul[@role='tree']/li"
        for name in path:
            xpath += f"/ul/li[div/span[@class='name' and text()='{name}']]"
        element = self.until(lambda: self.driver.find_element(By.XPATH, f"{xpath}/div"), f"there is no row {path}")
        assert isinstance(element, WebElement)
        return element

    def value(self, *path: str) -> str:
        return self.row(*path).find_element(By.CSS_SELECTOR, ".value").text

    def until_value(self, expected: str, *path: str) -> None:
        self.until(lambda: self.value(*path) == expected, f"{path} does not become {expected}")

    def run(self, code: str) -> None:
        """Type a query into the box and run it."""
        box = self.wait_for("#code")
        box.clear()
        box.send_keys(code, Keys.CONTROL, Keys.ENTER)
