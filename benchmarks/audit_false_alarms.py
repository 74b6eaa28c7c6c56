"""How often does a check of the audit fire on a clean cohort?

    python benchmarks/audit_false_alarms.py --seeds 20

Each seed is a whole study of a synthetic cohort without planted troubles (`images`: images,
embeddings, folds, fits and predictions; `table`: its patient columns alone, as a table of which
nothing is known; `strong`: images and columns that nearly determine the outcome). Nothing leaks in
it, so every hit of severity "warning" or graver is a false alarm. Notes are counted apart: that a
cohort is small is true.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from featurestore.sources.synthetic_model import STAGES, Effects, draw_patients
from fusion.audit import CHECKS, AuditReport
from fusion.config import RunConfig
from fusion.study import Study

COHORTS = ("images", "table", "strong")
STRONG = 8.0
"""Effect of every factor in `strong`: the oracle reaches 0.98."""

COLUMNS = {
    "age": "demographic",
    "sex": "demographic",
    "body_site": "demographic",
    "breslow": "histopathology",
    "ulceration": "histopathology",
    "mitoses": "histopathology",
    "stage": "staging",
    "braf": "mutation",
    "nras": "mutation",
    "tmb": "mutation",
}
KINDS = {
    "sex": {"kind": "nominal"},
    "body_site": {"kind": "nominal"},
    "ulceration": {"kind": "binary"},
    "braf": {"kind": "binary"},
    "nras": {"kind": "binary"},
    "stage": {"kind": "ordinal", "levels": list(STAGES)},
}


def synthetic(patients: int, effects: dict[str, float]) -> dict[str, Any]:
    """Section `cohort` and encoders of a cohort with images."""
    source = {
        "kind": "synthetic",
        "patients": patients,
        "genes": 24,
        "image_pixels": [96, 160],
        "troubles": False,
        "effects": effects,
    }
    return {
        "cohort": {
            "outcome": "synthetic_metastasis",
            "require_images": True,
            "sources": [source],
        },
        "extract": {"backbones": [{"name": "resnet18", "weights": "random", "image_size": 64}]},
    }


def table(seed: int, patients: int, folder: Path) -> dict[str, Any]:
    """Writes the patients of a seed as a table, and returns section `cohort` of it."""
    people = draw_patients(patients, 24, 0.3, Effects(), True, np.random.SeedSequence(seed))
    rows = people.clinical.mask(people.missing.reindex(columns=people.clinical.columns) == True)  # noqa: E712
    rows = rows.assign(metastasis=people.truth["metastasis"])
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / f"table_{seed}.csv")
    columns = {
        name: {"source": name, "group": group, **KINDS.get(name, {})}
        for name, group in COLUMNS.items()
    }
    source = {
        "kind": "table",
        "path": f"table_{seed}.csv",
        "id": "patient_id",
        "site": "site",
        "columns": columns,
        "labels": {"metastasis": "metastasis"},
    }
    outcome = {"name": "metastasis", "column": "metastasis", "as_of_time": "diagnosis"}
    return {"cohort": {"outcome": outcome, "linkage": "none", "sources": [source]}}


def audit_of(cohort: str, seed: int, patients: int, folder: Path, ablate: bool) -> AuditReport:
    """Runs a study of one seed and audits it."""
    if cohort == "table":
        sections = table(seed, patients, folder)
    else:
        strength = dict.fromkeys(("image", "clinical", "expression"), STRONG)
        sections = synthetic(patients, strength if cohort == "strong" else {})
    config = RunConfig.model_validate(
        {
            "name": f"clean_{seed}",
            "seed": seed,
            "folds": {"n_folds": 5},
            "ablation": {
                "models": ["logistic_regression", "lightgbm"],
                "arms": [],
                "jobs": 1,
                "tuning": {"trials": 3, "inner_folds": 2},
            },
            **sections,
        }
    )
    study = Study(config, folder / f"{cohort}_{seed}", folder)
    return study.audit(study.ablate()) if ablate else study.audit()


def count(cohort: str, seeds: int, patients: int, ablate: bool) -> None:
    """Prints one line a check and the rate over all."""
    alarms: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    applied: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            report = audit_of(cohort, seed, patients, Path(folder), ablate)
            for result in report.results:
                applied[result.check.name] += result.status != "not_applicable"
                fired = result.status == "fired"
                alarms[result.check.name] += fired and result.severity != "note"
                notes[result.check.name] += fired and result.severity == "note"
            click.echo(f"{cohort} {seed}: {[r.check.name for r in report.fired]}")
            for result in report.fired:
                if result.severity != "note":
                    click.echo("".join(f"    {hit.text}\n" for hit in result.hits))
    click.echo(f"\n{seeds} clean cohorts of {patients} patients: {cohort}")
    click.echo(f"{'check':<28}{'applied':>8}{'alarms':>8}{'notes':>8}")
    for check in CHECKS:
        name = check.name
        click.echo(f"{name:<28}{applied[name]:>8}{alarms[name]:>8}{notes[name]:>8}")
    total, looked = sum(alarms.values()), sum(applied.values())
    click.echo(f"false alarms: {total} of {looked} looks ({total / looked:.2%})\n")


def main() -> None:
    """Counts alarms of the chosen kinds of cohort."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--cohorts", nargs="+", choices=COHORTS, default=COHORTS)
    parser.add_argument(
        "--before", action="store_true", help="audit cohort and folds alone, without a fit"
    )
    arguments = parser.parse_args()
    for cohort in arguments.cohorts:
        count(cohort, arguments.seeds, arguments.patients, not arguments.before)


if __name__ == "__main__":
    main()
