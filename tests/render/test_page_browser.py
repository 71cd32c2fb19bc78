"""The page in a browser: nothing is loaded, nothing sticks out, nothing is complained about, and it prints.

Chromium is spoken to over a pipe in the words of its DevTools protocol (each message ends with a zero byte), so that
neither a driver nor an open port is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from convert.findings import Finding, Level
from convert.render.drawing import page_picture
from convert.render.page import page
from tests.render.test_page import HOSTILE, hostile
from tests.render.test_page_evidence import EVIDENCE, ROWS, comparison

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.render.conftest import Street

PATIENCE = 120  # seconds until a browser that says nothing is taken for dead
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """A headless Chromium with one page: call it with a method of the protocol."""

    def __init__(self, program: str, home: Path) -> None:
        to_read, self._send = os.pipe()
        self._receive, to_write = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; copies from 10 on are not in the way of either.
        ends = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (to_read, to_write)]
        start = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execv(c[0], c)"
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, *map(str, ends), program, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for one in (to_read, to_write, *ends):
            os.close(one)
        self._rest = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        """Make the page."""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def show(self, path: Path, width: int, *, scheme: str = "light") -> None:
        """Open the file in a window so many pixels wide and wait until it is loaded."""
        phone = width < 600
        self("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=phone)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """What the console says: errors, warnings, and what the content security policy held back."""
        methods = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event["params"])[:500] for event in self.events if event.get("method") in methods]

    def requests(self) -> list[str]:
        """What was asked for, the page itself and data URIs left out."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls[1:] if not url.startswith("data:")]

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._send)
        os.close(self._receive)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._receive], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium says nothing"
            data = os.read(self._receive, 2**20)
            assert data, f"Chromium ended ({self._process.poll()})"
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with closing(Browser(program, tmp_path_factory.mktemp("chromium"))) as browser:
        browser.attach()
        yield browser


@pytest.fixture(scope="module")
def file(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    pictures = {one.name: page_picture(street.pixels[one.name], one) for one in street.simulation.frames}
    rows = [
        *ROWS,
        *(type(ROWS[0])(one, 9, 9, ROWS[0].verdict, ROWS[0].deepstream, ROWS[0].edge_impulse) for one in pictures),
    ]
    long = "/very/long/" + "folder-without-end/" * 12 + "config.txt"
    text = page(
        street.simulation,
        pictures,
        findings=(Finding("NVI001", Level.ERROR, "m" * 200, long, 2, 1, "h" * 200),),
        configs={long: "[property]\nkey=" + "x" * 500 + "\n", "b.txt": "# a\n"},
        evidence={"parity": vars_of(EVIDENCE), "other": "o" * 250},
        comparison=comparison(*rows),
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


def vars_of(evidence: Any) -> dict[str, Any]:
    parity = evidence.parity
    return {name: getattr(parity, name) for name in parity.__slots__}


_CUT_OFF = """
[...document.querySelectorAll('body *')].filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1
  && !one.closest('svg') && getComputedStyle(one).display !== 'inline' && !one.matches('.scroll'))
  .map(one => [one.tagName, one.className, one.scrollWidth, one.clientWidth])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_page_in_a_browser(browser: Browser, file: Path, width: int, scheme: str) -> None:
    browser.show(file, width, scheme=scheme)
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
    # every <details> opened: nothing in it sticks out either
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(_CUT_OFF) == []
    assert browser.value("[...document.images].map(one => one.complete && one.naturalWidth)") == [640, 480, 360, 640]
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 246, 248)", "dark": "rgb(14, 19, 24)"}[scheme], "the style sheet is in use"


_CONTRAST = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = one => { for (; one; one = one.parentElement) {
    const found = rgb(getComputedStyle(one).backgroundColor); if (found.length < 4 || found[3] > 0.99) return found; }
    return [255, 255, 255]; };
  const bad = [];
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || one.closest('svg')) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) bad.push([one.tagName, one.className, one.textContent.slice(0, 30), contrast]);
  }
  return bad;
})()
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_wcag_asks_for(browser: Browser, file: Path, scheme: str) -> None:
    browser.show(file, 1280, scheme=scheme)
    assert browser.value(_CONTRAST) == []


@pytest.mark.slow
def test_the_page_prints(browser: Browser, file: Path) -> None:
    browser.show(file, 1280)
    data = base64.b64decode(browser("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 2
    browser("Emulation.setEmulatedMedia", media="print")
    hidden = browser.value("getComputedStyle(document.querySelector('nav')).display")
    kept = browser.value("getComputedStyle(document.querySelector('.card')).breakInside")
    browser("Emulation.setEmulatedMedia", media="")
    assert (hidden, kept) == ("none", "avoid")


@pytest.mark.slow
def test_pictures_are_filtered_and_enlarged_without_a_script(browser: Browser, file: Path) -> None:
    browser.show(file, 1280)
    seen = "[...document.querySelectorAll('.card')].filter(one => one.offsetParent).length"
    assert browser.value(seen) == 4
    browser.value("document.querySelector('#filter-silent').click()")
    assert browser.value(seen) == 2
    browser.value("document.querySelector('#filter-all').click()")
    width = "document.querySelector('#picture-1').offsetWidth"
    before = browser.value(width)
    browser.value("document.querySelector('#picture-1 .shot').click()")
    assert browser.value(width) > 2 * before
    browser.value("document.querySelector('#picture-1 .smaller').click()")
    assert browser.value(width) == before


@pytest.mark.slow
def test_hostile_text_does_nothing_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(hostile(HOSTILE), encoding="utf-8")
    browser.show(path, 390)
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.value("document.scripts.length") == 0
    assert browser.value("document.documentElement.scrollWidth") <= 390
