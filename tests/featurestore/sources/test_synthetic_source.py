from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pydantic
import pytest
from locations import ROOT
from sklearn.metrics import roc_auc_score

from featurestore.cohort.assemble import CohortConfig, build_cohort
from featurestore.cohort.tables import Cohort
from featurestore.config import load_config
from featurestore.errors import DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.synthetic import SyntheticSource
from featurestore.sources.synthetic_files import PLANTED_FILE, TRUTH_FILE
from featurestore.sources.synthetic_model import STAGES
from fusion.config import RunConfig

SMALL = SyntheticSource(patients=40, genes=30, image_pixels=(72, 100))


class Counter:
    """Remembers how many pictures were drawn."""

    def __init__(self) -> None:
        self.total, self.done, self.stages = 0, 0, 0

    def start(self, stage: str, total: int) -> None:
        self.total, self.stages = total, self.stages + 1

    def advance(self, n: int = 1, detail: str = "") -> None:
        self.done += n

    def finish(self, summary: str = "") -> None:
        assert summary


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ReadContext:
    root = tmp_path_factory.mktemp("synthetic")
    return ReadContext(data_root=root, scratch=root / "scratch", seed=5)


@pytest.fixture(scope="module")
def tables(context: ReadContext) -> SourceTables:
    return SMALL.read(context)


@pytest.fixture(scope="module")
def cohort(context: ReadContext) -> Cohort:
    config = CohortConfig(sources=(SMALL,), outcome="synthetic_metastasis", require_images=True)
    return build_cohort(config, "small", context)


@pytest.fixture(scope="module")
def planted(context: ReadContext, tables: SourceTables) -> dict[str, str | list[str]]:
    text = (SMALL.folder(context) / PLANTED_FILE).read_text()
    record: dict[str, str | list[str]] = json.loads(text)
    return record


@pytest.fixture(scope="module")
def truth(context: ReadContext, tables: SourceTables) -> pd.DataFrame:
    return pd.read_csv(SMALL.folder(context) / TRUTH_FILE, index_col="patient_id")


def test_everything_is_labelled_synthetic(tables: SourceTables) -> None:
    assert tables.synthetic
    assert "SYNTHETIC" in tables.notes[0]
    assert set(tables.images["source"]) == {"synthetic"}
    assert tables.images["attribution"].str.contains("synthetic").all()


def test_values_survive_the_way_through_the_files(
    tables: SourceTables, truth: pd.DataFrame
) -> None:
    patients = tables.patients.set_index("patient_id")
    label = patients["metastasis"].astype(int)
    assert (label == truth["metastasis"].reindex(label.index)).all()
    assert set(patients["stage"].dropna()) <= set(STAGES)
    assert set(patients["ulceration"].dropna()) == {0.0, 1.0}
    assert patients["breslow"].dropna().between(0.2, 40).all()
    assert tables.dictionary["stage"].levels == STAGES
    assert tables.dictionary["breslow"].unit == "mm"
    genes = [c.name for c in tables.dictionary if c.kind == "expression"]
    assert len(genes) == 30
    assert patients[genes].min(axis=None) >= 0
    assert 10 < patients[genes].max(axis=None) < 25, "stored as log2(x+1)"


def test_some_values_are_missing_and_profiles_are_missing_as_a_whole(
    tables: SourceTables,
) -> None:
    genes = [c.name for c in tables.dictionary if c.kind == "expression"]
    absent = tables.patients[genes].isna()
    assert absent.any(axis=None)
    assert (absent.any(axis=1) == absent.all(axis=1)).all()
    assert 0.1 < tables.patients["mitoses"].isna().mean() < 0.6


def test_no_column_of_the_dictionary_is_the_label_or_the_truth(tables: SourceTables) -> None:
    names = set(tables.dictionary.names)
    assert not names & {"metastasis", "probability", "image_factor", "site", "patient_id"}


def test_the_oracle_is_that_of_the_cohort(
    cohort: Cohort, truth: pd.DataFrame, tables: SourceTables
) -> None:
    patients = cohort.patients.set_index("patient_id")
    reached = roc_auc_score(patients["outcome"], truth["probability"].reindex(patients.index))
    assert cohort.facts["oracle_auroc"] == pytest.approx(reached, abs=1e-12)
    assert f"{reached:.3f}" in tables.notes[0]
    assert {f"oracle_auroc_{f}" for f in ("image", "clinical", "expression")} < set(cohort.facts)


def test_a_second_read_draws_nothing_and_gives_the_same(
    context: ReadContext, tables: SourceTables
) -> None:
    counter = Counter()
    again = SMALL.read(
        ReadContext(context.data_root, context.scratch, context.seed, progress=counter)
    )
    assert counter.stages == 0
    pd.testing.assert_frame_equal(again.images, tables.images)
    pd.testing.assert_frame_equal(again.patients, tables.patients)


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    counter = Counter()
    SMALL.generate(ReadContext(tmp_path, tmp_path / "scratch", progress=counter))
    assert counter.stages == 1
    assert counter.done == counter.total > 40


def test_another_seed_or_setting_is_another_folder(context: ReadContext) -> None:
    other_seed = ReadContext(context.data_root, context.scratch, context.seed + 1)
    other_setting = SMALL.model_copy(update={"prevalence": 0.4})
    folders = {SMALL.folder(context), SMALL.folder(other_seed), other_setting.folder(context)}
    assert len(folders) == 3


def test_an_interrupted_generation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Counter):
        def advance(self, n: int = 1, detail: str = "") -> None:
            raise KeyboardInterrupt

    scratch = tmp_path / "scratch"
    with pytest.raises(KeyboardInterrupt):
        SMALL.generate(ReadContext(tmp_path, scratch, progress=Stop()))
    assert list(scratch.iterdir()) == []


def test_the_faster_of_two_processes_wins(tmp_path: Path) -> None:
    context = ReadContext(tmp_path, tmp_path / "scratch")

    class Race(Counter):
        """Lets another generation finish while this one is at work."""

        def finish(self, summary: str = "") -> None:
            SMALL.generate(context)

    slower = SMALL.generate(ReadContext(tmp_path, tmp_path / "scratch", progress=Race()))
    assert [p.name for p in (tmp_path / "scratch").iterdir()] == [slower.name]


def test_runs_that_share_a_folder_draw_once(tmp_path: Path) -> None:
    def made(run: str) -> tuple[dict[str, bytes], int]:
        counter, shared = Counter(), tmp_path / "shared"
        folder = SMALL.generate(
            ReadContext(tmp_path, tmp_path / run / "scratch", progress=counter, seen=shared)
        )
        files = (path for path in folder.rglob("*") if path.is_file())
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        return found, counter.stages

    first, drawn = made("first")
    assert drawn == 1
    assert made("second") == (first, 0)
    (kept,) = (tmp_path / "shared").iterdir()
    (kept / TRUTH_FILE).unlink()
    assert made("third") == (first, 1), "a damaged copy is not taken"
    assert made("fourth") == (first, 0), "and was replaced"


def test_changed_files_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    context = ReadContext(tmp_path, tmp_path / "scratch")
    folder = SMALL.generate(context)
    (folder / TRUTH_FILE).unlink()
    with pytest.raises(DataError, match="delete this folder"):
        SMALL.read(context)


def test_a_scratch_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the synthetic cohort"):
        SMALL.read(ReadContext(tmp_path, tmp_path / "file"))


@pytest.mark.parametrize(
    "wrong",
    [{"patients": 5}, {"image_pixels": [300, 200]}, {"image_pixels": [10, 20]}, {"pateints": 60}],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        SyntheticSource.model_validate(wrong)


def test_spoiled_images_stay_without_size_for_the_quarantine(
    cohort: Cohort, planted: dict[str, str | list[str]]
) -> None:
    sizes = cohort.images.set_index("image_id")[["width", "height"]]
    unreadable = set(sizes.index[(sizes == 0).all(axis=1)])
    assert unreadable == {planted["truncated"], planted["empty"]}


def test_sizes_are_upright(cohort: Cohort) -> None:
    readable = cohort.images[cohort.images["width"] > 0]
    rotated = readable["width"] < readable["height"]
    assert rotated.sum() == 1, "only the planted rotated copy stands upright"


def test_copies_across_patients_share_a_cluster_and_nothing_else_does(
    cohort: Cohort, planted: dict[str, str | list[str]]
) -> None:
    clusters = cohort.images.groupby("duplicate_cluster")
    across = clusters.filter(lambda rows: rows["patient_id"].nunique() > 1)
    found = {frozenset(rows["image_id"]) for _, rows in across.groupby("duplicate_cluster")}
    assert found == {frozenset(planted["exact_copy"]), frozenset(planted["rotated_copy"])}


@pytest.mark.parametrize(
    ("key", "entity"),
    [
        ("file_without_row", "image"),
        ("row_without_file", "image"),
        ("patient_without_image", "patient"),
        ("patient_without_row", "patient"),
    ],
)
def test_unmatched_ids_are_excluded_with_a_reason(
    cohort: Cohort, planted: dict[str, str | list[str]], key: str, entity: str
) -> None:
    rows = cohort.exclusions[cohort.exclusions["id"] == planted[key]]
    assert entity in set(rows["entity"])
    assert rows["reason"].str.len().gt(0).all()
    assert planted[key] not in {*cohort.images["image_id"], *cohort.patients["patient_id"]}


def test_all_other_patients_are_in_the_cohort(cohort: Cohort, truth: pd.DataFrame) -> None:
    assert cohort.n_patients == SMALL.patients
    assert set(cohort.images["patient_id"]) == set(cohort.patients["patient_id"])
    assert cohort.synthetic
    assert cohort.linkage == "patient"


def test_the_demo_config_is_valid_and_asks_for_the_synthetic_cohort() -> None:
    path = ROOT / "configs" / "demo.yaml"
    config = load_config(RunConfig, path)
    assert [source.kind for source in config.cohort.sources] == ["synthetic"]
    assert config.cohort.require_images
    assert {backbone.weights for backbone in config.extract.backbones} == {"random"}
