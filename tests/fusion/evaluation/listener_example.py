"""What a person would see of a stage, kept for tests."""

from __future__ import annotations

from featurestore.progress import Silent


class Listener(Silent):
    """Keeps what a person would see."""

    def __init__(self) -> None:
        self.total, self.done, self.summary = 0, 0, ""

    def start(self, stage: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1, detail: str = "") -> None:
        self.done += n

    def finish(self, summary: str = "") -> None:
        self.summary = summary
