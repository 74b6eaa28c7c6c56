"""Encoders from elsewhere of which nobody says whom they learned from."""

from __future__ import annotations

from collections.abc import Iterator

from fusion.audit.base import AuditSubject, Check, Hit


def _untold(subject: AuditSubject) -> list[str]:
    return sorted(
        {
            name
            for encoders in subject.encoders.values()
            for name, identity in encoders.items()
            if identity.trained_on == "unknown"
        }
    )


def _find(subject: AuditSubject) -> Iterator[Hit]:
    for name in _untold(subject):
        yield Hit(
            f"Embeddings {name} came from elsewhere, and it is not known whom their encoder "
            "learned from: if {patients} of this study were among them, every number of its arms "
            "is too good.",
            (name,),
        )


def _applies(subject: AuditSubject) -> str:
    imported = any(i.is_imported for own in subject.encoders.values() for i in own.values())
    return "" if imported else "no embedding came from elsewhere"


CHECKS = (
    Check(
        "encoder_training",
        "Training {patients} of an encoder are not known",
        "What the configuration says of the training {patients} of embeddings from elsewhere.",
        "warning",
        "Find out, and state `trained_on: none` or the list of {patients}; {patients} that an "
        "encoder has seen are refused.",
        _find,
        _applies,
    ),
)
