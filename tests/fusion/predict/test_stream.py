"""Thousands, killed in the middle, end with the same file."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from bundle_example import Fitted
from locations import ROOT

from featurestore.errors import ConfigError, DataError
from featurestore.locks import unless_held
from fusion.predict import Predictor
from fusion.predict.reading import Refusal, read_cases
from fusion.predict.result import row_columns
from fusion.predict.stream import CHUNK, write_all

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tiny: Fitted) -> Predictor:
    """The tiny bundle at work."""
    return Predictor.load(tiny.bundle)


@pytest.fixture(scope="module")
def cohort(tiny: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of all patients with their images beside it, some of them spoilt."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for patient in tiny.study.cohort.patients["patient_id"]:
        names = []
        for file in tiny.images_of(patient):
            (folder / file.name).write_bytes(file.read_bytes())
            names.append(file.name)
        rows.append({"patient_id": patient, "image": "; ".join(names), **tiny.values_of(patient)})
    rows[3]["age"] = -5
    rows[5]["image"] = "../../etc/passwd"
    rows[7]["image"] = "none.jpg"
    (folder / "spoilt.jpg").write_bytes(b"\xff\xd8\xff junk")
    rows[9]["image"] = "spoilt.jpg"
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    return folder


def command(tiny: Fitted, cohort: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-W", "ignore", str(ROOT / "cli.py"), "predict", str(tiny.bundle),
        "--metadata", str(cohort / "patients.csv"), "--out", str(out), "--quiet", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_table_is_scored_and_refusals_stay_in_it(
    form: str, predictor: Predictor, cohort: Path, tmp_path: Path, tiny: Fitted
) -> None:
    found = read_cases(predictor.bundle.record, [], cohort / "patients.csv")
    assert not found.single
    out = tmp_path / f"scores.{form}"
    assert write_all(predictor, found.cases, out, form) == 4
    if form == "json":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(out.open()))
        assert tuple(rows[0]) == row_columns(predictor.scoring, "patient_id")
        assert rows[0]["note"].startswith("For research use only")
        assert rows[0]["watermark"].startswith("SYNTHETIC")
    patients = tiny.study.cohort.patients["patient_id"].tolist()
    assert [row["patient_id"] for row in rows] == patients
    failed = {row["patient_id"]: row["error"] for row in rows if row.get("error")}
    assert list(failed) == [patients[k] for k in (3, 5, 7, 9)]
    assert "cannot be meant" in failed[patients[3]]
    assert "only names inside the folder" in failed[patients[5]]
    assert "no such file" in failed[patients[7]]
    assert "spoilt.jpg: not an image" in failed[patients[9]]
    alone = predictor.predict(
        [predictor.case(tiny.values_of(patients[0]), tiny.images_of(patients[0]))]
    )[0]
    assert float(rows[0]["probability"]) == alone.score.probability
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    tiny: Fitted, cohort: Path, predictor: Predictor, tmp_path: Path
) -> None:
    found = read_cases(predictor.bundle.record, [], cohort / "patients.csv")
    write_all(predictor, found.cases, tmp_path / "whole.jsonl", "json")
    out = tmp_path / "killed.jsonl"
    partial = tmp_path / "killed.jsonl.partial"
    rng = random.Random(0)
    for _ in range(2):
        child = subprocess.Popen(
            command(tiny, cohort, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if partial.exists() and partial.read_bytes().count(b"\n") > 1 and rng.random() < 0.5:
                break
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        if partial.exists():
            with partial.open("ab") as file:
                file.write(b'{"patient_id": "torn')
    if not out.exists():
        assert write_all(predictor, found.cases, out, "json") == 4
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not partial.exists()


def test_another_bundle_or_other_inputs_do_not_continue_a_file(
    predictor: Predictor, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_cases(predictor.bundle.record, [], cohort / "patients.csv")
    out = tmp_path / "scores.jsonl"
    write_all(predictor, found.cases[:3], out, "json")
    with pytest.raises(ConfigError, match="exists"):
        write_all(predictor, found.cases[:3], out, "json")
    finished = out.read_bytes()
    partial = out.rename(tmp_path / "scores.jsonl.partial")
    with pytest.raises(DataError, match="is not of a prediction; remove it"):
        write_all(predictor, found.cases[:3], out, "json")
    assert partial.read_bytes() == finished
    partial.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("fusion.predict.stream._finish", lambda *_: None)
        write_all(predictor, found.cases[:3], out, "json")
    with pytest.raises(DataError, match="other inputs"):
        write_all(predictor, found.cases[:4], out, "json")
    write_all(predictor, found.cases[:3], out, "json")
    assert out.read_bytes() == finished


def refusals(n: int) -> list[Refusal]:
    """Patients who cannot be scored: chunks without any computing."""
    return [Refusal(f"P{k:03d}\u2028\x85 \udce9", f"reason {k}") for k in range(n)]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_damage_in_the_partial_file_is_scored_again(
    predictor: Predictor, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, rng = refusals(3 * CHUNK + 5), random.Random(1)
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    assert write_all(predictor, cases, tmp_path / "whole", form) == len(cases)
    expected = (tmp_path / "whole").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("fusion.predict.stream._finish", lambda *_: None)
        write_all(predictor, cases, out, form)
    sound = partial.read_bytes()
    for _ in range(60):
        damaged = bytearray(sound)
        damaged[rng.randrange(6, len(sound))] ^= 1 << rng.randrange(8)
        partial.write_bytes(damaged[: rng.choice([len(sound), rng.randrange(len(sound))])])
        assert write_all(predictor, cases, out, form) == len(cases)
        assert out.read_bytes() == expected
        out.unlink()


def test_two_processes_do_not_share_a_file(predictor: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with unless_held(tmp_path / "out.partial") as free:
        assert free
        with pytest.raises(ConfigError, match="another process writes to"):
            write_all(predictor, refusals(3), out, "json")
    assert write_all(predictor, refusals(3), out, "json") == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_files_of_one_patient_a_folder_and_a_table_by_name(
    predictor: Predictor, cohort: Path, tmp_path: Path, tiny: Fitted
) -> None:
    record = predictor.bundle.record
    patient = str(tiny.study.cohort.patients["patient_id"].iloc[0])
    files = tiny.images_of(patient)
    single = read_cases(record, files)
    assert single.single
    assert len(single.cases) == 1
    folder = read_cases(record, [cohort])
    assert not folder.single
    assert len(folder.cases) == len(list(cohort.glob("*.jpg")))

    own = tmp_path / "own"
    own.mkdir()
    for name in ("P1", "P2"):
        (own / f"{name}.jpg").write_bytes(files[0].read_bytes())
    table = tmp_path / "table.tsv"
    table.write_text("patient_id\tage\tcolour\nP1\t50\tred\nP2\t\tred\nP3\t60\tred\n")
    found = read_cases(record, [own], table)
    assert [len(c.pictures) for c in found.cases if not isinstance(c, Refusal)] == [1, 1, 0]
    assert "not used: colour" in found.notes[0]
    assert "missing in every row: sex" in found.notes[1]
    (own / "P9.jpg").write_bytes(files[0].read_bytes())
    with pytest.raises(DataError, match="called like no patient"):
        read_cases(record, [own], table)
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"patient_id": "X", "age": 50}))
    case = read_cases(record, files, one).cases[0]
    assert not isinstance(case, Refusal)
    assert (case.patient_id, len(case.pictures)) == ("X", len(files))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "no JSON"),
        ("a.json", "[]", "an object with the values"),
        ("a.json", "[1]", "an object with the values"),
        ("a.json", "[" * 100_000, "no JSON"),
        ("a.csv", "colour\nred\n", "none of its columns"),
        ("a.csv", "age\n", "no row"),
        ("a.csv", "", "a.csv"),
    ],
)
def test_metadata_that_is_none_is_one_line(
    name: str, text: str, said: str, predictor: Predictor, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_cases(predictor.bundle.record, [], tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_command_scores_one_patient_and_explains(
    tiny: Fitted, predictor: Predictor, tmp_path: Path
) -> None:
    patient = str(tiny.study.cohort.patients["patient_id"].iloc[0])
    values, images = tiny.values_of(patient), tiny.images_of(patient)
    (tmp_path / "one.json").write_text(json.dumps(values))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "cli.py"), "predict", str(tiny.bundle),
         *(part for image in images for part in ("--image", str(image))),
         "--metadata", str(tmp_path / "one.json"), "--explain", str(tmp_path / "why")],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    same = predictor.predict([predictor.case(values, images)])[0]
    assert record["probability"] == same.score.probability
    folder = next((tmp_path / "why").iterdir())
    names = {p.name for p in folder.iterdir()}
    assert {"explanation.json", "contributions.png", "gradcam-1-resnet18.png"} <= names
    why = json.loads((folder / "explanation.json").read_text())
    assert why["prediction"]["probability"] == record["probability"]
    assert len(why["overlays"]) == 2 * len(images)
    wrong = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "predict", str(tmp_path / "none")],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert wrong.returncode == 4
    assert wrong.stderr.count("\n") == 1
