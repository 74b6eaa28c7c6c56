"""What `init` writes for the smallest file of every format runs, or it says in one line why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli
from featurestore.config import load_config
from featurestore.errors import MelafuseError
from featurestore.sources import SOURCES
from featurestore.sources.recognition import FORMATS, guess_format
from fusion.config import RunConfig
from fusion.start.doctor import examine
from fusion.study.study import Study

N = 36
PEOPLE = [f"TCGA-AA-{k:04d}" for k in range(N)]
SPECIMENS = [f"{p}-{('06', '01')[k % 2]}" for k, p in enumerate(PEOPLE)]
PICTURES = [f"ISIC_{k:07d}" for k in range(N)]
AGES = [str(30 + k * 7 % 50) for k in range(N)]
SEX = [("male", "female")[k % 3 == 0] for k in range(N)]
NODES = [("N0", "N1")[k % 2] for k in range(N)]
FLAGS = [str(int(k % 3 == 1)) for k in range(N)]


def table(delimiter: str = "\t", **columns: list[str]) -> str:
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def tsv(names: str, *columns: list[str]) -> str:
    return table(**dict(zip(names.split("|"), columns, strict=True)))


def csv(names: str, *columns: list[str]) -> str:
    return table(",", **dict(zip(names.split("|"), columns, strict=True)))


def biotab(names: str, *columns: list[str]) -> str:
    header, *rows = tsv(f"bcr_patient_uuid|bcr_patient_barcode|{names}", AGES, PEOPLE, *columns)[
        :-1
    ].split("\n")
    codes = "\t".join(["CDE_ID:1"] * (2 + len(columns)))
    return "\n".join([header, header, codes, *rows]) + "\n"


def one_hot(*names: str) -> list[list[str]]:
    return [[str(int(k % len(names) == j)) for k in range(N)] for j in range(len(names))]


CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
STUDY = "#A\tB\tC\n#A\tB\tC\n#STRING\tNUMBER\tSTRING\n#1\t1\t1\n"
RUNS = {
    "portal": tsv(
        "Study ID|Patient ID|Sample ID|Diagnosis Age|"
        "American Joint Committee on Cancer Tumor Stage Code|"
        "Neoplasm Disease Lymph Node Stage American Joint Committee on Cancer Code",
        *(["skcm"] * N, PEOPLE, SPECIMENS, AGES, ["T2a", "T3b"] * (N // 2), NODES),
    ),
    "study_patient": STUDY + tsv("PATIENT_ID|AGE|PATH_N_STAGE", PEOPLE, AGES, NODES),
    "gdc": tsv(
        "cases.submitter_id|demographic.gender|demographic.age_at_index|diagnoses.ajcc_pathologic_n",
        *(PEOPLE, SEX, AGES, NODES),
    ),
    "gdc_undotted": tsv(
        "case_submitter_id|gender|age_at_index|ajcc_pathologic_n", PEOPLE, SEX, AGES, NODES
    ),
    "xena": tsv(
        "sampleID|_PATIENT|age_at_initial_pathologic_diagnosis|pathologic_N",
        *(SPECIMENS, PEOPLE, AGES, NODES),
    ),
    "xena_hub": tsv(
        "sample|age_at_index.demographic|ajcc_pathologic_n.diagnoses", SPECIMENS, AGES, NODES
    ),
    "biotab_patient": biotab(
        "gender|age_at_initial_pathologic_diagnosis|pathologic_N", SEX, AGES, NODES
    ),
    "plain": csv("patient|age|metastasis", [f"P{k}" for k in range(N)], AGES, FLAGS),
    "isic_archive": csv(
        "isic_id|age_approx|sex|diagnosis_1|diagnosis_3",
        *(PICTURES, AGES, SEX, ["Malignant", "Benign"] * (N // 2)),
        ["Melanoma Invasive", "Nevus"] * (N // 2),
    ),
    "isic_2016": "\n".join(
        f"{name},{('benign', 'malignant')[k % 2]}" for k, name in enumerate(PICTURES)
    ),
    "isic_2017_truth": csv("image_id|melanoma", PICTURES, FLAGS),
    "isic_2018": csv(
        "|".join(("image", *CLASSES)), PICTURES, *one_hot(*CLASSES[:3]), *[["0"] * N] * 4
    ),
    "ham10000": csv(
        "lesion_id|image_id|dx|age|gender",
        *([f"HAM_{k}" for k in range(N)], PICTURES, ["mel", "nv"] * (N // 2), AGES, SEX),
    ),
    "isic_2020": csv(
        "image_name|patient_id|sex|age_approx|target",
        *(PICTURES, [f"IP_{k}" for k in range(N)], SEX, AGES, FLAGS),
    ),
}
SAID = {
    "study_sample": (
        STUDY + tsv("PATIENT_ID|SAMPLE_ID|ONCOTREE_CODE", PEOPLE, SPECIMENS, ["SKCM"] * N),
        "there is nothing to learn from",
    ),
    "maf": (
        tsv(
            "Hugo_Symbol|Tumor_Sample_Barcode|Variant_Classification",
            *(["BRAF"] * N, SPECIMENS, ["Silent"] * N),
        ),
        "cannot be read without `clinical`",
    ),
    "expression": (
        f"Hugo_Symbol\t{chr(9).join(SPECIMENS)}\nBRAF\t{chr(9).join(AGES)}\n",
        "cannot be read without `clinical`",
    ),
    "xena_expression": (
        f"sample\t{chr(9).join(SPECIMENS)}\nBRAF\t{chr(9).join(AGES)}\n",
        "cannot be read without `clinical`",
    ),
    "xena_survival": (
        tsv("sample|_PATIENT|OS|OS.time", SPECIMENS, PEOPLE, FLAGS, AGES),
        "cannot be read without `clinical`",
    ),
    "tcga_cdr": (  # a time is named in a comment, and never chosen
        tsv("bcr_patient_barcode|type|gender|OS|OS.time", PEOPLE, ["SKCM"] * N, SEX, FLAGS, AGES),
        "COULD NOT BE GUESSED",
    ),
    "star_counts": (
        f"gene_id\t{chr(9).join(SPECIMENS)}\nENSG00000000003.15\t{chr(9).join(AGES)}\n",
        "cannot be read without `clinical`",
    ),
    "gdc_pathology": (
        tsv("cases.submitter_id|pathology_details.breslow_thickness", PEOPLE, AGES),
        "cannot be read without `clinical`",
    ),
    "biotab_nte": (biotab("new_tumor_event_type", SEX), "cannot be read without `patient`"),
    "biotab_follow_up": (biotab("bcr_followup_barcode", AGES), "cannot be read without `patient`"),
    "isic_2019": (
        csv("image|age_approx|sex", PICTURES, AGES, SEX),
        "COULD NOT BE GUESSED",
    ),
    "too_few": (
        csv("patient|age|metastasis", ["a", "b", "c", "d"], list("1234"), list("0101")),
        "a run needs 4 patients",
    ),
    "own_matrix": (
        f"probe\t{chr(9).join(SPECIMENS)}\n117_at\t{chr(9).join(AGES)}\n118_at\t"
        f"{chr(9).join(AGES[::-1])}\n",
        "COULD NOT BE GUESSED",
    ),
}


def proposed(folder: Path, text: str, name: str) -> tuple[str, Path]:
    """What `init` says, and where it writes."""
    path, out = folder / "file.txt", folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    arguments = ["init", "--table", str(path), "--out", str(out)]
    if name.startswith(("isic", "ham")):
        noise = np.random.default_rng(0)
        (folder / "images").mkdir()
        for picture in PICTURES:
            pixels = noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{picture}.jpg")
        arguments += ["--images", str(folder / "images")]
    result = CliRunner().invoke(cli.cli, arguments)
    if result.exception is not None:
        assert isinstance(result.exception, MelafuseError)
        return str(result.exception), out
    return result.output, out


@pytest.mark.parametrize("name", RUNS)
def test_what_init_writes_is_fit_to_run(tmp_path: Path, name: str) -> None:
    said, out = proposed(tmp_path, RUNS[name], name)
    assert not any(word in said for word in ("NOTE", "PROBLEM", "COULD NOT", "left out")), said
    offline = ["extract.backbones=[{name: resnet18, weights: random}]"]
    overrides = offline if name.startswith(("isic", "ham")) else []
    found = list(examine(out, overrides, None, tmp_path / "run"))
    assert "arms" in {examined.check for examined in found}
    assert [e.finding.text for e in found if e.finding.status == "fail"] == []


@pytest.mark.parametrize("name", SAID)
def test_or_init_says_why_not(tmp_path: Path, name: str) -> None:
    text, why = SAID[name]
    said, _ = proposed(tmp_path, text, name)
    assert sum(why in line for line in said.splitlines()) == 1, said


def test_no_format_is_forgotten(tmp_path: Path) -> None:
    seen = set()
    for text in (*RUNS.values(), *(text for text, _ in SAID.values())):
        path = tmp_path / "file.txt"
        path.write_text(text)
        guess = guess_format(path)
        assert guess is not None
        seen.add((guess.kind, guess.role))
    elsewhere = {"synthetic", "collection"}  # reads no file; is run by test_collections
    known = {(known.kind, known.role) for known in FORMATS if known.kind}
    assert seen == {one for one in known if one[0] not in elsewhere}
    assert {kind for kind, _ in seen} | elsewhere == set(SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "study_patient", "gdc", "isic_2016"])
def test_it_runs(tmp_path: Path, name: str) -> None:
    _, out = proposed(tmp_path, RUNS[name], name)
    overrides = [
        *("ablation.tuning.trials=2", "ablation.tuning.inner_folds=2", "ablation.jobs=1"),
        *("ablation.bootstrap_draws=200", "folds.n_folds=2", "export.formats=[csv]"),
        *("ablation.head.epochs=2", "ablation.head.ensemble=1"),
    ]
    if name.startswith("isic"):
        overrides += ["extract.backbones=[{name: resnet18, weights: random, image_size: 32}]"]
    assert load_config(RunConfig, out, overrides).ablation.arms is None  # the default ones stand
    Study.open(out, tmp_path / "run", None, overrides).run()
    assert (tmp_path / "run" / "report" / "report.html").is_file()
