"""Fits that runs share: taken where all that they depend on is the same, and nowhere else."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from locations import ROOT

from featurestore.cohort import Cohort, FoldKey, Folds
from featurestore.sealed import seal_of
from fusion import provenance
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.evaluation import evaluate
from fusion.evaluation.parts import Part, PartStore
from fusion.evaluation.tasks import Plan, plan_tasks
from fusion.features import FeatureTable

CONFIG = AblationConfig.model_validate(
    {"tuning": {"trials": 2, "inner_folds": 2}, "jobs": 1, "explain": False}
)


@dataclasses.dataclass
class Project:
    """Runs that share a folder."""

    root: Path
    cohort: Cohort
    folds: Folds
    table: FeatureTable
    arms: tuple[Arm, ...]

    def plan(self, name: str, **changes: Any) -> Plan:
        plan = Plan(CONFIG, 0, name, self.root / name, "d", shared=self.root / "shared")
        return dataclasses.replace(plan, **changes)

    def run(self, plan: Plan) -> pd.DataFrame:
        return evaluate(self.cohort, self.folds, lambda *_: self.table, self.arms, plan)

    def digests(self, plan: Plan) -> dict[str, set[str]]:
        """Digests by arm."""
        found: dict[str, set[str]] = {}
        for task in plan_tasks(self.folds, self.arms, plan):
            found.setdefault(task.arm.name, set()).add(task.digest)
        return found

    @property
    def parts(self) -> list[Path]:
        return sorted((self.root / "shared" / "parts").glob("*.parquet"))


@pytest.fixture
def project(
    tmp_path: Path,
    cohort: Cohort,
    folds: Folds,
    table: FeatureTable,
    modalities: tuple[Modality, ...],
) -> Project:
    arms = tuple(
        Arm(f"logistic_regression[{m.name}]", "logistic_regression", (m,)) for m in modalities[:2]
    )
    return Project(tmp_path, cohort, folds, table, arms)


def test_a_second_run_takes_the_fits_under_its_own_name(project: Project) -> None:
    first = project.run(project.plan("first"))
    before = {path.name: path.read_bytes() for path in project.parts}
    refused = dataclasses.replace(project, table=None)
    second = refused.run(project.plan("second"))
    assert set(second["run"]) == {"second"}
    pd.testing.assert_frame_equal(second.assign(run="first"), first, check_exact=True)
    assert {path.name: path.read_bytes() for path in project.parts} == before
    for name in ("choices.json", "history.parquet"):
        assert (project.root / "first" / name).read_bytes() == (
            project.root / "second" / name
        ).read_bytes()
    alone = dataclasses.replace(project, root=project.root / "alone")
    pd.testing.assert_frame_equal(alone.run(alone.plan("second")), second, check_exact=True)


def test_only_arms_that_look_at_an_embedding_depend_on_it(project: Project) -> None:
    (seen,) = {name for m in project.arms[0].modalities for name in m.embeddings}
    keys = project.folds.keys

    def embedded(**digests: str) -> Mapping[FoldKey, Mapping[str, str]]:
        return dict.fromkeys(keys, digests)

    before = project.digests(project.plan("x", embedded=embedded(**{seen: "1"})))
    other = project.digests(project.plan("x", embedded=embedded(**{seen: "1", "more": "1"})))
    assert other == before
    changed = project.digests(project.plan("x", embedded=embedded(**{seen: "2"})))
    first, second = (arm.name for arm in project.arms)
    assert not changed[first] & before[first]
    assert changed[second] == before[second]
    one_fold = {**embedded(**{seen: "1"}), keys[0]: {seen: "2"}}
    assert len(project.digests(project.plan("x", embedded=one_fold))[first] & before[first]) == (
        len(keys) - 1
    )


def test_software_and_machine_are_in_the_name_of_a_fit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.digests(project.plan("x"))
    known = provenance.fitting_software()
    for name in ("numpy", "scikit-survival", "machine", "code"):
        changed = {**known, name: "another"}
        with monkeypatch.context() as patch:
            patch.setattr("fusion.evaluation.tasks.fitting_software", lambda c=changed: c)
            now = project.digests(project.plan("x"))
        assert all(not now[arm] & before[arm] for arm in before)


def test_our_own_code_is_what_a_fit_runs_through() -> None:
    """Whatever of ours is loaded by a fit is among the files whose text names it."""
    code = "import fusion.evaluation.fitting, fusion.models.lightgbm, fusion.models.joint"
    shown = "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in rooms))"
    rooms = "rooms = {'fusion', 'featurestore', 'extractor'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{rooms}\n{shown}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {Path(name).resolve() for name in done.stdout.split()}
    assert len(loaded) > 50
    assert loaded <= set(provenance._sources())


def test_a_part_under_another_name_or_without_its_seal_is_none(project: Project) -> None:
    expected = project.run(project.plan("first"))
    one, other = project.parts[:2]
    shutil.copyfile(one, other)
    text = seal_of(one).read_text().replace(one.name, other.name)
    seal_of(other).write_text(text)
    store = PartStore(one.parent)
    assert store.read(one.stem) is not None
    assert store.read(other.stem) is None
    seal_of(one).unlink()
    assert store.read(one.stem) is None
    again = project.run(project.plan("second"))
    pd.testing.assert_frame_equal(again.assign(run="first"), expected, check_exact=True)


def test_a_part_of_before_is_none(tmp_path: Path, project: Project) -> None:
    rows = project.run(project.plan("first"))
    part = Part(rows, "binary", {"arm": "x"}, [])
    store = PartStore(tmp_path / "old")
    store.write("a", part)
    assert store.read("a") is not None
    stored = json.dumps({"kind": "binary", "record": {}, "history": []}).encode()
    import pyarrow as pa
    import pyarrow.parquet as pq

    from featurestore.sealed import sealing

    table = pa.Table.from_pandas(rows, preserve_index=False)
    with sealing(tmp_path / "old" / "b.parquet") as temporary:
        pq.write_table(table.replace_schema_metadata({b"melafuse_part": stored}), temporary)
    assert store.read("b") is None


def test_a_study_has_one_worker_whatever_its_number_of_trials(project: Project) -> None:
    arms = (Arm("lightgbm[x]", "lightgbm", project.arms[1].modalities),)
    few, many = (
        plan_tasks(
            project.folds,
            arms,
            project.plan(
                name,
                config=CONFIG.model_copy(
                    update={"tuning": CONFIG.tuning.model_copy(update={"trials": trials})}
                ),
            ),
        )[0]
        for name, trials in (("a", 2), ("b", 9))
    )
    assert few.digest != many.digest
    assert few.lock == many.lock
    assert few.study == many.study
