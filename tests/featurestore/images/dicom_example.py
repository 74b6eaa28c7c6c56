"""DICOM files of small pictures, with a patient's particulars planted in every place for them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

PERSONAL = ("Secretname", "19370415", "HOSPID998877", "Dr.Hidden", "ElmStreet12", "NoteOnSecrets")
"""What must never be seen outside of the files."""


def pixels(seed: int, side: int = 24) -> np.ndarray:
    """uint8 (side, side + 8, 3), smooth enough for a JPEG to keep."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side + 8, side), Image.Resampling.BICUBIC))


def dataset(values: np.ndarray, meant: str = "RGB", **elements: Any) -> Dataset:
    """A dataset of one picture; further elements by keyword."""
    found = Dataset()
    found.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.77.1.4")
    found.SOPInstanceUID = generate_uid(entropy_srcs=["tests"])
    found.PatientName = f"{PERSONAL[0]}^Anna"
    found.PatientBirthDate = PERSONAL[1]
    found.PatientID = PERSONAL[2]
    found.ReferringPhysicianName = PERSONAL[3]
    found.PatientAddress = PERSONAL[4]
    item = Dataset()
    item.PersonName = f"{PERSONAL[0]}^Beate"
    item.TextValue = PERSONAL[5]
    found.ContentSequence = [item]
    found.PatientComments = PERSONAL[5]
    found.Rows, found.Columns = values.shape[:2]
    found.SamplesPerPixel = 1 if values.ndim == 2 else 3
    found.PhotometricInterpretation = meant
    if values.ndim == 3:
        found.PlanarConfiguration = 0
    found.BitsAllocated = found.BitsStored = 8 * values.dtype.itemsize
    found.PixelRepresentation = int(values.dtype.kind == "i")
    found.PixelData = values.tobytes()
    found["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(found, name, value)
    found.HighBit = found.BitsStored - 1
    return found


def written(found: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file of a dataset whose pixels are coded as the transfer syntax says already."""
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = UID(syntax)
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


def coded(values: np.ndarray, form: str, syntax: str, meant: str, **options: Any) -> bytes:
    """A file whose picture Pillow coded."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, form, **options)
    found = dataset(values, meant)
    found.PixelData = encapsulate([file.getvalue()])
    found["PixelData"].is_undefined_length = True
    return written(found, syntax)
