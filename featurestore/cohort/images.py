"""The images of a cohort: what inspection finds in their files, and copies among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.cohort.feature_rows import CONTENT
from featurestore.cohort.tables import IMAGE_COLUMNS
from featurestore.errors import name_some
from featurestore.images.duplicates import cluster_id
from featurestore.images.inspection import inspect_images
from featurestore.images.known_copies import known_or_found_copies
from featurestore.progress import Progress
from featurestore.sources import ReadContext
from featurestore.tables import exclusions_table
from featurestore.units import Noun, counted


def inspected(
    images: pd.DataFrame, max_megapixels: float, context: ReadContext, progress: Progress
) -> pd.DataFrame:
    """Adds digest, size, duplicate cluster and facts of the file to a source's images.

    Images without a picture (an empty path) bring their digest in the column `CONTENT`. File size,
    EXIF orientation and whether there is EXIF are for the audit; no model sees them.
    """
    if images.empty:
        return _ordered(images.assign(sha256="", width=0, height=0, duplicate_cluster=""))
    if CONTENT in images.columns:
        without = images["path"] == ""
        slides = images[without].assign(sha256=images[CONTENT], width=0, height=0)
        slides["duplicate_cluster"] = slides["sha256"].map(cluster_id)
        pictures = inspected(
            images[~without].drop(columns=CONTENT), max_megapixels, context, progress
        )
        return pd.concat([pictures, _ordered(slides.drop(columns=CONTENT))], ignore_index=True)
    max_pixels = round(max_megapixels * 1e6)
    paths = [Path(path) for path in images["path"]]
    remembered = context.seen or context.scratch
    facts = inspect_images(paths, max_pixels, remembered, progress)
    clusters = [
        cluster_id(f.sha256) or f"unread-{i}"
        for f, i in zip(facts, images["image_id"], strict=True)
    ]
    seen = [(k, f.sha256, f.hashes, f.thumbnail) for k, f in enumerate(facts)]
    readable = [(k, s, h, t) for k, s, h, t in seen if h is not None and t is not None]
    if readable:
        rows, digests, hashes, thumbnails = zip(*readable, strict=True)
        found = known_or_found_copies(digests, np.stack(hashes), np.stack(thumbnails), remembered)
        for k, cluster in zip(rows, found, strict=True):
            clusters[k] = cluster
    found_in = images.assign(
        sha256=pd.Series([f.sha256 for f in facts], index=images.index, dtype="str"),
        width=[f.width for f in facts],
        height=[f.height for f in facts],
        duplicate_cluster=pd.Series(clusters, index=images.index, dtype="str"),
        file_bytes=[f.bytes for f in facts],
        exif_orientation=[f.orientation for f in facts],
        has_exif=[f.exif for f in facts],
    )
    return _ordered(found_in)


def _ordered(images: pd.DataFrame) -> pd.DataFrame:
    return images[[*IMAGE_COLUMNS, *(c for c in images.columns if c not in IMAGE_COLUMNS)]]


def without_copies(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keeps one of the byte-identical images of a patient, the first by id."""
    ordered = images.sort_values("image_id", ignore_index=True)
    keys = ["patient_id", "sha256"]
    copy = ordered.duplicated(keys) & (ordered["sha256"] != "")
    first = ordered[~copy].set_index(keys)["image_id"]
    rows = [
        ("image", image, "duplicates", f"same bytes as image {first[(patient, sha256)]}")
        for image, patient, sha256 in ordered.loc[copy, ["image_id", *keys]].itertuples(index=False)
    ]
    return ordered[~copy].reset_index(drop=True), exclusions_table(rows)


def comparable(images: pd.DataFrame) -> pd.Series:
    """Which images can be copies of each other: pictures, and slides by their features' bytes.

    Two files that cannot be decoded are no copies of a picture.
    """
    return (images["width"] > 0) | (images["path"] == "")


def copy_notes(images: pd.DataFrame, noun: Noun) -> tuple[str, ...]:
    """A sentence on copies and near-copies, where there are any."""
    images = images[comparable(images)]
    clusters = images.groupby("duplicate_cluster")["patient_id"]
    several = int((clusters.size() > 1).sum())
    across = clusters.nunique()
    crossing = sorted(across.index[across > 1])
    if not several:
        return ()
    were = "was" if several == 1 else "were"
    note = f"{counted(several, 'group')} of copies or near-copies of an image {were} found"
    if not crossing:
        return (f"{note}, each within one {noun.one}.",)
    examples = [
        " = ".join(sorted(images.loc[images["duplicate_cluster"] == c, "image_id"]))
        for c in crossing[:3]
    ]
    return (
        f"{note}; {len(crossing)} of them cross {noun.many} ({name_some(examples, 3)}), and "
        f"these {noun.many} are kept in one fold.",
    )
