"""The conformance suite: what every place to publish to owes its users."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from featurestore.errors import ConfigError, MelafuseError
from fusion.publish import PUBLISHERS, Publication, Publisher, find_publisher

if TYPE_CHECKING:
    from bundle_example import Fitted

IDS = re.compile(rb"(?:ISIC|IP|IL)_[0-9]+")
PLACES = {"mlflow": "file:{}/store", "hf-folder": "{}/hub"}
"""Per publisher a place under a folder; a new publisher adds its own."""


@pytest.fixture(params=sorted(PUBLISHERS), name="publisher")
def _publisher(request: pytest.FixtureRequest) -> Publisher:
    if request.param == "mlflow":
        pytest.importorskip("mlflow")
    return PUBLISHERS[request.param]


@pytest.fixture(name="where")
def _where(publisher: Publisher, tmp_path: Path) -> str:
    return PLACES[publisher.name].format(tmp_path)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: Any, *_: Any) -> None:
        raise AssertionError(f"connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything under a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def everything(folder: Path) -> Mapping[str, bytes]:
    """Names and content of everything under a folder."""
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def ids(tiny: Fitted) -> set[str]:
    """Of every patient, lesion and image, also of those left out."""
    cohort = tiny.study.cohort
    found: set[str] = set()
    for table in (cohort.images, cohort.patients, cohort.exclusions):
        for column in ("patient_id", "person_id", "image_id", "lesion_id", "id"):
            found |= set(table[column].dropna()) if column in table else set()
    assert len(found) > 200
    return found


def test_twice_is_once_and_a_changed_run_takes_the_place(
    publisher: Publisher, where: str, publication: Publication, tmp_path: Path
) -> None:
    assert publisher.publish(publication, where) == "published"
    first = digests(tmp_path)
    assert publisher.publish(publication, where) == "unchanged"
    assert digests(tmp_path) == first
    changed = dataclasses.replace(publication, card="# Changed\n\nsomething else\n")
    assert publisher.publish(changed, where) == "updated"
    assert digests(tmp_path) != first
    assert publisher.publish(changed, where) == "unchanged"
    assert publisher.publish(publication, where) == "updated"


def test_nobody_is_named_and_nobodys_row_is_there(
    publisher: Publisher, where: str, publication: Publication, tiny: Fitted, tmp_path: Path
) -> None:
    publisher.publish(publication, where)
    written, wanted = everything(tmp_path), ids(tiny)
    assert all(IDS.fullmatch(one.encode()) for one in wanted)
    assert sum(map(len, written.values())) > 100_000
    for name, content in written.items():
        tokens = {t.decode() for t in IDS.findall(content + name.encode())}
        assert not tokens & wanted, name
    predictions = pd.read_parquet(tiny.study.paths.predictions)
    predictions = predictions[predictions["model"] != "prevalence"]  # is no patient's own
    rows = {repr(float(p)).encode() for p in predictions["probability"] if 0 < p < 1}
    for name, content in written.items():
        assert not any(row in content for row in rows if len(row) > 12), name


def test_what_is_marked_says_so(
    publisher: Publisher, where: str, publication: Publication, tmp_path: Path
) -> None:
    assert publication.warnings
    publisher.publish(publication, where)
    content = b"".join(everything(tmp_path).values())
    for warning in publication.warnings:
        assert warning.encode() in content


def test_an_interrupted_publication_is_finished_by_the_next(
    publisher: Publisher, where: str, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurestore import atomic

    whole = atomic.sync_folder
    count = [0]

    def full(folder: Path) -> None:
        count[0] += 1
        if count[0] > 3:
            raise OSError(28, "No space left on device")
        whole(folder)

    monkeypatch.setattr(atomic, "sync_folder", full)
    with pytest.raises((MelafuseError, OSError)):
        publisher.publish(publication, where)
    monkeypatch.setattr(atomic, "sync_folder", whole)
    assert publisher.publish(publication, where) in ("published", "updated")
    assert publisher.publish(publication, where) == "unchanged"


def test_what_lies_there_already_is_not_overwritten(
    publication: Publication, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"README.md is not melafuse's"):
        PUBLISHERS["hf-folder"].publish(publication, str(tmp_path))
    assert everything(tmp_path) == {str(tmp_path / "README.md"): b"mine"}
    (tmp_path / "README.md").rename(tmp_path / "notes.md")
    PUBLISHERS["hf-folder"].publish(publication, str(tmp_path))
    other = dataclasses.replace(publication, name="other")
    with pytest.raises(ConfigError, match="holds tiny, not other"):
        PUBLISHERS["hf-folder"].publish(other, str(tmp_path))
    without = dataclasses.replace(publication, bundle={}, bundled=())
    assert PUBLISHERS["hf-folder"].publish(without, str(tmp_path)) == "updated"
    assert not any(p.is_file() for p in (tmp_path / "bundle").rglob("*"))
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    ['{"files": {"../outside": "0"}, "name": "tiny"}', '{"files": []}', "{", "[]"],
)
def test_a_damaged_record_is_refused(text: str, publication: Publication, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "hub" / "melafuse.json").write_text(text)
    with pytest.raises(MelafuseError, match="is damaged"):
        PUBLISHERS["hf-folder"].publish(publication, str(tmp_path / "hub"))
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize("target", ["", "mlflow", "mlflow:", "wandb:here", "hf-folder"])
def test_a_wrong_target_names_the_right_ones(target: str) -> None:
    with pytest.raises(ConfigError, match="mlflow:URI, hf-folder:DIR"):
        find_publisher(target)


def test_every_publisher_has_a_place_here() -> None:
    assert PLACES.keys() == PUBLISHERS.keys()
