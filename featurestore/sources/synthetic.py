"""The synthetic cohort: made by a program, written like real downloads, read like them.

The outcome follows a planted model (`featurestore.sources.synthetic_model`), so the best AUROC that
any predictor can reach is known and stands in the facts of the cohort as `oracle_auroc`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pydantic

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.outcomes import find_outcome
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.isic import IsicSource
from featurestore.sources.synthetic_files import (
    ATTRIBUTION,
    CLINICAL_FILE,
    EXPRESSION_FILE,
    EXTRA_PATIENTS,
    IMAGE_FOLDER,
    LICENCE,
    METADATA_FILE,
    PLANTED_FILE,
    TRUTH_FILE,
    is_complete,
    plan_photographs,
    write_cohort,
)
from featurestore.sources.synthetic_late import (
    DEATH_COLUMN,
    LATE_COLUMNS,
    draw_late_specimens,
    late_columns,
    late_facts,
    late_note,
)
from featurestore.sources.synthetic_model import (
    FACTORS,
    STAGES,
    Effects,
    draw_patients,
    oracle_facts,
)
from featurestore.sources.synthetic_times import (
    EVENT_COLUMN,
    TIME_COLUMN,
    draw_times,
    oracle_times,
)
from featurestore.sources.synthetic_times import note as time_note
from featurestore.sources.table import ColumnMapping, TableSource
from featurestore.tables import DataDictionary

HORIZONS = find_outcome("synthetic_metastasis_free_survival").horizons

# To be raised when the same settings and seed give other files, so that old ones are not reused.
GENERATOR_VERSION = 1


_IMAGES = IsicSource(
    metadata=(Path(METADATA_FILE),),
    images=(Path(IMAGE_FOLDER),),
    columns=(),  # age, sex and site come from the clinical table, which knows them better
    licence=LICENCE,
    attribution=ATTRIBUTION,
)
# When each column becomes known decides which outcomes may be predicted from it.
_DIAGNOSIS = {
    "age": ColumnMapping(
        source="Diagnosis Age", group="demographic", label="Age at diagnosis", unit="years"
    ),
    "sex": ColumnMapping(
        source="Sex", kind="nominal", group="demographic", levels=("Female", "Male")
    ),
    "body_site": ColumnMapping(
        source="Tumor Site", kind="nominal", group="demographic", label="Site of the primary"
    ),
    "breslow": ColumnMapping(
        source="breslow depth", group="histopathology", label="Breslow thickness", unit="mm"
    ),
    "ulceration": ColumnMapping(
        source="Primary melanoma tumor ulceration",
        kind="binary",
        group="histopathology",
        label="Ulceration",
    ),
    "mitoses": ColumnMapping(
        source="Primary melanoma mitotic rate",
        group="histopathology",
        label="Mitotic rate",
        unit="1/mm²",
    ),
    "stage": ColumnMapping(
        source="Neoplasm Disease Stage American Joint Committee on Cancer Code",
        kind="ordinal",
        group="staging",
        label="AJCC stage",
        levels=STAGES,
    ),
}
_SPECIMEN = {
    "braf": ColumnMapping(
        source="BRAF Mutation", kind="binary", group="mutation", label="BRAF mutated"
    ),
    "nras": ColumnMapping(
        source="NRAS Mutation", kind="binary", group="mutation", label="NRAS mutated"
    ),
    "tmb": ColumnMapping(
        source="TMB (nonsynonymous)",
        group="mutation",
        label="Tumour mutational burden",
        unit="mutations/Mb",
    ),
}
_CLINICAL = TableSource(
    path=Path(CLINICAL_FILE),
    id="Patient ID",
    site="Tissue Source Site",
    columns={
        name: mapping.model_copy(update={"measured": measured})
        for measured, mappings in (("diagnosis", _DIAGNOSIS), ("specimen", _SPECIMEN))
        for name, mapping in mappings.items()
    },
    labels={"metastasis": "Metastasis"},
)
_EXPRESSION = TableSource(
    path=Path(EXPRESSION_FILE),
    layout="genes_by_samples",
    feature_column="Hugo_Symbol",
    drop=("Entrez_Gene_Id",),
    patient_id_length=len("IP_0000000"),
    transform="log2p1",
)


class SyntheticSource(Section):
    """A cohort that melafuse makes itself, with an outcome whose predictability is known.

    Attributes:
        kind: Always `synthetic`.
        patients: Patients with images and clinical data (planted troubles bring two more).
        genes: Genes of the expression profile.
        image_pixels: Least and greatest long side of an image; the format is 4:3.
        prevalence: Expected share of patients with metastasis.
        effects: Effects of the image, clinical and expression factor on the logit.
        missingness: Whether values are missing as often as in TCGA-SKCM.
        troubles: Whether to plant spoiled files, copies across patients and unmatched rows.
        late_specimens: Share of patients whose specimen (and picture) was taken some time after
            diagnosis, for the outcome `synthetic_survival`; nobody died before it.
    """

    kind: Literal["synthetic"] = "synthetic"
    patients: int = pydantic.Field(600, ge=40, le=20_000)
    genes: int = pydantic.Field(200, ge=24, le=20_000)
    image_pixels: tuple[int, int] = (300, 600)
    prevalence: float = pydantic.Field(0.30, ge=0.05, le=0.95)
    effects: Effects = Effects()
    missingness: bool = True
    troubles: bool = True
    late_specimens: float = pydantic.Field(0.0, ge=0, le=0.95)

    @pydantic.field_validator("image_pixels")
    @classmethod
    def _pixels_ascend(cls, pixels: tuple[int, int]) -> tuple[int, int]:
        if not 64 <= pixels[0] <= pixels[1] <= 4000:
            raise ValueError("the least and the greatest long side, between 64 and 4000")
        return pixels

    def folder(self, context: ReadContext) -> Path:
        """Folder of the generated files: one for each combination of settings and seed."""
        settings = self.model_dump(mode="json", exclude={"late_specimens"})  # no file has them
        record = [GENERATOR_VERSION, settings, context.seed]
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
        return context.scratch / f"synthetic-{digest[:16]}"

    def generate(self, context: ReadContext) -> Path:
        """Writes the files, unless they are there already, and returns their folder.

        The folder appears complete or not at all: it is written under another name and renamed.
        Where `context.seen` has the same files they are copied from there, else they are left
        there for other runs.

        Raises:
            DataError: The folder cannot be written, or its files were changed since.
        """
        folder = self.folder(context)
        if folder.exists():
            if not is_complete(folder):
                raise DataError(
                    f"files of the synthetic cohort in {folder} were changed or removed; "
                    f"delete this folder and it will be made again"
                )
            return folder
        try:
            context.scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="partial-", dir=context.scratch) as name:
                fresh = Path(name) / folder.name
                known = None if context.seen is None else context.seen / folder.name
                if known is not None and is_complete(known):
                    shutil.copytree(known, fresh)
                else:
                    fresh.mkdir()
                    self._write(fresh, context)
                    if known is not None:
                        _leave_copy(fresh, known)
                _put_in_place(fresh, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the synthetic cohort to {context.scratch}: {error.strerror}"
            ) from None
        return folder

    def read(self, context: ReadContext) -> SourceTables:
        """Generates the files where needed and reads them through the ordinary readers.

        Raises:
            DataError: The files cannot be written or were changed.
        """
        folder = self.generate(context)
        inside = dataclasses.replace(context, data_root=folder)
        images = _IMAGES.read(inside)
        clinical = _CLINICAL.read(inside)
        expression = _EXPRESSION.read(inside)
        truth = _studied(folder)
        facts = oracle_facts(truth)
        said = _note(facts)
        times = draw_times(truth, context.seed)
        if EVENT_COLUMN in context.named:  # the outcome is a time
            facts = oracle_times(times, HORIZONS)
            said = time_note(facts, HORIZONS)
        patients = clinical.patients
        for name in (EVENT_COLUMN, TIME_COLUMN):
            patients = patients.assign(**{name: patients["patient_id"].map(times[name])})
        dictionary = clinical.dictionary
        if self.late_specimens:
            late = draw_late_specimens(truth, self.late_specimens, context.seed)
            patients = patients.assign(
                **{name: patients["patient_id"].map(late[name]) for name in LATE_COLUMNS}
            )
            dictionary = dictionary.merged(DataDictionary(late_columns()))
            genes = [dataclasses.replace(c, measured="specimen") for c in expression.dictionary]
            expression = dataclasses.replace(expression, dictionary=DataDictionary(genes))
            if DEATH_COLUMN in context.named:
                facts, said = late_facts(self.effects), late_note(self.effects)
        return SourceTables(
            images=images.images.assign(source=self.kind),
            patients=patients.merge(
                expression.patients, on="patient_id", how="left", validate="one_to_one"
            ),
            dictionary=dictionary.merged(expression.dictionary),
            exclusions=pd.concat(
                [images.exclusions, clinical.exclusions, expression.exclusions], ignore_index=True
            ),
            notes=(said,),
            facts=facts,
            synthetic=True,
        )

    def _write(self, folder: Path, context: ReadContext) -> None:
        model_seed, shot_seed, file_seed = np.random.SeedSequence(context.seed).spawn(3)
        people = draw_patients(
            self.patients + (EXTRA_PATIENTS if self.troubles else 0),
            self.genes,
            self.prevalence,
            self.effects,
            self.missingness,
            model_seed,
        )
        rng = np.random.default_rng(shot_seed)
        shots = plan_photographs(people.signs.index, self.image_pixels, rng)
        write_cohort(people, shots, self.troubles, folder, file_seed, context.progress)


def _leave_copy(fresh: Path, known: Path) -> None:
    """Copies for other runs; a damaged copy is replaced."""
    shutil.rmtree(known, ignore_errors=True)
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=known.parent) as name:
        copy = Path(name) / known.name
        shutil.copytree(fresh, copy)
        _put_in_place(copy, known)


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Renames; where another process was faster, its equal folder stays."""
    try:
        fresh.rename(folder)
    except OSError:
        if not is_complete(folder):
            raise
        shutil.rmtree(fresh)


def _studied(folder: Path) -> pd.DataFrame:
    """Truth of the patients who have both images and clinical data."""
    truth = pd.read_csv(folder / TRUTH_FILE, index_col="patient_id")
    planted = json.loads((folder / PLANTED_FILE).read_text(encoding="utf-8"))
    unmatched = {"patient_without_image", "patient_without_row"} & planted.keys()
    return truth.drop(index=[planted[key] for key in unmatched])


def _note(facts: dict[str, float]) -> str:
    alone = ", ".join(
        f"{facts[f'oracle_auroc_{factor}']:.3f} for the {factor} factor" for factor in FACTORS
    )
    return (
        "SYNTHETIC cohort: patients, images and outcome were made by a program. The outcome was "
        f"drawn from a planted logistic model; its true probability reaches an AUROC of "
        f"{facts['oracle_auroc']:.3f} (oracle: no predictor can be expected to do better), and "
        f"each true factor alone {alone}."
    )
