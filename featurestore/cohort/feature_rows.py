"""Features from elsewhere in a cohort: which image, or which patient's slide, each of them is.

They are joined by id only. An id that is an image of the cohort is that image; any other is a slide
of the patient that the features' own table names, or whose TCGA barcode the id begins with. Such a
slide becomes a row of the images table without a picture: its path is empty, its size is 0, and its
content digest is the digest of its features' bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError, name_some
from featurestore.sources import SourceTables
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS
from featurestore.sources.joining import id_key
from featurestore.tables import DataDictionary, exclusions_table

# Of a slide as of a specimen the first twelve characters are the patient.
_BARCODE = re.compile(r"TCGA[-.][A-Z0-9]{2}[-.][A-Z0-9]{4}(?![A-Z0-9])", re.IGNORECASE)
STAGE = "import"
CONTENT = "content_sha256"
"""Column of a source's images table with the digest of rows that have no file."""


@dataclasses.dataclass(frozen=True)
class FeatureRows:
    """What was imported under one name.

    Attributes:
        name: Name of the embedding.
        keys: Digest of each embedding's bytes, by the id that the files give it.
        patients: Patient of an id, where the files or a table beside them say it.
        refused: Why an id was left out.
        licence: Licence of the features.
        attribution: Whom to name.
        notes: Sentences that every report prints.
        measured: When what they show was taken.
    """

    name: str
    keys: Mapping[str, str]
    patients: Mapping[str, str]
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    licence: str = ""
    attribution: str = ""
    notes: tuple[str, ...] = ()
    measured: str = "unknown"


@dataclasses.dataclass(frozen=True)
class Placed:
    """Features in a cohort.

    Attributes:
        keys: For each embedding the digest of its row, by image id.
        slides: Images without pictures, as a source yields them; None where there are none.
    """

    keys: Mapping[str, Mapping[str, str]]
    slides: SourceTables | None


def place_features(tables: Sequence[SourceTables], features: Sequence[FeatureRows]) -> Placed:
    """Finds the image or the patient of every imported id.

    Args:
        tables: What the sources yielded.
        features: What was imported.

    Raises:
        DataError: Nothing of an import belongs to anyone of the cohort, or two imports name
            different patients for one slide.
    """
    pictures = {id_key(i): i for table in tables for i in table.images["image_id"]}
    patients = _patients(tables)
    keys: dict[str, dict[str, str]] = {}
    owners: dict[str, str] = {}
    excluded: list[tuple[str, str, str, str]] = []
    for one in features:
        placed, lost = {}, []
        excluded += [("image", i, STAGE, f"{one.name}: {why}") for i, why in one.refused.items()]
        for name, key in one.keys.items():
            image = pictures.get(id_key(name))
            owner = "" if image else _owner(name, one.patients.get(name, ""), patients)
            if not image and not owner:
                lost.append(name)
                continue
            if owner and owners.setdefault(name, owner) != owner:
                raise DataError(
                    f"embeddings {one.name}: slide {name} is of patient {owner}, and of "
                    f"{owners[name]} in another import"
                )
            placed[image or name] = key
        if not placed:
            raise DataError(_belongs_to_nobody(one, lost, patients))
        excluded += [("image", i, STAGE, f"{one.name}: no patient is known of it") for i in lost]
        keys[one.name] = placed
    return Placed(keys, _slides(features, keys, owners, excluded))


def _owner(name: str, stated: str, patients: Mapping[str, str]) -> str:
    """The patient of a slide, spelled as in the cohort; one that no table has stays as stated."""
    text = stated or name
    barcode = _BARCODE.match(text)
    person = barcode[0].upper().replace(".", "-") if barcode else text
    return patients.get(id_key(text), patients.get(id_key(person), stated))


def _patients(tables: Sequence[SourceTables]) -> dict[str, str]:
    ids = [
        str(i)
        for table in tables
        for i in (
            *table.patients["patient_id"],
            *table.images["patient_id"],
            *(table.patients["person_id"] if table.of_lesions else ()),
        )
    ]
    return {id_key(i): i for i in reversed(ids)}


def _belongs_to_nobody(one: FeatureRows, lost: Sequence[str], patients: Mapping[str, str]) -> str:
    known = name_some(sorted(patients.values()), 3)
    return (
        f"embeddings {one.name}: no id of {len(lost):,} ({name_some(sorted(lost), 3)}) is an "
        f"image or a patient of the cohort ({known}); name the column of patients as `patient`, or "
        "a table of ids and patients as `patient_from`"
    )


def _slides(
    features: Sequence[FeatureRows],
    keys: Mapping[str, Mapping[str, str]],
    owners: Mapping[str, str],
    excluded: Sequence[tuple[str, str, str, str]],
) -> SourceTables | None:
    """One row a slide; several imports of a slide share it."""
    rows = []
    for name in sorted(owners):
        having = [one for one in features if name in keys[one.name]]
        own = [keys[one.name][name] for one in having]
        digest = own[0] if len(own) == 1 else hashlib.sha256("".join(own).encode()).hexdigest()
        rows.append(
            {
                "image_id": name,
                "patient_id": owners[name],
                "lesion_id": "",
                "path": "",
                "source": "features " + ", ".join(one.name for one in having),
                "licence": "; ".join(dict.fromkeys(o.licence for o in having if o.licence)),
                "attribution": "; ".join(
                    dict.fromkeys(o.attribution for o in having if o.attribution)
                ),
                CONTENT: digest,
            }
        )
    notes = tuple(note for one in features for note in one.notes)
    if not rows and not excluded and not notes:
        return None
    return SourceTables(
        images=pd.DataFrame(rows, columns=[*SOURCE_IMAGE_COLUMNS, CONTENT], dtype="str"),
        patients=pd.DataFrame(columns=["patient_id"], dtype="str"),
        dictionary=DataDictionary(()),
        exclusions=exclusions_table(list(excluded)),
        notes=notes,
    )


def feature_notes(keys: Mapping[str, Mapping[str, str]], cohort: Cohort) -> tuple[str, ...]:
    """A sentence an import: how many slides of how many patients are studied."""
    images, unit = cohort.images, cohort.noun.many
    notes = []
    for name, own in keys.items():
        there = images[images["image_id"].isin(set(own))]
        each = there.groupby("patient_id").size().value_counts().sort_index()
        spread = ", ".join(f"{n} of {count}" for count, n in each.items())
        notes.append(
            f"Embeddings {name} came from elsewhere: {len(there)} images or slides of "
            f"{there['patient_id'].nunique()} of {cohort.n_patients} {unit} are studied ({unit} "
            f"by number of images: {spread})."
        )
    return tuple(notes)
