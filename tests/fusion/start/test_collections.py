"""A collection as it was downloaded goes from `init` through `doctor` to a report."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from collections_example import COLLECTION_TREES, TREES
from tree_files_example import Facts

import cli
from featurestore.config import load_config
from featurestore.outcomes import OUTCOMES
from featurestore.outcomes.lesion_classes import LESION_CLASS
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.units import Counted
from fusion.config import RunConfig
from fusion.start.doctor import examine
from fusion.study.study import Study

RANDOM = "extract.backbones=[{name: resnet18, weights: random, image_size: 32}]"
BY_ROLE = [f"ablation.modalities.{name}.embeddings=[resnet18]" for name in ("clinic", "derm")]
PAIRED = ("derm7pt", "milk10k")
"""Collections of two photographs a case."""

CHEAP = [
    RANDOM,
    *("ablation.models=[logistic_regression]", "ablation.arms=[]"),
    *("ablation.bootstrap_draws=200", "ablation.jobs=1", "folds.n_folds=2", "ablation.overlays=0"),
    *("ablation.tuning.trials=1", "ablation.tuning.inner_folds=2", "export.formats=[csv]"),
]


@dataclasses.dataclass(frozen=True)
class Proposed:
    """A tree, what must be found in it, and what `init` made of it."""

    name: str
    facts: Facts
    said: str
    config: Path
    tables: SourceTables


@pytest.fixture(params=list(TREES), scope="module")
def proposed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proposed:
    name = str(request.param)
    base = tmp_path_factory.mktemp(name)
    (base / "download").mkdir()
    facts = TREES[name](base / "download")
    (base / "download" / "LICENSE.txt").write_text("Read this.\nIt is no table.\n")
    config = base / "mine.yaml"
    arguments = ["init", str(base / "download"), "--out", str(config)]
    result = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    cohort = load_config(RunConfig, config).cohort
    (source,) = cohort.sources
    tables = source.read(ReadContext(base, base / "scratch", unit=cohort.unit))
    return Proposed(name, facts, result.output, config, tables)


def test_patients_lesions_images_and_labels(proposed: Proposed) -> None:
    images, patients, facts = proposed.tables.images, proposed.tables.patients, proposed.facts
    key = "person_id" if proposed.tables.of_lesions else "patient_id"
    persons = patients.set_index("patient_id")[[]].assign(of=patients[key].to_numpy())["of"]
    assert images["patient_id"].map(persons).nunique() == facts.patients
    assert proposed.tables.of_lesions == (facts.lesions > 0)
    assert images["lesion_id"].replace("", pd.NA).nunique() == facts.lesions
    assert len(images) == facts.images
    for label, (events, others) in {
        "melanoma": facts.melanoma,
        "malignant": facts.malignant,
    }.items():
        assert (images[label] == 1).sum() == events, label
        assert (images[label] == 0).sum() == others, label
        labels = OUTCOMES[label].labels(proposed.tables.patients, images)
        assert set(labels.dropna()) == {0.0, 1.0}
    assert (images[LESION_CLASS] == "melanoma").sum() == facts.melanoma[0]
    malignant = images.loc[images["malignant"] == 1, LESION_CLASS]
    assert set(malignant) <= {"melanoma", "bcc", "scc", "malignant", "other"}


def test_what_tells_the_diagnosis_is_withheld_and_said(proposed: Proposed) -> None:
    tables, facts = proposed.tables, proposed.facts
    sources = {column.source_column.lower() for column in tables.dictionary}
    assert not sources & {name.lower() for name in facts.withheld}
    assert not {"melanoma", "malignant", "diagnosis"} & set(tables.dictionary.names)
    assert facts.offered <= set(tables.dictionary.names)
    (line,) = (line for line in proposed.said.splitlines() if "Withheld from models" in line)
    assert set(line.rpartition(": ")[2].rstrip(".").split(", ")) == facts.withheld
    if proposed.name in COLLECTION_TREES:
        columns = tables.exclusions[tables.exclusions["entity"] == "column"]
        assert facts.withheld <= set(columns["id"])
        assert tables.unmapped == ()


def test_masks_are_counted_and_nothing_else_is_left_out(proposed: Proposed) -> None:
    exclusions = proposed.tables.exclusions
    masks = exclusions["reason"].str.contains("a mask")
    assert masks.sum() == proposed.facts.masks
    rest = exclusions[(exclusions["entity"] == "image") & ~masks]
    missing = {"derm7pt": 1, "fitzpatrick17k": 1}.get(proposed.name, 0)
    assert len(rest) == missing, rest.to_string()


def test_init_says_nothing_that_stops_a_run(proposed: Proposed) -> None:
    words = ("NOTE", "PROBLEM", "COULD NOT", "left out")
    assert not any(word in proposed.said for word in words), proposed.said


def test_pairs_of_photographs_are_modalities_by_role(proposed: Proposed) -> None:
    modalities = load_config(RunConfig, proposed.config).ablation.modalities
    if proposed.name not in PAIRED:
        assert modalities is None
        return
    assert modalities is not None
    roles = {name: modality.role for name, modality in modalities.items()}
    assert roles == {"clinic": "close-up", "derm": "dermoscopic", "clinical": None}
    text = proposed.config.read_text(encoding="utf-8")
    assert "# Each role is a modality: the mean over a lesion's images of that role." in text


def test_no_file_name_is_a_hospital(proposed: Proposed) -> None:
    assert "site" not in proposed.tables.patients.columns


def test_the_doctor_finds_nothing_wrong(proposed: Proposed) -> None:
    settings = [RANDOM, *(BY_ROLE if proposed.name in PAIRED else [])]
    found = list(examine(proposed.config, settings, None, proposed.config.parent / "run"))
    assert [e.finding.text for e in found if e.finding.status == "fail"] == []
    (images,) = (e.finding.text for e in found if e.check == "images")
    assert "24 of 24 sampled images decode" in images


RUN = {*COLLECTION_TREES, "ham10000"}


@pytest.mark.slow
def test_it_runs_to_a_report(proposed: Proposed) -> None:
    if proposed.name not in RUN:
        pytest.skip("read by the same code as ham10000")
    folder = proposed.config.parent / "run"
    settings = [*CHEAP, *(BY_ROLE if proposed.name in PAIRED else [])]
    study = Study.open(proposed.config, folder, None, settings)
    study.run()
    predictions = pd.read_parquet(folder / "predictions.parquet")
    by_arm = predictions.groupby("arm")["patient_id"].nunique()
    for name in ("clinic", "derm", "all") if proposed.name in PAIRED else ():
        assert by_arm[f"logistic_regression[{name}]"] == study.cohort.n_patients
    report = (folder / "report" / "report.html").read_text(encoding="utf-8")
    for note in proposed.tables.notes:
        assert note.split(":")[0] in report
    embedded = pd.read_parquet(folder / "cohort" / "images.parquet")
    assert (embedded["width"] > 0).all()
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert ("lesion_id" in predictions) == proposed.tables.of_lesions
    if proposed.tables.of_lesions:
        require_lesions(folder, predictions)


def require_lesions(folder: Path, predictions: pd.DataFrame) -> None:
    """n is lesions, in the report and in every file; folds and clusters are patients."""
    one = predictions[predictions["arm"] == predictions["arm"].iloc[0]]
    assert (one.groupby(["repeat", "patient_id"])["fold"].nunique() == 1).all()
    named = one["patient_id"] != one["lesion_id"]
    persons = one.loc[named, "patient_id"].nunique()
    counted = Counted("lesion", one["lesion_id"].nunique(), persons, int((~named).sum()))
    said = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert f"- **Lesions:** {counted.text}, {int(one['y'].sum())} with the outcome" in said
    assert "every number counts lesions" in said
    clusters = one["patient_id"].nunique()
    assert f"{clusters} clusters" in said
    analysis = pd.read_csv(folder / "export" / "analysis.csv", dtype=str)
    assert len(analysis) == counted.n
    assert (analysis["cluster"] == analysis["patient_id"]).all()
    assert analysis["cluster"].nunique() == clusters
