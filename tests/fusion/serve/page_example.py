"""The page in a browser, and what to ask of it."""

from __future__ import annotations

from typing import Any

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = """() => [...document.querySelectorAll("input, select, textarea, button, img, svg[role]")]
  .filter((e) => e.offsetParent !== null || e.tagName === "svg")
  .filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim()
    && !e.getAttribute("aria-label") && !e.getAttribute("alt"))
  .map((e) => e.outerHTML.slice(0, 80))"""


class Visit:
    """An opened page and what it complained of."""

    def __init__(self, browser: Any, url: str, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        ).new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text)
                     if m.type in ("error", "warning") else None)  # fmt: skip
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: self.foreign.append(r.url)
                     if not r.url.startswith((url, "data:", "blob:")) else None)  # fmt: skip
        self.page.goto(f"{url}/")

    def score(self) -> None:
        """Presses the button and waits for what it brings."""
        self.page.click("#go")
        self.page.wait_for_selector("#result:not([hidden]), #error:not([hidden])")

    def error(self) -> str:
        """What the page says went wrong."""
        return str(self.page.inner_text("#error"))
