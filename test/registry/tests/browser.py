"""Chromium, used as people use it: by labels, links and keys."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from registry.client import LocalRegistry
    from selenium.webdriver.remote.webelement import WebElement

APT_INSTALL = Path(__file__).parents[2] / "setup" / "apt-install"
DEMO = "demo-workspace"
# Chromium as root, and without the connections that it makes of its own accord.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--window-size=1200,900",
)
CONTRASTS = """
function channel(v) { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }
function luminance(c) { return 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]); }
function rgba(text) { let c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; }
function ground(e) {
    for (; e; e = e.parentElement) {
        let c = rgba(getComputedStyle(e).backgroundColor);
        if (c[3] === 1) return c;
    }
    return [255, 255, 255];
}
let found = [];
for (let e of document.body.querySelectorAll('*')) {
    let own = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    let [a, b] = [luminance(rgba(getComputedStyle(e).color)), luminance(ground(e))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)]);
}
return found;
"""
"""Finds the contrast of every text that can be seen, with the element's HTML."""


def start() -> webdriver.Chrome:
    """Start Debian's Chromium, which is installed where it is missing."""
    subprocess.run([APT_INSTALL, "chromium", "chromium-driver"], check=True)
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in OPTIONS:
        options.add_argument(option)
    return webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))


class Browser:
    """Chromium on one registry's pages."""

    def __init__(self, driver: webdriver.Chrome, registry: LocalRegistry) -> None:
        self.driver = driver
        self.registry = registry

    def open(self, path: str = "/") -> None:
        self.driver.get(self.registry.url + path)
        # If an address of the machine changes, as it does when other tests start containers, Chromium loads the
        # page anew, and `get` returns before it has its style sheet.
        self._awaits(path, lambda: self.driver.execute_script("return document.readyState") == "complete")

    def log_in(self, user: str = "admin") -> None:
        self.driver.delete_all_cookies()
        self.open(f"/login?next=/workspaces/{DEMO}")
        self.field("User name").send_keys(user)
        self.field("Token").send_keys(f"{user}-token")
        self.button("Log in").click()
        self.arrives(DEMO)

    def arrives(self, heading: str) -> None:
        """Wait for the page with this heading."""
        self._awaits(heading, lambda: self.driver.find_element(By.TAG_NAME, "h1").text == heading)

    def says(self, text: str) -> None:
        """Wait for a page with this text."""
        self._awaits(text, lambda: text in self.driver.find_element(By.TAG_NAME, "main").text)

    def _awaits(self, what: str, condition: Callable[[], bool]) -> None:
        # A click returns before the next page is there, and the last one goes away meanwhile.
        ignored = [WebDriverException]
        try:
            WebDriverWait(self.driver, 10, 0.05, ignored).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"no {what!r} but:\n{self.driver.page_source}") from None

    def link(self, text: str) -> WebElement:
        return self.driver.find_element(By.LINK_TEXT, text)

    def links(self) -> list[str]:
        return [each.text for each in self.driver.find_elements(By.CSS_SELECTOR, "main a")]

    def button(self, text: str) -> WebElement:
        return self.driver.find_element(By.XPATH, f"//button[normalize-space()='{text}']")

    def menu(self, label: str) -> None:
        """Open what a summary opens."""
        condition = f"normalize-space()='{label}' or @aria-label='{label}'"
        self.driver.find_element(By.XPATH, f"//summary[{condition}]").click()

    def field(self, label: str) -> WebElement:
        """Find a field as people do, by its label."""
        named = self.driver.find_element(By.XPATH, f"//label[normalize-space()='{label}']")
        return self.driver.find_element(By.ID, str(named.get_attribute("for")))

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, text: str) -> None:
        """Go on by the tabulator to what is labelled so, seeing at each step where one is."""
        passed: list[str] = []
        for _ in range(60):
            self.press(Keys.TAB)
            element = self.focused()
            name = str(element.accessible_name)
            assert self.outline(element), f"{name!r} does not show that it has the focus"
            if name == text:
                return
            passed.append(name)
        raise AssertionError(f"the tabulator does not lead to {text!r}, only to {passed}")

    def outline(self, element: WebElement) -> bool:
        return element.value_of_css_property("outline-style") != "none"

    def run(self, script: str) -> object:
        result: object = self.driver.execute_script(script)
        return result

    def contrasts(self) -> list[tuple[float, str]]:
        found: list[tuple[float, str]] = self.driver.execute_script(CONTRASTS)
        return found

    def emulate(self, what: str, values: Mapping[str, object]) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{what}", dict(values))
