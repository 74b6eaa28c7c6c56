"""The table that models are fitted on: one row an image, with its patient's columns beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from extractor.config import BackboneConfig
from featurestore.cohort import Cohort, roles_of_images
from featurestore.errors import DataError, name_some
from featurestore.outcomes import Target
from featurestore.store import EncoderIdentity, FeatureStore, check_fold, check_unseen
from featurestore.tables import DataDictionary
from fusion.arms import Modality
from fusion.features.bags import RowBags, bags_within
from fusion.features.image_files import FileLocator, ImageFiles
from fusion.features.late import LateEmbeddings, MatrixFile, taken
from fusion.features.role_means import bags_of_chosen, mean_of_chosen
from fusion.roles import encoder_of, role_of

LATE_FROM = 1 << 28
"""Bytes of a table in single precision from which on its numbers stay in a file."""


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmented views among the rows of a table.

    Attributes:
        number: View of each row; 0 is the picture as it is. Shape (n,).
        learned: Views up to this one are learned from.
        scored: Views up to this one are scored; a patient's score is their mean.
    """

    number: np.ndarray
    learned: int
    scored: int


@dataclasses.dataclass(frozen=True)
class ViewPlan:
    """Which views are read.

    Attributes:
        identities: What the views of an encoder are stored under, by its name. Other encoders
            have the embedding of the picture itself in the rows of a view.
        learned: Views of pictures to learn from.
        scored: Views of pictures to be scored.
    """

    identities: Mapping[str, EncoderIdentity]
    learned: int = 0
    scored: int = 0


NO_VIEWS = ViewPlan({})


@dataclasses.dataclass(frozen=True)
class FeatureTable:
    """Features of some patients; a patient with several images has several rows.

    Attributes:
        row_ids: Image id of each row; the patient id for a patient without image. Shape (n,).
        patient_ids: Patient of each row. Shape (n,).
        groups: Group that must not be split (a person's observations, and those tied by duplicate
            images). Shape (n,).
        target: Outcome of the row's patient. Length n.
        embeddings: Per backbone a float32 matrix (n, D); rows without image are NaN. Those of a
            large table are read from a file when asked for (`features.late`). An embedding
            by role (`fusion.roles`) is the same in all rows of a patient: the mean over the
            patient's images of that role, NaN without any.
        columns: Raw typed patient columns (n, features); missing is NaN/None. Leaking columns
            are not here.
        dictionary: What the columns are.
        files: Image files of the rows and the networks that embedded them, for models that train
            on pictures; None where there are none.
        views: Which rows are augmented views; None where none are.
        bags: Bags of tiles of the rows, per embedding whose bags are kept; its matrix has their
            means.
        roles: Role of each row's image, empty where nobody says. Shape (n,); None where no
            embedding is by role.
    """

    row_ids: np.ndarray
    patient_ids: np.ndarray
    groups: np.ndarray
    target: Target
    embeddings: Mapping[str, np.ndarray]
    columns: pd.DataFrame
    dictionary: DataDictionary
    files: ImageFiles | None = None
    views: Views | None = None
    bags: Mapping[str, RowBags] = dataclasses.field(default_factory=dict)
    roles: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def y(self) -> np.ndarray:
        """1.0 where the outcome was seen, else 0.0; shape (n,)."""
        return self.target.event

    def take(self, rows: np.ndarray) -> FeatureTable:
        """Returns the rows given by an integer or boolean index, in that order."""
        return FeatureTable(
            row_ids=self.row_ids[rows],
            patient_ids=self.patient_ids[rows],
            groups=self.groups[rows],
            target=self.target.take(rows),
            embeddings=taken(self.embeddings, rows),
            columns=self.columns.iloc[np.arange(len(self))[rows]].reset_index(drop=True),
            dictionary=self.dictionary,
            files=None if self.files is None else self.files.take(rows),
            views=self.views and dataclasses.replace(self.views, number=self.views.number[rows]),
            bags={name: bags.take(rows) for name, bags in self.bags.items()},
            roles=None if self.roles is None else self.roles[rows],
        )

    def seen_by(self, modalities: Iterable[Modality]) -> FeatureTable:
        """The rows that modalities can tell apart.

        Where all the embeddings that they look at are by role, the rows of a patient are alike (but
        for views): the first one stands for them.
        """
        names = [name for modality in modalities for name in modality.embeddings]
        if not names or not all(role_of(name) for name in names):
            return self
        number = np.zeros(len(self), dtype=int) if self.views is None else self.views.number
        keys = pd.DataFrame({"patient": self.patient_ids, "view": number})
        return self.take(~keys.duplicated().to_numpy())

    def learned_rows(self) -> FeatureTable:
        """Rows to learn from: pictures, and their views as far as they are learned from."""
        return self if self.views is None else self.take(self.views.number <= self.views.learned)

    def scored_rows(self) -> FeatureTable:
        """Rows to be scored: pictures, and their views as far as they are scored."""
        return self if self.views is None else self.take(self.views.number <= self.views.scored)

    def pictures(self) -> FeatureTable:
        """Rows that are no views."""
        return self if self.views is None else self.take(self.views.number == 0)

    def of_patients(self, patient_ids: Iterable[str]) -> FeatureTable:
        """Returns all rows of the given patients, in this table's order."""
        # By hashes: NumPy compares every pair of two arrays of objects.
        return self.take(
            pd.Series(self.patient_ids, dtype=object).isin(set(patient_ids)).to_numpy()
        )

    def row_weights(self) -> np.ndarray:
        """Weight 1 / (rows of the patient) for each row, so that every patient counts once."""
        _, inverse, counts = np.unique(self.patient_ids, return_inverse=True, return_counts=True)
        return 1.0 / counts[inverse]


def shared_within(matrix: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Gives rows without an embedding the mean of their patient's other rows.

    Pictures and slides of one patient are different rows; a model that looks at both must find both
    in each of them.

    Args:
        matrix: Embeddings, NaN where a row has none. Shape (n, D).
        patients: Number of each row's patient. Shape (n,).
    """
    lacking = np.isnan(matrix).all(axis=1)
    owners = np.intersect1d(patients[lacking], patients[~lacking])
    if not len(owners):
        return matrix
    filled = matrix.copy()
    for owner in owners:
        own = patients == owner
        filled[own & lacking] = matrix[own & ~lacking].mean(axis=0, dtype=np.float64)
    return filled


class FeatureReader:
    """Joins embeddings and patient columns by id into feature tables.

    The last table is kept, because frozen encoders give the same one for every fold.
    """

    def __init__(
        self,
        cohort: Cohort,
        groups: Mapping[str, str],
        store: FeatureStore,
        locate: FileLocator | None = None,
        by_role: Iterable[str] = (),
        scratch: Path | None = None,
    ) -> None:
        """Stores what to read from.

        Args:
            cohort: Patients and images.
            groups: Group of each patient (`folds.patient_groups`).
            store: Store that holds the embedding of every image of the cohort.
            locate: Finds the image files for models that train on pictures; by default tables
                have none.
            by_role: Embeddings by role that tables have beside those of single images.
            scratch: Folder for the numbers of tables that are too large for memory; without one
                all are in memory.
        """
        self._cohort = cohort
        self._groups = dict(groups)
        self._store = store
        self._locate = locate
        self._by_role = tuple(by_role)
        self._scratch = scratch
        self._last: tuple[tuple[str, ...], FeatureTable] | None = None

    def read(
        self,
        encoders: Mapping[str, EncoderIdentity],
        scored_patients: Iterable[str],
        fold: str = "",
        backbones: Mapping[str, BackboneConfig] | None = None,
        views: ViewPlan = NO_VIEWS,
    ) -> FeatureTable:
        """Returns all patients' features, sorted by patient id, then image id.

        Args:
            encoders: Identity to read for each backbone name.
            scored_patients: Patients that a model fitted on these features will be scored on.
            fold: `repeat/fold` that the features are for.
            backbones: Network behind each name, for models that train on.
            views: Views to read beside the pictures.

        Raises:
            LeakageError: An encoder was trained on a scored patient, or for another fold.
            StoreError: An embedding is missing or damaged.
            DataError: A patient has no group.
        """
        scored = self._with_persons(scored_patients)
        for identity in (*encoders.values(), *views.identities.values()):
            check_unseen(identity, scored)
            check_fold(identity, fold)
        named = [*encoders.items(), *views.identities.items()]
        networks = [f"{name}:{b.model_dump_json()}" for name, b in (backbones or {}).items()]
        rows = f"views {views.learned} {views.scored}"
        key = (*(f"{name}={identity.digest}" for name, identity in named), *networks, rows)
        if self._last is None or self._last[0] != key:
            table, digests = self._join(encoders, backbones or {})
            self._last = key, self._with_views(table, digests, views)
        return self._last[1]

    def _with_persons(self, scored: Iterable[str]) -> list[str]:
        """Those who are scored, and of lesions whose they are: an encoder may have seen others."""
        ids = list(scored)
        if self._cohort.unit == "patient":
            return ids
        persons = self._cohort.patients.set_index("patient_id")["person_id"]
        return sorted({*ids, *persons.reindex(ids).dropna()})

    def _join(
        self, encoders: Mapping[str, EncoderIdentity], backbones: Mapping[str, BackboneConfig]
    ) -> tuple[FeatureTable, np.ndarray]:
        """Pictures and patients without any; and the digest of each row, empty without picture."""
        cohort = self._cohort
        patients = cohort.patients.sort_values("patient_id").reset_index(drop=True)
        images = cohort.images[["patient_id", "image_id", "sha256", "path"]]
        images = images.assign(role=roles_of_images(cohort.images))
        rows = patients[["patient_id"]].merge(images, on="patient_id", how="left")
        rows = rows.sort_values(["patient_id", "image_id"]).reset_index(drop=True)
        ungrouped = sorted(set(rows["patient_id"]) - set(self._groups))
        if ungrouped:
            raise DataError(f"patients without a fold group: {name_some(ungrouped)}")
        has_image = rows["image_id"].notna()
        has_picture = has_image & (rows["path"].fillna("") != "")
        pictured = rows["sha256"].where(has_picture, "")
        of_patient = pd.factorize(rows["patient_id"])[0]
        roles = rows["role"].fillna("").to_numpy(dtype=object)
        embeddings: dict[str, np.ndarray] = {}
        bags: dict[str, RowBags] = {}
        means: dict[str, np.ndarray] = {}
        late = self._late(len(rows), encoders.values())
        matrices: dict[str, MatrixFile] = {}
        present: dict[str, np.ndarray] = {}
        for name, identity in encoders.items():
            keys = pictured
            if identity.is_imported:
                keys = rows["image_id"].map(dict(cohort.features[name])).fillna("")
            there = (keys != "").to_numpy()
            if late:
                matrices[name] = self._file_of(identity, keys.to_numpy(dtype=object), there)
                present[name] = there
                continue
            matrix = np.full((len(rows), identity.dimension), np.nan, dtype=np.float32)
            matrix[there] = self._store.read(identity, keys[there].tolist())
            embeddings[name] = matrix
            files = self._store.bags(identity)
            if files is not None:
                bags[name] = RowBags.of(files, bags_within(keys.tolist(), of_patient))
            for part in self._parts(name):
                chosen = there & (roles == role_of(part))
                means[part] = mean_of_chosen(matrix, chosen, of_patient)
                if files is not None:
                    own = bags_of_chosen(keys.tolist(), chosen, of_patient)
                    bags[part] = RowBags.of(files, own)
        if cohort.features:
            embeddings = {n: shared_within(m, of_patient) for n, m in embeddings.items()}
        usable = DataDictionary(cohort.dictionary.features())
        in_files = LateEmbeddings(matrices, np.arange(len(rows)), present)
        by_patient = patients.set_index("patient_id").loc[rows["patient_id"]]
        table = FeatureTable(
            row_ids=rows["image_id"].where(has_image, rows["patient_id"]).to_numpy(dtype=object),
            patient_ids=rows["patient_id"].to_numpy(dtype=object),
            groups=rows["patient_id"].map(self._groups).to_numpy(dtype=object),
            target=cohort.target(rows["patient_id"].to_numpy()),
            embeddings=in_files if late else embeddings | means,
            columns=by_patient[usable.names].reset_index(drop=True),
            dictionary=usable,
            files=None if self._locate is None else self._locate(rows, backbones),
            bags=bags,
            roles=roles if self._by_role else None,
        )
        return table, pictured.to_numpy(dtype=object)

    def _late(self, rows: int, encoders: Iterable[EncoderIdentity]) -> bool:
        """Whether the numbers of a table stay in files; means over rows are made in memory."""
        size = 4 * rows * sum(one.dimension for one in encoders)
        plain = not self._by_role and not self._cohort.features
        return plain and self._scratch is not None and size > LATE_FROM

    def _file_of(
        self, identity: EncoderIdentity, keys: np.ndarray, there: np.ndarray
    ) -> MatrixFile:
        """Embeddings of the rows that have one, in the type in which they are stored."""
        assert self._scratch is not None
        shape = len(keys), identity.dimension
        made = MatrixFile(self._scratch, shape, self._store.storage_type(identity))
        matrix = made.writable()
        matrix[~there] = np.nan
        rows = np.flatnonzero(there)
        self._store.read(identity, keys[there].tolist(), into=(matrix, rows))
        return made

    def _parts(self, encoder: str) -> list[str]:
        """Embeddings by role that an encoder makes."""
        return [name for name in self._by_role if encoder_of(name) == encoder]

    def _with_views(
        self, table: FeatureTable, digests: np.ndarray, views: ViewPlan
    ) -> FeatureTable:
        count = max(views.learned, views.scored)
        if not views.identities or not count:
            return table
        pictured = np.flatnonzero(digests != "")
        everything = table.take(np.concatenate([np.arange(len(table)), *[pictured] * count]))
        number = np.repeat(np.arange(count + 1), [len(table), *[len(pictured)] * count])
        names = [
            f"{row}#{k}" if k else row for row, k in zip(everything.row_ids, number, strict=True)
        ]
        embeddings = dict(everything.embeddings)
        of_view = pd.factorize(pd.MultiIndex.from_arrays([everything.patient_ids, number]))[0]
        for name, identity in views.identities.items():
            matrix = embeddings[name].copy()
            for k in range(1, count + 1):
                matrix[number == k] = self._store.read(identity, list(digests[pictured]), view=k)
            embeddings[name] = matrix
            for part in self._parts(name):
                chosen = (everything.roles == role_of(part)) & ~np.isnan(matrix).all(axis=1)
                embeddings[part] = mean_of_chosen(matrix, chosen, of_view)
        return dataclasses.replace(
            everything,
            row_ids=np.array(names, dtype=object),
            embeddings=embeddings,
            views=Views(number, views.learned, views.scored),
        )
