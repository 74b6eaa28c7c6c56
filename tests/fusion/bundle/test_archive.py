"""A bundle is read as it was written, or refused: every byte, every file, every trick of a zip."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurestore.errors import ConfigError, DataError
from fusion.bundle import BundleRecord, read_bundle, write_bundle
from fusion.bundle.record import (
    CohortRecord,
    ImageInput,
    MetricRecord,
    ModelRecord,
    OutcomeRecord,
    Performance,
)

RECORD = BundleRecord(
    name="small",
    disclaimer="For research use only.",
    watermark="",
    outcome=OutcomeRecord(name="o", definition="d", unit="patient", as_of="now", caveats=("ü",)),
    findings=(),
    cohort=CohortRecord(
        digest="0", linkage="patient", synthetic=False, patients=3, events=1, images=0,
        sources=(), table=(),
    ),
    inputs=(),
    image=ImageInput(max_megapixels=10),
    encoders=(),
    novelty=(),
    models=(
        ModelRecord(
            arm="a", model="lightgbm", modalities=(), state="models/0",
            calibration={"method": "none"}, threshold=0.5, threshold_rule="r",
            performance=Performance(
                what="w", n=3, events=1, metrics={"auroc": MetricRecord.of(0.5, 0.4, float("nan"))}
            ),
        ),
    ),
    seed=0,
    versions={},
    files={},
)  # fmt: skip
CONTENTS = {"models/0.json": b"{}", "models/0.txt": b"tree\n" * 3, "encoders/net.safetensors": b""}


@pytest.fixture(params=["folder", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a bundle goes, in both forms."""
    return tmp_path / ("b.zip" if request.param == "zip" else "b")


def test_a_bundle_is_read_as_it_was_written(place: Path) -> None:
    written = write_bundle(RECORD, CONTENTS, place)
    again = read_bundle(place)
    assert again.digest == written.digest
    assert again.contents == CONTENTS
    assert again.record == written.record
    assert again.record.models[0].performance.metrics["auroc"].high is None


def test_both_forms_have_the_same_name_and_the_zip_the_same_bytes(tmp_path: Path) -> None:
    a = write_bundle(RECORD, CONTENTS, tmp_path / "a")
    b = write_bundle(RECORD, dict(reversed(CONTENTS.items())), tmp_path / "b.zip")
    write_bundle(RECORD, CONTENTS, tmp_path / "c.zip")
    assert a.digest == b.digest
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "c.zip").read_bytes()


def test_an_unpacked_zip_is_a_bundle(tmp_path: Path) -> None:
    written = write_bundle(RECORD, CONTENTS, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert read_bundle(tmp_path / "out").digest == written.digest


def test_every_changed_byte_of_a_folder_is_refused(tmp_path: Path) -> None:
    write_bundle(RECORD, CONTENTS, tmp_path / "b")
    for file in sorted(p for p in (tmp_path / "b").rglob("*") if p.is_file()):
        good = file.read_bytes()
        for place in range(0, len(good), max(1, len(good) // 40)):
            for change in (1, 32):  # 32 turns letters into the other case, and spaces into NUL
                bad = bytearray(good)
                bad[place] ^= change
                file.write_bytes(bad)
                with pytest.raises(DataError):
                    read_bundle(tmp_path / "b")
        file.write_bytes(good + b"\n")
        with pytest.raises(DataError):
            read_bundle(tmp_path / "b")
        if good:
            file.write_bytes(good[:-1])
            with pytest.raises(DataError):
                read_bundle(tmp_path / "b")
        file.write_bytes(good)
    read_bundle(tmp_path / "b")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_changed_byte_of_a_zip_is_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    write_bundle(RECORD, CONTENTS, folder / "b.zip")
    good = (folder / "b.zip").read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    (folder / "b.zip").write_bytes(bad)
    with pytest.raises(DataError) as caught:
        read_bundle(folder / "b.zip")
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(junk=st.binary(max_size=400))
def test_junk_is_no_bundle(junk: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("junk") / "b.zip"
    path.write_bytes(junk)
    with pytest.raises(DataError, match="neither the folder of a bundle nor a zip"):
        read_bundle(path)


def test_a_file_too_many_or_too_few_or_a_link_is_refused(tmp_path: Path) -> None:
    write_bundle(RECORD, CONTENTS, tmp_path / "b")
    (tmp_path / "b" / "more").mkdir()
    (tmp_path / "b" / "more" / "x.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"more/x\.pkl"):
        read_bundle(tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "more")
    text = tmp_path / "b" / "models" / "0.txt"
    kept = text.read_bytes()
    text.unlink()
    with pytest.raises(DataError, match=r"lacks models/0\.txt"):
        read_bundle(tmp_path / "b")
    (tmp_path / "elsewhere").write_bytes(kept)
    text.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="a link"):
        read_bundle(tmp_path / "b")
    text.unlink()
    os.mkfifo(text)
    with pytest.raises(DataError, match="no plain file"):
        read_bundle(tmp_path / "b")


def test_what_is_no_bundle_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no bundle"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no bundle\.json"):
        read_bundle(tmp_path)
    for text in ("[]", "{", "{}", "[" * 100_000, '{"format": 1}'):
        (tmp_path / "bundle.json").write_text(text)
        with pytest.raises(DataError, match="refused"):
            read_bundle(tmp_path)
    (tmp_path / "bundle.json").write_text('{"digest": "", "format": 5}')
    with pytest.raises(DataError, match="has format '5'"):
        read_bundle(tmp_path)


def test_a_record_with_a_right_digest_is_still_checked(tmp_path: Path) -> None:
    """Who edits a bundle can compute its digest anew; what it says must still make sense."""
    bad = RECORD.model_copy(update={"models": ()})
    write_bundle(bad, {}, tmp_path / "b")
    with pytest.raises(DataError, match="models"):
        read_bundle(tmp_path / "b")
    write_bundle(RECORD, dict(CONTENTS) | {"../../evil.txt": b"x"}, tmp_path / "c.zip")
    with pytest.raises(DataError, match="holds the name"):
        read_bundle(tmp_path / "c.zip")


def _zip(path: Path, members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            for info, data in members:
                archive.writestr(info, data)


def _info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "c:\\evil", "a\\b", ".hidden", "a//b", "a/"]
)
def test_names_that_lead_out_of_a_zip_are_refused(name: str, tmp_path: Path) -> None:
    _zip(tmp_path / "b.zip", [(_info("bundle.json"), b"{}"), (_info(name), b"x")])
    with pytest.raises(DataError, match="holds the name"):
        read_bundle(tmp_path / "b.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.zip"]  # nothing was extracted


def test_links_copies_and_compressed_members_are_refused(tmp_path: Path) -> None:
    record = (_info("bundle.json"), b"{}")
    _zip(tmp_path / "link.zip", [record, (_info("x", stat.S_IFLNK | 0o777), b"/etc/passwd")])
    with pytest.raises(DataError, match="a link"):
        read_bundle(tmp_path / "link.zip")
    _zip(tmp_path / "twice.zip", [record, record])
    with pytest.raises(DataError, match="twice"):
        read_bundle(tmp_path / "twice.zip")
    bomb = _info("bomb")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    _zip(tmp_path / "bomb.zip", [record, (bomb, bytes(50_000_000))])
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(DataError, match="compressed"):
        read_bundle(tmp_path / "bomb.zip")


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    write_bundle(RECORD, CONTENTS, tmp_path / "b.zip")
    data = bytearray((tmp_path / "b.zip").read_bytes())
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<II", data, central + 20, 2**31, 2**31)
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(DataError):
        read_bundle(tmp_path / "b.zip")


def test_a_polyglot_and_a_foreign_zip_are_refused_with_advice(tmp_path: Path) -> None:
    write_bundle(RECORD, CONTENTS, tmp_path / "b.zip")
    good = (tmp_path / "b.zip").read_bytes()
    (tmp_path / "poly.zip").write_bytes(b"\xff\xd8\xff" + good)
    with pytest.raises(DataError, match="unpack it and name the folder"):
        read_bundle(tmp_path / "poly.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    (tmp_path / "own.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="unpack it and name the folder"):
        read_bundle(tmp_path / "own.zip")


def test_a_bundle_is_never_written_over_anything(place: Path) -> None:
    write_bundle(RECORD, CONTENTS, place)
    with pytest.raises(ConfigError, match="exists"):
        write_bundle(RECORD, CONTENTS, place)
    assert [p for p in place.parent.iterdir() if p != place] == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        write_bundle(RECORD, CONTENTS, tmp_path / "file" / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_record_is_readable_json_with_its_own_digest(tmp_path: Path) -> None:
    written = write_bundle(RECORD, CONTENTS, tmp_path / "b")
    stated = json.loads((tmp_path / "b" / "bundle.json").read_text(encoding="utf-8"))
    assert stated["digest"] == written.digest
    assert stated["outcome"]["caveats"] == ["ü"]
    assert stated["files"]["models/0.json"]["bytes"] == 2
    assert dataclasses.is_dataclass(written)


def test_only_a_bundle_of_lesions_says_what_it_scores() -> None:
    lesions = RECORD.cohort.model_copy(update={"observed": "lesion", "persons": 2})
    assert "observed" not in RECORD.cohort.model_dump(mode="json")
    written = lesions.model_dump(mode="json")
    assert (written["observed"], written["persons"]) == ("lesion", 2)
    assert RECORD.model_copy(update={"cohort": lesions}).id_column == "lesion_id"
    assert RECORD.id_column == "patient_id"
