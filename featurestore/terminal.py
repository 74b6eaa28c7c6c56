"""Progress on a terminal: a bar while it lasts, one line when it is done. In a log: lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LOG_SECONDS = 30.0
"""Least time between two lines of a stage in a log."""

_AT_ONCE = 1.0  # steps of the first second were reused, and say nothing about the others


class TerminalProgress:
    """Shows stages on standard error, so that results on standard output stay clean.

    Where standard error is no terminal, a long stage leaves a line every now and then, with what
    is done and about how long the rest takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts without a stage.

        Args:
            clock: Seconds since any moment.
        """
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._clock = clock
        self._bar: Bar | None = None
        self._stage, self._total, self._done, self._at_once = "", 0, 0, 0
        self._began = self._said = 0.0

    def start(self, stage: str, total: int) -> None:
        """Opens a bar with `total` steps."""
        self._close()
        self._stage, self._total, self._done, self._at_once = stage, total, 0, 0
        self._began = self._said = self._clock()
        if self._console.is_terminal:
            self._open_bar(stage, total)

    def advance(self, n: int = 1, detail: str = "") -> None:
        """Moves the bar, or tells a log."""
        self._done += n
        if self._bar is not None and self._bar.tasks:
            task = self._bar.tasks[0]
            self._bar.update(task.id, advance=n, detail=detail or task.fields["detail"])
        elif not self._console.is_terminal:
            self._log(detail)

    def finish(self, summary: str = "") -> None:
        """Closes the bar and leaves one line."""
        self._close()
        if summary:
            self._console.print(summary, markup=False, soft_wrap=True)

    def _log(self, detail: str) -> None:
        now = self._clock()
        if now - self._began <= _AT_ONCE:
            self._at_once = self._done
        if now - self._said < LOG_SECONDS or self._done >= self._total:
            return
        self._said = now
        worked, left = self._done - self._at_once, self._total - self._done
        text = f"{self._stage}: {self._done:,} of {self._total:,} after {_span(now - self._began)}"
        if worked > 0:
            text += f", about {_span((now - self._began) / worked * left)} left"
        shown = f"{text} ({detail})" if detail else text
        self._console.print(shown, markup=False, soft_wrap=True)

    def _open_bar(self, stage: str, total: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._bar.add_task(stage, total=total, detail="")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _span(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
