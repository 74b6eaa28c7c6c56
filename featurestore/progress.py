"""How long work tells a person where it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listener of long work. Stages do not nest."""

    def start(self, stage: str, total: int) -> None:
        """A stage with `total` items begins."""

    def advance(self, n: int = 1, detail: str = "") -> None:
        """`n` more items are done; `detail` is a short text such as `41 images/s`."""

    def finish(self, summary: str = "") -> None:
        """The stage has ended; `summary` is one line worth keeping on the screen."""


class Silent:
    """A listener that shows nothing."""

    def start(self, stage: str, total: int) -> None:
        """Ignores the stage."""

    def advance(self, n: int = 1, detail: str = "") -> None:
        """Ignores the step."""

    def finish(self, summary: str = "") -> None:
        """Ignores the end."""


SILENT = Silent()
