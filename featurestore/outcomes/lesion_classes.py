"""One kind of lesion against all others, by the collection's own diagnosis."""

from __future__ import annotations

from featurestore.outcomes.base import Outcome, ValueRule
from featurestore.outcomes.isic import DIAGNOSES, UNCONFIRMED

LESION_CLASS = "lesion_class"
"""Column of the images with the class."""

_NAMED = {
    "bcc": ("a basal cell carcinoma", ("malignant",)),
    "scc": ("a squamous cell carcinoma, in situ or invasive", ("malignant", "akiec")),
    "nevus": ("a melanocytic nevus", ("benign",)),
    "actinic_keratosis": ("an actinic keratosis", ("benign", "akiec")),
    "benign_keratosis": (
        "a benign keratosis (seborrheic keratosis, solar lentigo or lichen planus-like keratosis)",
        ("benign",),
    ),
    "dermatofibroma": ("a dermatofibroma", ("benign",)),
    "vascular_lesion": ("a vascular lesion", ("benign",)),
}
"""Of each class what it is, and the classes of which it is unknown whether they are it."""

CLASSES = (*_NAMED, "melanoma", "akiec", "malignant", "benign", "other")
"""What a lesion may be. `akiec` holds actinic keratoses and carcinomas in situ, `malignant` and
`benign` are all that is known, `other` is known and none of those named."""


def _outcome(name: str) -> Outcome:
    words, unknown = _NAMED[name]
    undecided = ", ".join(unknown)
    return Outcome(
        name=name,
        definition=f"The lesion is {words} by the collection's diagnosis, against all others.",
        unit="lesion",
        as_of="acquisition of the image",
        rule=ValueRule(
            LESION_CLASS,
            positive=(name,),
            negative=tuple(c for c in CLASSES if c != name and c not in unknown),
            others="unknown",
        ),
        deny=(*DIAGNOSES, "melanoma", "malignant"),
        caveats=(
            f"Lesions of which a file tells no more than {undecided} are left out.",
            UNCONFIRMED,
        ),
        as_of_time="diagnosis",
    )


LESION_OUTCOMES = tuple(_outcome(name) for name in _NAMED)
