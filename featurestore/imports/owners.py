"""A table beside the features that says whose each image or slide is."""

from __future__ import annotations

from pathlib import Path

from featurestore.bounded import read_text
from featurestore.errors import DataError, name_some
from featurestore.images import image_key
from featurestore.imports.config import EmbeddingConfig
from featurestore.tables import read_table

_PATIENTS = ("patient_id", "patient", "case_id", "case", "subject_id", "subject")
_ENDINGS = (".svs", ".ndpi", ".tif", ".tiff", ".ome.tif", ".ome.tiff", ".mrxs", ".scn", ".vms",
            ".dcm", ".czi", ".h5", ".hdf5", ".npz", ".pt")  # fmt: skip
_IDS = ("id", "image_id", "slide_id", "slide", "image", "filename", "file", "wsi")


def read_owners(config: EmbeddingConfig, data_root: Path) -> dict[str, str]:
    """Patient by id of image or slide, as `patient_from` says.

    An id may be written with the ending of its file (`slide-1.svs`, `slide-1.h5`).

    Raises:
        DataError: The table has no such columns, or names two patients for one id.
    """
    if not config.patient_from:
        return {}
    path = data_root / config.patient_from
    table = read_table(path)
    known = {str(name).casefold(): str(name) for name in table.columns}
    patients = next((known[n] for n in _PATIENTS if n in known), None)
    ids = next((known[n] for n in _IDS if n in known and known[n] != patients), None)
    if patients is None or ids is None:
        lacking = f"of ids ({', '.join(_IDS[:4])}, …)" if patients else "patient_id"
        raise DataError(
            f"{path}: no column {lacking}; the file has {name_some(list(table.columns), 8)}"
        )
    owners: dict[str, str] = {}
    two = set()
    for text, patient in zip(table[ids], table[patients], strict=True):
        for name in {str(text), _without_ending(str(text))}:
            if str(patient) and owners.setdefault(name, str(patient)) != str(patient):
                two.add(str(text))
    if two:
        raise DataError(
            f"{path}: {len(two)} ids have two patients or more: {name_some(sorted(two))}"
        )
    return owners


def _without_ending(text: str) -> str:
    """The id in the name of a slide's or image's file, or of the file of its features."""
    endings = sorted((e for e in _ENDINGS if text.lower().endswith(e)), key=len)
    return text[: -len(endings[-1])] if endings else image_key(text)


def listed_patients(text: str) -> str | list[str]:
    """`none` and `unknown` as they are; of anything else the lines of the file of that name.

    Raises:
        DataError: The file cannot be read, or holds no id.
    """
    if text in ("none", "unknown"):
        return text
    try:
        lines = read_text(Path(text)).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"--trained-on {text}: write none, unknown, or a file of patient ids ({reason})"
        ) from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise DataError(f"--trained-on {text}: the file names no patient")
    return ids
