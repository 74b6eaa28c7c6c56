"""Progress on a terminal: a bar while it lasts, one line when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class TerminalProgress:
    """Shows stages on standard error, so that results on standard output stay clean.

    Where standard error is no terminal only the summary lines appear.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._bar: Bar | None = None

    def start(self, stage: str, total: int) -> None:
        """Opens a bar with `total` steps."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._close()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar.start()
        self._bar.add_task(stage, total=total, detail="")

    def advance(self, n: int = 1, detail: str = "") -> None:
        """Moves the bar."""
        if self._bar is not None and self._bar.tasks:
            task = self._bar.tasks[0]
            self._bar.update(task.id, advance=n, detail=detail or task.fields["detail"])

    def finish(self, summary: str = "") -> None:
        """Closes the bar and leaves one line."""
        self._close()
        if summary:
            self._console.print(summary, markup=False, soft_wrap=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
