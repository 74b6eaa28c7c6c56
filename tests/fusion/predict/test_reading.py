"""Files to be scored are read as training reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import DataError
from fusion.bundle.record import (
    BundleRecord,
    CohortRecord,
    ImageInput,
    InputColumn,
    OutcomeRecord,
)
from fusion.predict.cases import Case
from fusion.predict.reading import Refusal, read_cases


def column(name: str, kind: Any = "numeric", **facts: Any) -> InputColumn:
    return InputColumn(
        name=name, kind=kind, group="clinical", missing_share=0, modality="clinical", **facts
    )


INPUTS = (
    column("breslow", training_range=(0, 9), missing_tokens=("n. b.",)),
    column("ldh"),
    column("ulcerated", "binary"),
    column("spread", "nominal", training_levels=("none", "node")),
)
OUTCOME = OutcomeRecord(name="o", definition="", unit="patient", as_of="", caveats=())
IMAGE = ImageInput(max_megapixels=50)
PATIENTS = CohortRecord.model_construct(observed="patient")
RECORD = BundleRecord.model_construct(inputs=INPUTS, outcome=OUTCOME, cohort=PATIENTS, image=IMAGE)
LESIONS = CohortRecord.model_construct(observed="lesion")
OF_LESIONS = BundleRecord.model_construct(
    inputs=INPUTS, outcome=OUTCOME, cohort=LESIONS, image=IMAGE
)


def values(folder: Path, content: bytes, name: str = "t.csv") -> list[dict[str, Any] | str]:
    (folder / name).write_bytes(content)
    cases = read_cases(RECORD, (), folder / name).cases
    return [dict(c.values) if isinstance(c, Case) else c.reason for c in cases]


TABLE = (
    "patient_id;breslow;ldh;ulcerated;spread\nP1;1,25;1.234,5;yes;none\nP2;0,5;1.234;no;Unknown\n"
)
READ = [
    {"breslow": 1.25, "ldh": 1234.5, "ulcerated": 1.0, "spread": "none"},
    {"breslow": 0.5, "ldh": 1234.0, "ulcerated": 0.0},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_decimal_commas_grouping_points_and_byte_order_marks(
    tmp_path: Path, encoding: str, ending: str
) -> None:
    assert values(tmp_path, TABLE.replace("\n", ending).encode(encoding)) == READ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_json_too(tmp_path: Path, encoding: str) -> None:
    rows = [{"breslow": "1,25", "ldh": "1.234,5", "spread": "node"}, {"breslow": 2, "ldh": "#N/A"}]
    assert values(tmp_path, json.dumps(rows).encode(encoding), "t.json") == [
        {"breslow": 1.25, "ldh": 1234.5, "spread": "node"},
        {"breslow": 2.0},
    ]


@pytest.mark.parametrize("word", ["#N/A", "?", "Unknown", "<NA>", "n. b.", "."])
def test_what_training_read_as_missing_is_missing(tmp_path: Path, word: str) -> None:
    text = f"patient_id,breslow,ldh\nP1,{word},7\nP2,1.5,8\n"
    assert values(tmp_path, text.encode()) == [{"ldh": 7.0}, {"breslow": 1.5, "ldh": 8.0}]


def test_doubt_is_one_line(tmp_path: Path) -> None:
    first, second = values(tmp_path, b"patient_id;ldh\nP1;1,234\nP2;7\n")
    assert first == "ldh: '1,234' is not a number"
    assert second == {"ldh": 7.0}


def test_images_are_found_as_in_training(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    pool, folder, masks = (tmp_path / name for name in ("pool", "images", "images/masks"))
    for made in (pool, folder, masks):
        made.mkdir()
    Image.fromarray(noise).save(pool / "x.jpg")
    (folder / "7.jpg").symlink_to(pool / "x.jpg")
    Image.fromarray(noise).save(folder / "8.bmp")
    drawn = np.zeros((32, 32), dtype=np.uint8)
    drawn[8:20] = 255
    for name in ("7", "8"):
        Image.fromarray(drawn).save(masks / f"{name}.png")
    alone = read_cases(RECORD, [folder])
    assert [case.patient_id for case in alone.cases] == ["7", "8"]
    assert alone.notes == ("2 masks are no photographs and are not scored",)
    (tmp_path / "t.csv").write_text("patient_id,breslow\n7.0,1\n8.0,2\n")
    listed = read_cases(RECORD, [folder], tmp_path / "t.csv").cases
    assert [[p.name for p in c.pictures] for c in listed if isinstance(c, Case)] == [
        ["7.jpg"],
        ["8.bmp"],
    ]
    (tmp_path / "t.csv").write_text("image,breslow\n7.jpg,1\n../pool/x.jpg,2\n")
    linked, outside = read_cases(RECORD, [folder], tmp_path / "t.csv").cases
    assert isinstance(linked, Case)
    assert linked.pictures[0].read() == (pool / "x.jpg").read_bytes()
    assert isinstance(outside, Refusal)
    assert "only names inside the folder are taken" in outside.reason


def test_a_table_without_a_header_is_no_table_of_patients(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no header"):
        values(tmp_path, b"P1,1.5\nP2,2.5\nP3,3.5\nP4,4.5\n")


def test_a_bundle_of_lesions_takes_lesions(tmp_path: Path) -> None:
    rows = "patient_id,lesion_id,breslow\nP1,L1,1.5\nP1,L2,0.5\n"
    (tmp_path / "t.csv").write_text(rows)
    found = read_cases(OF_LESIONS, (), tmp_path / "t.csv")
    assert [c.patient_id for c in found.cases if isinstance(c, Case)] == ["L1", "L2"]
    assert "t.csv: not used: patient_id" in found.notes
    (tmp_path / "t.csv").write_text(rows.replace("lesion_id", "number"))
    with pytest.raises(DataError, match=r"what is scored is a lesion.* no column lesion_id"):
        read_cases(OF_LESIONS, (), tmp_path / "t.csv")
