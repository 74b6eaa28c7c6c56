"""Making outer folds for many patients."""

from __future__ import annotations

from benchmarks.speed import made
from benchmarks.speed.figures import Figure, details, paired
from featurestore.cohort import make_folds

PATIENTS, SECONDS = 100_000, 3.0


def measure(quick: bool) -> list[Figure]:
    """Row 12, beside the splitter of scikit-learn that gives the same folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    patients = 5_000 if quick else PATIENTS
    people = made.cohort(patients).patients
    groups = {p: p for p in people["patient_id"]}
    small = people.head(2_000)
    y, ids = small["outcome"].to_numpy(), small["patient_id"].to_numpy()

    def baseline() -> None:
        list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(y, y, ids))

    base, few = paired(baseline, lambda: make_folds(small, groups, 5, 1, 0), 1)
    _, own = paired(lambda: None, lambda: make_folds(people, groups, 5, 1, 0), 1)
    found = details(base, few) | {"full_cpu_s": own.cpu}
    met = None if quick else own.wall <= SECONDS
    what = f"five folds of {patients:,} patients"
    baseline_text = "scikit-learn's splitter on 2,000"
    return [Figure(12, what, f"{SECONDS:.0f} s", own.wall, "s", met, baseline_text, found)]
