"""The pages in a real browser: with the mouse, by keyboard alone, and on a phone."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from registry.tests.browser import DEMO, Browser, start
from registry.tests.images import Image, Repository, image, image_list
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.client import LocalRegistry
    from selenium.webdriver import Chrome

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
PAGES = ("/packages/{}", "/packages/{}/tags/1.0", "/packages/{}/delete", "/create", "/settings")
LEAST_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    started = start()
    yield started
    started.quit()


@pytest.fixture
def browser(driver: Chrome, registry: LocalRegistry, package: str) -> Browser:
    opened = Browser(driver, registry)
    opened.emulate("setScriptExecutionDisabled", {"value": False})
    opened.log_in()
    return opened


@pytest.fixture
def phone(browser: Browser) -> Iterator[Browser]:
    browser.emulate("setDeviceMetricsOverride", PHONE)
    yield browser
    browser.emulate("clearDeviceMetricsOverride", {})


@pytest.fixture
def package(registry: LocalRegistry) -> Iterator[str]:
    """A package of this test's own, with tags 1.0 and latest of one list; gone afterwards."""
    name = "browsed"
    fields = {"workspace": DEMO, "name": name, "repository": "demo-repository"}
    with registry.session("admin") as session:
        session.post(f"{registry.url}/api/packages", json=fields).raise_for_status()
        repository = Repository(session, registry.url, f"{DEMO}/{name}")
        repository.push(SHOWN, "1.0")
        repository.push(SHOWN, "latest")
        yield name
        session.delete(f"{registry.url}/api/packages/{DEMO}/{name}")


def shown_image() -> Image:
    random = Random(7)
    amd64 = image([random.randbytes(25_000), random.randbytes(4_000)])
    return image_list(amd64=amd64, arm64=image([random.randbytes(30_000)], "arm64"))


SHOWN = shown_image()


class TestBrowsing:
    def test_from_the_list_to_an_image_to_a_tag(self, browser: Browser, package: str) -> None:
        browser.link(package).click()
        browser.arrives(package)
        host = browser.registry.host
        browser.says(f"docker pull {host}/{DEMO}/{package}:latest")
        browser.link("1.0").click()
        browser.arrives(f"{package}:1.0")
        browser.says(f"docker pull {host}/{DEMO}/{package}:1.0")
        browser.says(f"docker pull {host}/{DEMO}/{package}@{SHOWN.digest}")
        browser.says("linux/amd64, linux/arm64")
        browser.says("Also tagged\nlatest")
        browser.says("UTC")
        layers = [each.text for each in browser.driver.find_elements(By.CSS_SELECTOR, ".layers .number:last-child")]
        assert layers == ["Size", "25.0 KB", "4.0 KB", "Size", "30.0 KB"]

    def test_lists_by_project_and_repository(self, browser: Browser, package: str) -> None:
        browser.link("other-repository").click()
        browser.arrives("other-repository")
        assert package not in browser.links()
        assert "other-app" in browser.links()
        browser.driver.find_element(By.CSS_SELECTOR, ".side a[href$='/projects/DEMO']").click()
        browser.arrives("DEMO")
        assert package in browser.links()

    def test_one_click_selects_the_whole_command(self, browser: Browser, package: str) -> None:
        browser.link(package).click()
        browser.arrives(package)
        browser.driver.find_element(By.CSS_SELECTOR, ".command code").click()
        expected = f"docker pull {browser.registry.host}/{DEMO}/{package}:latest"
        assert browser.run("return getSelection().toString().trim()") == expected

    def test_one_click_copies_it(self, browser: Browser, package: str) -> None:
        browser.open(f"/workspaces/{DEMO}/packages/{package}")
        permissions = {"permissions": ["clipboardReadWrite"], "origin": browser.registry.url}
        browser.driver.execute_cdp_cmd("Browser.grantPermissions", permissions)
        browser.button("Copy").click()
        browser.says("Copied")
        expected = f"docker pull {browser.registry.host}/{DEMO}/{package}:latest"
        assert browser.run("return navigator.clipboard.readText()") == expected

    def test_a_command_is_broken_only_where_it_ends_in_a_digest(self, phone: Browser, package: str) -> None:
        phone.open(f"/workspaces/{DEMO}/packages/{package}/tags/1.0")
        [tag, digest] = phone.driver.find_elements(By.CSS_SELECTOR, ".command code")
        assert tag.size["height"] < 30, tag.text
        assert phone.run("return [...document.querySelectorAll('.command pre')].map(each => each.scrollWidth)[1]") == (
            phone.run("return [...document.querySelectorAll('.command pre')].map(each => each.clientWidth)[1]")
        ), "all of a digest is seen"
        assert SHOWN.digest in digest.text

    def test_where_one_may_not_go_the_message_has_the_focus(self, browser: Browser) -> None:
        browser.open(f"/workspaces/{DEMO}/packages/none")
        browser.says("There is no package 'none'")
        assert browser.focused().get_attribute("role") == "alert"
        browser.link(DEMO).click()
        browser.arrives(DEMO)

    def test_logging_out(self, browser: Browser) -> None:
        browser.button("Log out").click()
        browser.arrives("Log in")
        browser.open()
        browser.arrives("Log in")


class TestChanging:
    def test_creating_a_package(self, browser: Browser) -> None:
        browser.menu("Create")
        browser.link("Package").click()
        browser.arrives("Create package")
        browser.field("Package name").send_keys("Made In A Browser")
        repositories = Select(browser.field("Repository to link to"))
        repositories.select_by_visible_text("demo-workspace/other-repository (DEMO)")
        browser.button("Submit").click()
        browser.says("cannot be a package's name")
        assert browser.focused().get_attribute("role") == "alert"

        browser.field("Package name").clear()
        browser.field("Package name").send_keys("made-in-a-browser")
        browser.button("Submit").click()
        browser.arrives("made-in-a-browser")
        browser.says("Repository\nother-repository")
        browser.says(f"docker push {browser.registry.host}/{DEMO}/made-in-a-browser:latest")

        browser.menu("More actions for image made-in-a-browser")
        browser.link("Delete image").click()
        browser.arrives("Delete image made-in-a-browser?")
        browser.button("Confirm").click()
        browser.arrives(DEMO)

    def test_deleting_a_tag_after_a_confirmation(self, browser: Browser, package: str) -> None:
        browser.open(f"/workspaces/{DEMO}/packages/{package}/tags/1.0")
        browser.menu("More actions for tag 1.0")
        browser.link("Delete tag").click()
        browser.arrives("Delete tag 1.0?")
        browser.says("The same image stays available as latest.")
        browser.says("Deleting does not free storage at once")
        browser.link("Cancel").click()
        browser.arrives(f"{package}:1.0")

        browser.open(f"/workspaces/{DEMO}/packages/{package}")
        browser.menu("More actions for tag 1.0")
        browser.link("Delete tag").click()
        browser.arrives("Delete tag 1.0?")
        browser.button("Confirm").click()
        browser.arrives(package)
        browser.says("The tag has been deleted.")
        assert "latest" in browser.links()
        assert "1.0" not in browser.links()

    def test_deleting_an_image_after_a_confirmation(self, browser: Browser, package: str) -> None:
        browser.menu(f"More actions for {package}")
        browser.link("Delete image").click()
        browser.arrives(f"Delete image {package}?")
        browser.says("both of its tags")
        browser.link("Cancel").click()
        browser.arrives(package)

        browser.menu(f"More actions for image {package}")
        browser.link("Delete image").click()
        browser.arrives(f"Delete image {package}?")
        browser.button("Confirm").click()
        browser.arrives(DEMO)
        browser.says("The image has been deleted.")
        assert package not in browser.links()

    def test_protecting_tags(self, browser: Browser, package: str) -> None:
        with browser.registry.protected_tags(DEMO, "none"):
            browser.link("Container settings").click()
            browser.arrives("Container settings")
            browser.field("Some tags are protected").click()
            browser.field("Name of rule 1").send_keys("releases")
            browser.field("Pattern of rule 1").send_keys("(?=1)")
            browser.button("Save").click()
            browser.says("is no RE2")
            assert browser.focused().get_attribute("role") == "alert"
            browser.field("Pattern of rule 1").clear()
            browser.field("Pattern of rule 1").send_keys("^1")
            browser.button("Save").click()
            browser.says("The settings have been saved.")

            browser.field("Pattern").send_keys("^v")
            browser.field("Tag").send_keys("v1.0")
            browser.button("Test").click()
            browser.says("^v matches v1.0: a rule with it would protect this tag.")

            browser.open(f"/workspaces/{DEMO}/packages/{package}")
            browser.says("1.0 Protected")
            browser.log_in("writer")
            browser.open(f"/workspaces/{DEMO}/packages/{package}")
            browser.menu("More actions for tag latest")
            assert not browser.driver.find_elements(By.CSS_SELECTOR, "[aria-label='More actions for tag 1.0']")

    def test_a_reader_is_offered_nothing_of_it(self, browser: Browser, package: str) -> None:
        browser.log_in("reader")
        browser.link(package).click()
        browser.arrives(package)
        assert not browser.driver.find_elements(By.CSS_SELECTOR, ".menu, .dangerous")


class TestKeyboard:
    @pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
    def test_everything_can_be_done_by_it_alone(self, browser: Browser, *, scripts: bool) -> None:
        browser.emulate("setScriptExecutionDisabled", {"value": not scripts})
        browser.driver.delete_all_cookies()
        browser.open(f"/workspaces/{DEMO}")
        browser.tab_to("User name")
        browser.press("admin")
        browser.tab_to("Token")
        browser.press("admin-token", Keys.ENTER)
        browser.arrives(DEMO)
        browser.tab_to("Create")
        browser.press(Keys.ENTER)
        browser.tab_to("Package")
        browser.press(Keys.ENTER)
        browser.arrives("Create package")
        browser.tab_to("Package name")
        browser.press("typed")
        browser.tab_to("Repository to link to")
        browser.press("demo-workspace/other")
        browser.tab_to("Submit")
        browser.press(Keys.SPACE)
        browser.arrives("typed")
        assert bool(browser.driver.find_elements(By.CSS_SELECTOR, ".copy:not([hidden])")) == scripts
        browser.tab_to("More actions for image typed")
        browser.press(Keys.ENTER)
        browser.tab_to("Delete image")
        browser.press(Keys.ENTER)
        browser.arrives("Delete image typed?")
        browser.tab_to("Confirm")
        browser.press(Keys.SPACE)
        browser.arrives(DEMO)
        browser.says("The image has been deleted.")

    def test_the_first_stop_skips_to_the_content(self, browser: Browser) -> None:
        browser.open(f"/workspaces/{DEMO}")
        browser.tab_to("Skip to content")
        assert browser.focused().location["y"] >= 0
        browser.press(Keys.ENTER)
        browser.tab_to("browsed")


class TestLook:
    @pytest.mark.parametrize("path", ["", *PAGES])
    def test_a_phone_shows_all_without_scrolling_sideways(self, phone: Browser, package: str, path: str) -> None:
        phone.open(f"/workspaces/{DEMO}{path.format(package)}")
        assert phone.run("return innerWidth") == PHONE["width"]
        assert phone.run("return document.documentElement.scrollWidth") == PHONE["width"]
        small = [
            each.text
            for each in phone.driver.find_elements(By.CSS_SELECTOR, "button, .button")
            if each.size["height"] < 24  # WCAG 2.2, success criterion 2.5.8
        ]
        assert small == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize(
        "path",
        ["", "/repositories/other-repository", *PAGES, "/none"],
    )
    def test_all_text_can_be_read(self, browser: Browser, package: str, path: str, scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.emulate("setEmulatedMedia", {"features": [feature]})
        browser.open(f"/workspaces/{DEMO}{path.format(package)}")
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
        contrasts = browser.contrasts()
        assert len(contrasts) > 5
        assert [each for each in contrasts if each[0] < LEAST_CONTRAST] == []
