"""Entry points are listed by name without an import, and refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from plugin_example import install

from featurestore.cohort import CohortConfig
from featurestore.config import dump_config, validate
from featurestore.errors import ConfigError
from featurestore.export import EXPORTERS, exporter_names, find_exporter
from featurestore.plugins import plugins
from featurestore.sources import SOURCES, find_source, source_kinds
from fusion.config import ExportConfig
from fusion.start.doctor.machine import find_plugins

PROJECT = """\
[project]
name = "{package}"
[project.entry-points."melafuse.{group}"]
{point}
"""


def broken(folder: Path, group: str, point: str, code: str, package: str = "odd") -> Path:
    """A package with one entry point into a module of its own."""
    project = PROJECT.format(package=package, group=group, point=point)
    return install(folder, files={"pyproject.toml": project, f"{package}_code.py": code})


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the page is installed; its module is forgotten afterwards."""
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.syspath_prepend(str(install(tmp_path / "site")))


@pytest.mark.usefixtures("page")
def test_listing_imports_nothing() -> None:
    found = plugins("melafuse.models")["boosted"]
    assert (found.distribution, found.version) == ("melafuse-mine", "1.0")
    assert source_kinds() == (*SOURCES, "ward")
    assert exporter_names() == (*EXPORTERS, "jsonl")
    assert ExportConfig(formats=("jsonl",)).formats == ("jsonl",)
    assert "mine" not in sys.modules
    assert type(find_exporter("jsonl")).__name__ == "JsonLines"
    assert "mine" in sys.modules
    sys.modules.pop("mine")


@pytest.mark.usefixtures("page")
def test_a_configuration_with_somebodys_source_is_written_and_read_again() -> None:
    record = {"sources": [{"kind": "ward", "path": "w.csv"}], "outcome": "melanoma"}
    config = validate(CohortConfig, record, "c")
    assert type(config.sources[0]) is find_source("ward")
    assert "kind: ward\n  path: w.csv" in dump_config(config)
    record["sources"][0]["paht"] = "w.csv"  # type: ignore[index]
    with pytest.raises(ConfigError, match="paht"):
        validate(CohortConfig, record, "c")


def test_a_name_that_nothing_has_lists_what_there_is() -> None:
    record = {"sources": [{"kind": "mine:WardSource"}], "outcome": "melanoma"}
    with pytest.raises(ConfigError, match=r"no source is of the kind 'mine:WardSource'; known: "):
        validate(CohortConfig, record, "c")
    with pytest.raises(ConfigError, match=r"unknown format 'jsonl'; known: csv, parquet"):
        validate(ExportConfig, {"formats": ["jsonl"]}, "c")
    with pytest.raises(ConfigError, match=r"unknown format 'os:system'; known: csv, parquet"):
        find_exporter("os:system")


@pytest.mark.usefixtures("page")
def test_the_doctor_lists_them_with_their_packages() -> None:
    told = [finding.text for finding in find_plugins()]
    assert "melafuse.models: boosted (melafuse-mine 1.0)" in told
    assert "melafuse.sources: ward (melafuse-mine 1.0)" in told
    assert "mine" not in sys.modules


def test_a_package_that_cannot_be_imported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = broken(tmp_path / "a", "exports", 'x = "odd_code:X"', "import nowhere_at_all\n")
    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(ConfigError, match=r"'x' of odd 1\.0 cannot be loaded from 'odd_code:X'"):
        find_exporter("x")


def test_what_is_no_source_or_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "class X:\n    name = 'y'\n"
    place = broken(tmp_path / "a", "exports", 'x = "one_code:X"', code, "one")
    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(ConfigError, match=r"format 'x' of one 1\.0: it lacks suffix, fit, write"):
        find_exporter("x")
    place = broken(tmp_path / "b", "sources", 'x = "two_code:X"', code, "two")
    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(ConfigError, match=r"source 'x' of two 1\.0: it must be a Section"):
        find_source("x")


def test_two_packages_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("first", "second"):
        place = broken(tmp_path / package, "exports", f'x = "{package}_code:X"', "X = 1\n", package)
        monkeypatch.syspath_prepend(str(place))
    with pytest.raises(
        ConfigError, match=r"registered under melafuse\.exports by second and by first: uninstall"
    ):
        find_exporter("x")
    told = [finding for finding in find_plugins() if "x is of second, first" in finding.text]
    assert [finding.status for finding in told] == ["warn"]
