"""Writes a synthetic cohort in the layouts of real downloads, with a few troubles planted.

The folder looks like this:

    isic/metadata.csv, isic/ISIC_*.jpg      as `isic image download` leaves them
    synthetic_clinical_data.tsv             as cBioPortal's "download clinical data" button gives it
    data_mrna_seq_v2_rsem.txt               as in a cBioPortal study archive, genes × samples
    truth.csv                               factors, probability and outcome of every patient
    planted.json                            ids of the planted troubles
    manifest.json                           size of every file; written last
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from featurestore.progress import Progress
from featurestore.sources.synthetic_images import (
    ORIENTATIONS,
    Acquisition,
    LesionSigns,
    encode_jpeg,
    paint_lesion,
    photograph,
)
from featurestore.sources.synthetic_model import SIGNS, PlantedPatients

IMAGE_FOLDER = "isic"
METADATA_FILE = "isic/metadata.csv"
CLINICAL_FILE = "synthetic_clinical_data.tsv"
EXPRESSION_FILE = "data_mrna_seq_v2_rsem.txt"
TRUTH_FILE = "truth.csv"
PLANTED_FILE = "planted.json"
MANIFEST_FILE = "manifest.json"

ATTRIBUTION = "melafuse synthetic cohort (made by a program)"
LICENCE = "CC-0"
SAMPLE_SUFFIX = "-01"  # primary tumour, as in TCGA barcodes
EXTRA_PATIENTS = (
    2  # drawn in addition where troubles are planted: one without images, one without row
)

# Clinical column of the model -> header in cBioPortal's table of TCGA-SKCM and token for missing.
_CLINICAL_HEADERS = {
    "age": ("Diagnosis Age", "NA"),
    "sex": ("Sex", "NA"),
    "body_site": ("Tumor Site", "NA"),
    "breslow": ("breslow depth", "NA"),
    "ulceration": ("Primary melanoma tumor ulceration", "[Not Available]"),
    "mitoses": ("Primary melanoma mitotic rate", "[Not Available]"),
    "stage": ("Neoplasm Disease Stage American Joint Committee on Cancer Code", "NA"),
    "braf": ("BRAF Mutation", "NA"),
    "nras": ("NRAS Mutation", "NA"),
    "tmb": ("TMB (nonsynonymous)", "NA"),
    "site": ("Tissue Source Site", "NA"),
}
_YES_NO = {1: "YES", 0: "NO"}


@dataclasses.dataclass(frozen=True)
class Troubles:
    """Ids of what was planted to be found.

    Attributes:
        truncated: Image whose file ends early.
        empty: Image whose file has no bytes.
        exact_copy: Image, and its byte-identical copy under another patient.
        rotated_copy: Image, and its rotated, re-encoded copy under another patient.
        file_without_row: Image file that the metadata do not name.
        row_without_file: Metadata row that has no file.
        patient_without_image: Patient with clinical data only.
        patient_without_row: Patient with images only.
    """

    truncated: str
    empty: str
    exact_copy: tuple[str, str]
    rotated_copy: tuple[str, str]
    file_without_row: str
    row_without_file: str
    patient_without_image: str
    patient_without_row: str


def plan_photographs(
    patients: pd.Index, long_side: tuple[int, int], rng: np.random.Generator
) -> pd.DataFrame:
    """Decides how many pictures each patient has and how each is taken.

    Args:
        patients: Patient ids, and no more, so that nothing about an acquisition can depend on
            the lesion or the outcome.
        long_side: Least and greatest long side in pixels.
        rng: Source of everything drawn.

    Returns:
        One row a picture: image_id, patient_id, lesion_id, then the fields of `Acquisition`.
    """
    count = rng.choice([1, 2, 3], size=len(patients), p=[0.45, 0.35, 0.20])
    lesion = np.array([f"IL_{k}" for k in _numbers(len(patients), rng)])
    who = np.repeat(np.arange(len(patients)), count)
    n = len(who)
    width = rng.integers(long_side[0], long_side[1] + 1, size=n)
    return pd.DataFrame(
        {
            "image_id": [f"ISIC_{k}" for k in _numbers(n, rng)],
            "patient_id": patients.to_numpy()[who],
            "lesion_id": lesion[who],
            "width": width,
            "height": width * 3 // 4,
            "orientation": rng.choice(ORIENTATIONS, size=n, p=[0.7, 0.1, 0.1, 0.1]),
            "quality": rng.integers(80, 96, size=n),
            "hairs": np.clip(rng.integers(-6, 10, size=n), 0, None),
            "radius": rng.uniform(0.26, 0.34, size=n),
            "offset_x": rng.uniform(-0.1, 0.1, size=n),
            "offset_y": rng.uniform(-0.08, 0.08, size=n),
            "turn": rng.uniform(0, 2 * np.pi, size=n),
            "exposure": rng.uniform(0.9, 1.06, size=n),
            "warmth": rng.uniform(-1, 1, size=n),
            "vignette": rng.uniform(0.1, 0.6, size=n),
        }
    )


def write_cohort(
    people: PlantedPatients,
    shots: pd.DataFrame,
    troubles: bool,
    folder: Path,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> None:
    """Writes all files of a cohort into an empty folder.

    Args:
        people: The patients; where troubles are planted, the last `EXTRA_PATIENTS` serve them.
        shots: Table of `plan_photographs`.
        troubles: Whether to plant troubles.
        folder: Existing empty folder.
        seed: Seed of the pictures and of the choice of troubles.
        progress: Told of every picture.
    """
    (folder / IMAGE_FOLDER).mkdir()
    people_seed, trouble_seed = seed.spawn(2)
    _write_pictures(people.signs, shots, folder, people_seed, progress)
    rows = shots[["image_id", "patient_id", "lesion_id"]]
    recorded = people.signs.index
    planted: Troubles | None = None
    if troubles:
        rng = np.random.default_rng(trouble_seed)
        rows, planted = _plant(rows, list(people.signs.index), folder, rng)
        recorded = recorded.drop(planted.patient_without_row)
    _write_metadata(rows, people, folder)
    _write_clinical(people, recorded, folder)
    _write_expression(people, recorded, folder)
    people.truth.to_csv(folder / TRUTH_FILE, lineterminator="\n")
    record = dataclasses.asdict(planted) if planted else {}
    _write_json(record, folder / PLANTED_FILE)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    digests = {p.relative_to(folder).as_posix(): _sha256(p) for p in files}
    _write_json(digests, folder / MANIFEST_FILE)


def is_complete(folder: Path) -> bool:
    """Whether the folder has a manifest, and every file in it is as it was written."""
    try:
        digests = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        return bool(digests) and all(
            _sha256(folder / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_pictures(
    signs: pd.DataFrame,
    shots: pd.DataFrame,
    folder: Path,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> None:
    progress.start("draw synthetic images", len(shots))
    streams = map(np.random.default_rng, seed.spawn(len(signs)))
    for (patient, sign), rng in zip(signs.iterrows(), streams, strict=True):
        lesion = paint_lesion(LesionSigns(**sign[list(SIGNS)]), rng)
        taken = shots[shots["patient_id"] == patient]
        for image_id, shot in zip(taken["image_id"], _acquisitions(taken), strict=True):
            picture = photograph(lesion, shot, float(sign["skin"]), rng)
            _image_path(folder, image_id).write_bytes(encode_jpeg(picture, shot))
        progress.advance(len(taken))
    progress.finish(f"{len(shots)} synthetic images of {len(signs)} patients")


def _acquisitions(shots: pd.DataFrame) -> list[Acquisition]:
    records = shots[[field.name for field in dataclasses.fields(Acquisition)]].to_dict("records")
    return [Acquisition(**{str(key): value for key, value in r.items()}) for r in records]


def _plant(
    rows: pd.DataFrame, patients: list[str], folder: Path, rng: np.random.Generator
) -> tuple[pd.DataFrame, Troubles]:
    """Spoils files and rows, always of patients who keep at least one good image."""
    without_image, without_row = patients[-EXTRA_PATIENTS:]
    usable = rows[~rows["patient_id"].isin([without_image, without_row])]
    several = usable[usable.duplicated("patient_id", keep="first")]
    last = several.drop_duplicates("patient_id", keep="last")  # one spare image a patient
    spare = last["image_id"].to_numpy()[rng.permutation(len(last))]
    truncated, empty = str(spare[0]), str(spare[1])
    path = _image_path(folder, truncated)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    _image_path(folder, empty).write_bytes(b"")

    sound = usable[~usable["image_id"].isin([truncated, empty])].drop_duplicates("patient_id")
    first, second, third, fourth, fifth = rng.permutation(len(sound))[:5]
    fresh = _unused_image_ids(4, set(rows["image_id"]), rng)
    exact, rotated = str(sound["image_id"].iloc[first]), str(sound["image_id"].iloc[third])
    _image_path(folder, fresh[0]).write_bytes(_image_path(folder, exact).read_bytes())
    _image_path(folder, fresh[1]).write_bytes(_turned(_image_path(folder, rotated)))
    _image_path(folder, fresh[2]).write_bytes(_stray_picture(rng))
    added = sound.iloc[[second, fourth, fifth]].assign(image_id=[fresh[0], fresh[1], fresh[3]])

    dropped = rows["patient_id"] == without_image
    for image in rows.loc[dropped, "image_id"]:
        _image_path(folder, image).unlink()
    planted = Troubles(
        truncated=truncated,
        empty=empty,
        exact_copy=(exact, fresh[0]),
        rotated_copy=(rotated, fresh[1]),
        file_without_row=fresh[2],
        row_without_file=fresh[3],
        patient_without_image=without_image,
        patient_without_row=without_row,
    )
    return pd.concat([rows[~dropped], added], ignore_index=True), planted


def _turned(path: Path) -> bytes:
    """The picture of a JPEG rotated by 90 degrees and encoded anew at lower quality."""
    with Image.open(path) as stored:
        turned = ImageOps.exif_transpose(stored).transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _stray_picture(rng: np.random.Generator) -> bytes:
    """A picture of a lesion that belongs to nobody."""
    (shot, *_) = _acquisitions(plan_photographs(pd.Index(["nobody"]), (400, 400), rng))
    lesion = paint_lesion(LesionSigns(*rng.random(len(SIGNS))), rng)
    return encode_jpeg(photograph(lesion, shot, rng.random(), rng), shot)


def _write_metadata(rows: pd.DataFrame, people: PlantedPatients, folder: Path) -> None:
    """Writes isic-cli's metadata.csv: fixed columns first, then metadata keys in their order."""
    patient = rows["patient_id"]
    clinical = people.clinical
    keys = {
        "age_approx": patient.map((clinical["age"] / 5).round().astype(int) * 5),
        "anatom_site_1": patient.map(clinical["body_site"]),
        "diagnosis_1": "Malignant",
        "fitzpatrick_skin_type": patient.map(
            people.signs["skin"].map(lambda tone: ("I", "II", "III")[min(int(3 * tone), 2)])
        ),
        "image_type": "dermoscopic",
        "lesion_id": rows["lesion_id"],
        "patient_id": patient,
        "sex": patient.map(clinical["sex"].str.lower()),
    }
    table = pd.DataFrame(
        {
            "isic_id": rows["image_id"],
            "attribution": ATTRIBUTION,
            "copyright_license": LICENCE,
            **keys,
        }
    ).sort_values("isic_id")
    table.to_csv(folder / METADATA_FILE, index=False, lineterminator="\n")


def _write_clinical(people: PlantedPatients, recorded: pd.Index, folder: Path) -> None:
    values = people.clinical.loc[recorded].assign(
        ulceration=lambda t: t["ulceration"].map(_YES_NO),
        braf=lambda t: t["braf"].map(_YES_NO),
        nras=lambda t: t["nras"].map(_YES_NO),
    )
    table = pd.DataFrame({"Study ID": "synthetic", "Patient ID": recorded}, index=recorded)
    table["Sample ID"] = recorded + SAMPLE_SUFFIX
    for name, (header, token) in _CLINICAL_HEADERS.items():
        known = values[name].astype(str)
        hidden = people.missing.loc[recorded].get(name)
        table[header] = known if hidden is None else known.mask(hidden, token)
    table["Metastasis"] = people.truth.loc[recorded, "metastasis"]
    table.to_csv(folder / CLINICAL_FILE, sep="\t", index=False, lineterminator="\n")


def _write_expression(people: PlantedPatients, recorded: pd.Index, folder: Path) -> None:
    measured = recorded[~people.missing.loc[recorded, "expression"]]
    matrix = people.expression.loc[measured].T
    matrix.columns = measured + SAMPLE_SUFFIX
    matrix.insert(0, "Entrez_Gene_Id", -np.arange(1, len(matrix) + 1))  # of no real gene
    matrix.index.name = "Hugo_Symbol"
    matrix.to_csv(folder / EXPRESSION_FILE, sep="\t", lineterminator="\n")


def _unused_image_ids(count: int, used: set[str], rng: np.random.Generator) -> list[str]:
    drawn = (f"ISIC_{k}" for k in _numbers(len(used) + count, rng))
    return [image_id for image_id in drawn if image_id not in used][:count]


def _numbers(count: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct numbers of seven digits."""
    return 1_000_000 + rng.choice(9_000_000, size=count, replace=False)


def _image_path(folder: Path, image_id: str) -> Path:
    return folder / IMAGE_FOLDER / f"{image_id}.jpg"


def _write_json(record: Mapping[str, object], path: Path) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
