"""Chromium without a window, driven over a pair of pipes: no driver, no port, no package.

Chromium started with --remote-debugging-pipe reads commands of the DevTools protocol from file descriptor 3 and writes answers
and events to 4, each as JSON with a zero byte behind it (https://chromedevtools.github.io/devtools-protocol).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from .patience import HANGS

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--metrics-recording-only",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip

# Puts the two ends of the pipes where Chromium looks for them, and becomes Chromium.
LAUNCH = """
import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
for end, place in zip([os.dup(end) for end in ends], (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""

KEYS = {
    "Tab": 9,
    "Enter": 13,
    " ": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


def find_chromium() -> str | None:
    """The path of a Chromium, that of $CHROMIUM first; None: there is none on this machine, or no pipes for it."""
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else NAMES
    return next(filter(None, map(shutil.which, names)), None) if os.name == "posix" else None


class Browser:
    """One tab. `requests` has the address of everything that was asked for, `errors` what a reader would find in the console.

    dark, still    the reader prefers a dark ground, or no motion
    """

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._id, self._session, self._buffer = 0, None, b""
        self._start()
        try:
            self._open_tab(width, height, dark, still)
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        chromium = find_chromium()
        assert chromium is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(reads), str(writes), chromium, *OPTIONS]
        command.append(f"--user-data-dir={self._profile.name}")
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, pass_fds=(reads, writes), **silent)
        os.close(reads)
        os.close(writes)

    def _open_tab(self, width: int, height: int, dark: bool, still: bool) -> None:
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        media = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce" if still else ""}
        self("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in media.items()])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and remove what it has written."""
        os.close(self._to)  # at the end of its commands Chromium leaves
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._profile.cleanup()

    # The protocol.

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its answer."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while (answer := self._next()).get("id") != self._id:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + HANGS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self._from, 1 << 20)
            assert piece, "Chromium has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, about = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(str(about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(about["entry"]["text"])

    # What a test does with it.

    def open(self, page: Path) -> None:
        """Open a file and wait until its script has drawn: it then sets data-ready on the root element."""
        self("Page.navigate", url=page.absolute().as_uri())
        self.until("document.documentElement?.dataset.ready === 'yes'")
        self.settle()

    def run(self, script: str) -> Any:
        """The value of an expression on the page; of a promise, what it comes to."""
        answer = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def all(self, selector: str, expression: str) -> list[Any]:
        """An expression in `one` for each element."""
        return self.run(f"[...document.querySelectorAll({selector!r})].map((one) => {expression})")

    def one(self, selector: str, expression: str) -> Any:
        """The same for the first element."""
        return self.run(f"((one) => {expression})(document.querySelector({selector!r}))")

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + HANGS
        while not self.run(condition):
            assert time.monotonic() < end, f"never came: {condition}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until what was changed is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))")

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """A mouse click on an element, at shares of its width and height."""
        self.one(selector, "one.scrollIntoView({block: 'center', behavior: 'instant'})")
        left, top, width, height = self.one(
            selector, "(({x, y, width, height}) => [x, y, width, height])(one.getBoundingClientRect())"
        )
        place = {"x": left + x * width, "y": top + y * height}
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        self.settle()

    def set(self, selector: str, value: Any) -> None:
        """Give a field a value, as if it had been chosen there."""
        self.one(
            selector, f"(one.value = '{value}', ['input', 'change'].map((name) => one.dispatchEvent(new Event(name))), null)"
        )
        self.settle()

    def press(self, *keys: str) -> None:
        """Keys one after the other, by their names."""
        for key in keys:
            text = {"Enter": "\r", " ": " "}.get(key, "")
            about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
            self("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
            self("Input.dispatchKeyEvent", type="keyUp", **about)
        self.settle()

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG: for a person to look at."""
        shot = self("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
