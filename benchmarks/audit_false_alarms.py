"""How often does a check of the audit fire on a clean cohort?

    python benchmarks/audit_false_alarms.py --seeds 20

Each seed is a whole study of a synthetic cohort without planted troubles: images, embeddings,
folds, fits and predictions. Nothing leaks in it, so every hit of severity "warning" or graver is
a false alarm. Notes are counted apart: that a cohort is small is true.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import click

from fusion.audit import CHECKS, AuditReport
from fusion.config import RunConfig
from fusion.study.study import Study


def audit_of(seed: int, patients: int, folder: Path) -> AuditReport:
    """Runs a study of one seed and audits it."""
    config = RunConfig.model_validate(
        {
            "name": f"clean_{seed}",
            "seed": seed,
            "cohort": {
                "outcome": "synthetic_metastasis",
                "require_images": True,
                "sources": [
                    {
                        "kind": "synthetic",
                        "patients": patients,
                        "genes": 24,
                        "image_pixels": [96, 160],
                        "troubles": False,
                    }
                ],
            },
            "folds": {"n_folds": 5},
            "extract": {"backbones": [{"name": "resnet18", "weights": "random", "image_size": 64}]},
            "ablation": {
                "models": ["logistic_regression", "lightgbm"],
                "arms": [],
                "tuning": {"trials": 3, "inner_folds": 2},
            },
        }
    )
    study = Study(config, folder / str(seed), folder)
    return study.audit(study.ablate())


def main() -> None:
    """Prints one line a check and the rate over all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--patients", type=int, default=400)
    arguments = parser.parse_args()
    alarms: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    applied: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            report = audit_of(seed, arguments.patients, Path(folder))
            for result in report.results:
                applied[result.check.name] += result.status != "not_applicable"
                fired = result.status == "fired"
                alarms[result.check.name] += fired and result.severity != "note"
                notes[result.check.name] += fired and result.severity == "note"
            click.echo(f"seed {seed}: {[r.check.name for r in report.fired]}")
    click.echo(f"\n{arguments.seeds} clean synthetic cohorts of {arguments.patients} patients")
    click.echo(f"{'check':<28}{'applied':>8}{'alarms':>8}{'notes':>8}")
    for check in CHECKS:
        name = check.name
        click.echo(f"{name:<28}{applied[name]:>8}{alarms[name]:>8}{notes[name]:>8}")
    total, looked = sum(alarms.values()), sum(applied.values())
    click.echo(f"false alarms: {total} of {looked} looks ({total / looked:.2%})")


if __name__ == "__main__":
    main()
