"""Embeddings by role: one name for an encoder and the role of the images that it is averaged over.

A backbone embeds each image once. `efficientnet_b0` is that embedding of any image;
`efficientnet_b0@dermoscopic` is the mean over a patient's dermoscopic images. Modalities, features,
exports and records name the latter as one word.
"""

from __future__ import annotations

from collections.abc import Iterable

MARK = "@"


def by_role(encoder: str, role: str) -> str:
    """Name of the mean over a patient's images of one role, as an encoder embeds them."""
    return f"{encoder}{MARK}{role}"


def encoder_of(name: str) -> str:
    """Name of the encoder of an embedding, by role or not."""
    return name.partition(MARK)[0]


def role_of(name: str) -> str:
    """Role of the images that an embedding is averaged over; empty where it is of any image."""
    return name.partition(MARK)[2]


def encoders_of(names: Iterable[str]) -> tuple[str, ...]:
    """Names of the encoders of embeddings, each once."""
    return tuple(dict.fromkeys(encoder_of(name) for name in names))


def finest(names: Iterable[str]) -> tuple[str, ...]:
    """Embeddings without those that others have by role."""
    names = tuple(names)
    parted = {encoder_of(name) for name in names if role_of(name)}
    return tuple(name for name in names if role_of(name) or name not in parted)
