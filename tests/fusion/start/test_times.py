"""Pairs of columns that look like a time to an event."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from featurestore.config import load_config
from fusion.config import RunConfig
from fusion.start.propose.times import paired_times


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["failtime", "failcens"], ("fail", "failtime", "failcens", "days, months or years")),
        (["OS.time", "OS"], ("os", "OS.time", "OS", "days, months or years")),
        (["OS_STATUS", "OS_MONTHS"], ("os", "OS_MONTHS", "OS_STATUS", "months")),
        (["rfs_days", "rfs_event"], ("rfs", "rfs_days", "rfs_event", "days")),
        (["follow up (years)", "age"], None),
        (["time", "status"], None),
        (["lifetime"], None),
    ],
)
def test_pairs(columns: list[str], found: tuple[str, ...] | None) -> None:
    lines = paired_times(columns)
    if found is None:
        assert lines == ()
    else:
        name, time, event, unit = found
        assert lines == (
            f"outcome: {{name: {name}, kind: time_to_event, time: {time}, event: {event}, "
            f"unit: {unit}, horizons: [2y, 5y]}}",
        )


def test_a_time_is_proposed_as_a_comment_only(tmp_path: Path) -> None:
    rows = "".join(f"p{k},{k * 3 % 50}.5,{k % 2},{40 + k % 30}\n" for k in range(60))
    (tmp_path / "t.csv").write_text("pid,os_months,os_status,age\n" + rows)
    config = tmp_path / "mine.yaml"
    arguments = ["init", "--table", str(tmp_path / "t.csv"), "--out", str(config)]
    assert CliRunner().invoke(cli.cli, arguments).exit_code == 0
    lines = [line.strip() for line in config.read_text().splitlines() if "time" in line]
    assert any("kind: time_to_event" in line for line in lines)
    assert all(line.startswith("#") for line in lines)
    load_config(RunConfig, config)
