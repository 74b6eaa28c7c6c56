"""Licence and attribution of every image source, in words that travel with the data."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from featurestore.tables import markdown_line
from featurestore.units import counted

UNSTATED = "not stated"


def citation(
    title: str, images: pd.DataFrame, notes: Sequence[str], watermark: str, version: str
) -> str:
    """The text of `CITATION.md`.

    Args:
        title: Name of the study.
        images: Images with `source`, `licence`, `attribution`; one row an image.
        notes: Sentences on where the data come from.
        watermark: Sentences that mark the data; empty where there are none.
        version: Version of melafuse.
    """
    lines = [f"# {markdown_line(title)}: sources, licences and attribution", ""]
    if watermark:
        lines += [f"**{markdown_line(watermark)}**", ""]
    lines += [
        f"Tables exported by melafuse {version}. Images and what is computed from them keep the "
        "licence of their source; whoever passes these tables on names the sources below.",
        "",
    ]
    if images.empty:
        lines += ["No images.", ""]
    else:
        lines += ["| source | licence | attribution | images |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(source)} | {_cell(licence)} | {_cell(attribution)} | {n} |"
            for source, licence, attribution, n in _sources(images)
        ]
        lines.append("")
        unstated = int((images["licence"].map(_known) == UNSTATED).sum())
        if unstated:
            lines += [
                f"The licence of {counted(unstated, 'image')} is {UNSTATED}: ask their owners "
                "before passing "
                "anything on.",
                "",
            ]
    if notes:
        lines += ["Notes of the sources:", "", *(f"- {markdown_line(note)}" for note in notes), ""]
    return "\n".join(lines)


def _sources(images: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    said = images[["source", "licence", "attribution"]].map(_known)
    counts = said.groupby(["source", "licence", "attribution"]).size().reset_index(name="n")
    return [(str(s), str(li), str(a), int(n)) for s, li, a, n in counts.itertuples(index=False)]


def _known(value: object) -> str:
    text = "" if pd.isna(value) else str(value).strip()  # type: ignore[call-overload]
    return UNSTATED if text in ("", "unknown") else text


def _cell(text: str) -> str:
    return markdown_line(text).replace("|", "\\|")
