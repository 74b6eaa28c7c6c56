"""Which roles images have (how a picture was taken), and who has images of which role."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from featurestore.units import Noun

IMAGE_ROLE = "image_role"
"""Column of the images table that says how an image was taken; empty where nobody says."""


@dataclasses.dataclass(frozen=True)
class ImageRoles:
    """Roles of some images.

    Attributes:
        counts: Number of images by role, in the order of the alphabet.
        unsaid: Images of which nobody says the role.
        patients: Patients with an image.
        several: Those of them who have images of more than one role.
    """

    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unsaid: int = 0
    patients: int = 0
    several: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The roles there are."""
        return tuple(self.counts)

    @property
    def are_paired(self) -> bool:
        """Whether images belong together by role: all have one, and most patients several.

        Else a role would rather say which patients, or which collection, an image is of.
        """
        return len(self.counts) > 1 and not self.unsaid and 2 * self.several > self.patients


def roles_of_images(images: pd.DataFrame) -> pd.Series:
    """Role of each image as text, empty where nobody says; index as in `images`."""
    if IMAGE_ROLE not in images.columns:
        return pd.Series("", index=images.index, dtype="str")
    return images[IMAGE_ROLE].astype("str").fillna("")


def roles_text(images: pd.DataFrame) -> str:
    """Ids of images with their roles as text, whatever the order of the rows."""
    table = images[["image_id"]].assign(role=roles_of_images(images))
    return str(table.sort_values("image_id").to_csv(index=False))


def image_roles(images: pd.DataFrame) -> ImageRoles:
    """Counts the roles of some images.

    Args:
        images: Rows of an images table: `patient_id`, and `IMAGE_ROLE` where sources say it.
    """
    roles = roles_of_images(images)
    said = roles != ""
    kinds = roles[said].groupby(images.loc[said, "patient_id"].to_numpy()).nunique()
    counts = {str(role): int(n) for role, n in roles[said].value_counts().sort_index().items()}
    patients = int(images["patient_id"].nunique())
    return ImageRoles(counts, int((~said).sum()), patients, int((kinds > 1).sum()))


def roles_by_embedding(
    names: Iterable[str], images: pd.DataFrame, elsewhere: Mapping[str, Collection[str]]
) -> dict[str, ImageRoles]:
    """Roles of the images that each embedding is of.

    Args:
        names: Names of the embeddings.
        images: The images table.
        elsewhere: By name of an embedding from elsewhere the ids of its images; all other
            embeddings are of every picture.
    """
    pictures = image_roles(images[images["path"] != ""])
    return {
        name: image_roles(images[images["image_id"].isin(list(elsewhere[name]))])
        if name in elsewhere
        else pictures
        for name in names
    }


def role_notes(images: pd.DataFrame, noun: Noun) -> tuple[str, ...]:
    """A sentence on the roles of images, where there are several; `noun` is what is observed."""
    found = image_roles(images[images["path"] != ""])
    if len(found.counts) < 2:
        return ()
    shown = ", ".join(f"{n:,} {role}" for role, n in found.counts.items())
    unsaid = f", and {found.unsaid:,} whose role nobody says" if found.unsaid else ""
    return (
        f"Images by role: {shown}{unsaid}; {found.several:,} of {noun.counted(found.patients)} "
        "have images of more than one role.",
    )
