"""The page in headless Chromium, as a person uses it. Needs Debian's chromium and chromium-driver."""

import shutil
import time

import pytest

from dreamgym.play.open import opener
from dreamgym.play.server import make_app
from tests.play.test_server import serving

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromedriver") is None, reason="chromium-driver is not installed"),
]


@pytest.fixture
def page(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    make_session, about = opener("Dream-v0", checkpoint=folder, record=tmp_path / "played", horizon=10_000)
    with serving(make_app(make_session, title=about)) as port:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        driver.get(f"http://127.0.0.1:{port}/")
        yield driver
        complaints = driver.get_log("browser")
        driver.quit()
        assert complaints == []


def wait(page, condition, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}; the page says {page.find_element(By.ID, 'note').text!r}")


def elapsed(page):
    return int(page.find_element(By.TAG_NAME, "body").get_attribute("data-elapsed") or -1)


def press(page, key, down=True):
    kind = "keydown" if down else "keyup"
    page.execute_script(f"window.dispatchEvent(new KeyboardEvent('{kind}', {{key: '{key}', bubbles: true}}))")


def shown(page):
    return page.execute_script("return document.querySelector('#dream canvas').toDataURL()")


def test_a_person_plays(page, tmp_path):
    wait(page, lambda: elapsed(page) > 2, "no frames came")
    assert page.find_element(By.CSS_SELECTOR, "#twin canvas").is_displayed()
    page.execute_script("document.getElementById('strength').value = 0.05")  # too weak to reach anything
    before = shown(page)
    press(page, "d")
    begun = elapsed(page)
    wait(page, lambda: elapsed(page) > begun + 10, "the clock stands")
    assert shown(page) != before
    press(page, "d", down=False)
    page.find_element(By.ID, "mark").click()
    wait(page, lambda: page.find_element(By.ID, "return").is_enabled(), "nothing was marked")
    marked = elapsed(page)
    press(page, "a")
    wait(page, lambda: elapsed(page) > marked + 5, "the clock stands")
    page.find_element(By.ID, "pause").click()
    time.sleep(0.5)
    still = elapsed(page)
    page.find_element(By.ID, "return").click()
    wait(page, lambda: elapsed(page) <= marked + 2 < still, "it did not return")
    page.find_element(By.ID, "keep").click()
    wait(page, lambda: "1 episodes kept" in page.find_element(By.ID, "clock").text, "nothing was kept")
    page.find_element(By.ID, "pause").click()
    page.find_element(By.ID, "reset").click()
    wait(page, lambda: elapsed(page) < marked, "no new episode began")
    assert (tmp_path / "played" / "info.json").is_file()
