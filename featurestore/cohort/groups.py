"""Who must stay together: of one person, image or clinical row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def patient_groups(patients: pd.DataFrame, images: pd.DataFrame) -> dict[str, str]:
    """Finds the patients that must stay together: of one person, image or clinical row.

    Args:
        patients: Patients table with `patient_id` and `person_id`, and `donor_id` where rows were
            lent.
        images: Images table with `patient_id` and `duplicate_cluster`.

    Returns:
        The group of each patient: the smallest patient id of its connected component in the graph
        of patients, persons, duplicate clusters and donors.
    """
    ids = sorted(patients["patient_id"])
    position = {patient: k for k, patient in enumerate(ids)}
    persons = patients[["patient_id", "person_id"]].set_axis(["patient_id", "tie"], axis=1)
    ties = [
        images[["patient_id", "duplicate_cluster"]].set_axis(["patient_id", "tie"], axis=1),
        persons.assign(tie="person " + persons["tie"].astype("str")),
    ]
    if "donor_id" in patients.columns:
        lent = patients[["patient_id", "donor_id"]].set_axis(["patient_id", "tie"], axis=1)
        ties.append(lent.assign(tie="donor " + lent["tie"]))
    edges = pd.concat(ties, ignore_index=True)
    shared, _ = pd.factorize(edges["tie"])
    rows = edges["patient_id"].map(position).to_numpy()
    n_nodes = len(ids) + (int(shared.max()) + 1 if len(shared) else 0)
    graph = coo_array((np.ones(len(rows)), (rows, len(ids) + shared)), shape=(n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for k, patient in enumerate(ids):
        smallest.setdefault(int(component[k]), patient)
    return {patient: smallest[int(component[k])] for k, patient in enumerate(ids)}


def groups_of(patients: Iterable[str], groups: Mapping[str, str]) -> np.ndarray:
    """The group of each patient, in their order; shape (patients,), of texts."""
    return np.array([groups[patient] for patient in patients], dtype=object)
