"""Progress where nobody watches: lines in a log, with what is done and what is left."""

from __future__ import annotations

import pytest

from featurestore.terminal import TerminalProgress, _span


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_stage_says_in_a_log_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    progress.start("ablate", 104)
    progress.advance(100)  # reused at once: they say nothing about the others
    for clock.now in (10.0, 40.0, 60.0, 80.0):
        progress.advance(1, detail=f"arm at {clock.now:.0f}")
    progress.finish("ablate: 4 fits, 100 reused")
    assert capsys.readouterr().err.splitlines() == [
        "ablate: 102 of 104 after 40 s, about 40 s left (arm at 40)",
        "ablate: 4 fits, 100 reused",
    ]


def test_a_short_stage_leaves_its_summary_only(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    progress.start("extract", 3)
    for clock.now in (5.0, 10.0, 29.0):
        progress.advance()
    progress.finish("3 images")
    progress.start("export", 1)
    progress.advance()
    progress.finish()
    assert capsys.readouterr().err == "3 images\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert _span(seconds) == text
