"""Files of features as the programs that make them write them, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

from featurestore.store import EncoderIdentity, FeatureStore
from featurestore.store.packing import pack

Bags = Mapping[str, np.ndarray]
"""Matrix (tiles, D) by id."""

ENCODER = EncoderIdentity("resnet18", "random", "0" * 64, "{}", "avg", 5)


def random_bags(tiles: int, width: int = 5, dtype: str = "float32", seed: int = 0) -> Bags:
    """A few bags; with `tiles` 1 each is one row."""
    rng = np.random.default_rng(seed)
    sizes = [1 if tiles == 1 else tiles + k for k in range(4)]
    return {
        f"TCGA-ER-A2N{k}-01Z-00-DX1": rng.normal(size=(size, width)).astype(dtype)
        for k, size in enumerate(sizes)
    }


def write_csv(folder: Path, bags: Bags, sep: str = ",", bom: bool = False) -> None:
    rows = [{"slide_id": i, **_columns(m[0])} for i, m in bags.items()]
    text = pd.DataFrame(rows).to_csv(index=False, sep=sep)
    encoding = "utf-8-sig" if bom else "utf-8"
    (folder / ("features.tsv" if sep == "\t" else "features.csv")).write_text(text, encoding)


def write_tsv(folder: Path, bags: Bags) -> None:
    write_csv(folder, bags, "\t", bom=True)


def write_parquet(folder: Path, bags: Bags) -> None:
    frame = pd.DataFrame({"slide_id": list(bags)})
    matrix = np.concatenate([m[:1] for m in bags.values()])
    for k in range(matrix.shape[1]):
        frame[f"f{k}"] = matrix[:, k]
    frame.to_parquet(folder / "features.parquet")


def write_parquet_lists(folder: Path, bags: Bags) -> None:
    rows = {"image_id": list(bags), "embedding": [m[0] for m in bags.values()]}
    pd.DataFrame(rows).to_parquet(folder / "features.parquet")


def write_npz_arrays(folder: Path, bags: Bags) -> None:
    np.savez(folder / "features.npz", **bags)  # type: ignore[arg-type]


def write_npz_matrix(folder: Path, bags: Bags) -> None:
    matrix = np.concatenate([m[:1] for m in bags.values()])
    ids = np.array(list(bags))
    np.savez_compressed(folder / "features.npz", ids=ids, features=matrix)


def write_h5_matrix(folder: Path, bags: Bags) -> None:
    with h5py.File(folder / "features.h5", "w") as file:
        file["embeddings"] = np.concatenate([m[:1] for m in bags.values()])
        file["ids"] = np.array(list(bags), dtype=object)


def write_h5_datasets(folder: Path, bags: Bags) -> None:
    with h5py.File(folder / "features.h5", "w") as file:
        for name, matrix in bags.items():
            file[name] = matrix


def write_packed_store(folder: Path, bags: Bags) -> None:
    """What `melafuse store pack` writes."""
    store = FeatureStore(folder / "store")
    with store.writer(ENCODER) as writer:
        digests = [f"{k:064x}" for k in range(len(bags))]
        matrix = np.concatenate([m[:1] for m in bags.values()])
        writer.append(digests, list(bags), matrix)
    pack(store, folder / "packed.h5")


def write_trident(folder: Path, bags: Bags) -> None:
    """A file a slide, as `save_h5` of TRIDENT writes tile features."""
    for name, matrix in bags.items():
        coords = np.arange(2 * len(matrix), dtype=np.int64).reshape(-1, 2)
        attributes = {
            "features": {"name": name, "savetodir": "features_uni_v1"},
            "coords": {
                "patch_size": 256,
                "overlap": 0,
                "mpp": "None",
                "mags": json.dumps({"a": 1}),
            },
        }
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for key, values in {"features": matrix, "coords": coords}.items():
                data = file.create_dataset(
                    key,
                    shape=values.shape,
                    maxshape=(None, *values.shape[1:]),
                    chunks=(1, *values.shape[1:]),
                    dtype=values.dtype,
                )
                data[:] = values
                data.attrs.update(attributes[key])


def write_trident_slides(folder: Path, bags: Bags) -> None:
    """Features of a slide encoder: (D,) beside the coordinates of the tiles."""
    for name, matrix in bags.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            data = file.create_dataset("features", data=matrix[0], chunks=(1,), maxshape=(None,))
            data.attrs.update({"name": name, "savetodir": "slide_features_titan"})
            file["coords"] = np.zeros((7, 2), dtype=np.int64)


def write_stamp_tiles(folder: Path, bags: Bags) -> None:
    for name, matrix in bags.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["coords"] = np.zeros((len(matrix), 2), dtype=np.float32)
            file["feats"] = matrix
            file.attrs.update(
                {
                    "stamp_version": "2.4.0",
                    "extractor": "uni2",
                    "unit": "um",
                    "tile_size_um": 256.0,
                    "tile_size_px": 224,
                    "code_hash": "0badc0de",
                    "feat_type": "tile",
                }
            )


def write_stamp_patients(folder: Path, bags: Bags) -> None:
    """Two forms are about: (D,) and (1, D)."""
    for k, (name, matrix) in enumerate(bags.items()):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["feats"] = matrix[0] if k % 2 else matrix[:1]
            file.attrs.update(
                {
                    "version": "2.4.0",
                    "encoder": "cobra",
                    "precision": "torch.float32",
                    "stamp_version": "2.4.0",
                    "code_hash": "0badc0de",
                    "feat_type": "patient",
                }
            )


def write_stamp_slides_in_one(folder: Path, bags: Bags) -> None:
    """STAMP before 2.1: a dataset a slide in one file."""
    with h5py.File(folder / "cobra-slide-0badc0de.h5", "w") as file:
        for name, matrix in bags.items():
            file.create_dataset(name, data=matrix[0])
        file.attrs.update({"version": "2.0.0", "encoder": "cobra", "precision": "torch.float32"})


def write_pt_tensors(folder: Path, bags: Bags) -> None:
    for name, matrix in bags.items():
        torch.save(torch.from_numpy(matrix), folder / f"{name}.pt")


def write_pt_mapping(folder: Path, bags: Bags) -> None:
    torch.save({name: torch.from_numpy(m) for name, m in bags.items()}, folder / "all.pt")


FORMS: dict[str, tuple[str, Callable[[Path, Bags], None], int]] = {
    "csv": ("csv", write_csv, 1),
    "tsv with a byte order mark": ("csv", write_tsv, 1),
    "parquet": ("parquet", write_parquet, 1),
    "parquet lists": ("parquet", write_parquet_lists, 1),
    "npz arrays": ("npz", write_npz_arrays, 9),
    "npz matrix": ("npz", write_npz_matrix, 1),
    "h5 matrix": ("h5", write_h5_matrix, 1),
    "h5 datasets": ("h5", write_h5_datasets, 9),
    "melafuse store pack": ("h5", write_packed_store, 1),
    "trident tiles": ("trident", write_trident, 9),
    "trident slides": ("trident", write_trident_slides, 1),
    "stamp tiles": ("stamp", write_stamp_tiles, 9),
    "stamp patients": ("stamp", write_stamp_patients, 1),
    "stamp slides in one file": ("stamp", write_stamp_slides_in_one, 1),
    "pt tensors": ("pt", write_pt_tensors, 9),
    "pt mapping": ("pt", write_pt_mapping, 9),
}
"""Reader, what writes its files, and tiles of a bag, by the form's name."""


def _columns(row: np.ndarray) -> dict[str, str]:
    """The shortest decimals that give the number back."""
    return {f"f{k}": repr(float(value)) for k, value in enumerate(row)}
