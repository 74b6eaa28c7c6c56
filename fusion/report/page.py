"""Pages from templates: everything they need is inside, and every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from featurestore.atomic import write_text
from featurestore.errors import DataError
from fusion.report.drawing import Figure

EVERY_PAGE = "page.js"
FOLLOWING = {
    "#000000": "var(--ink)",
    "#111111": "var(--ink)",
    "#333333": "var(--ink)",
    "#0072b2": "var(--drawn)",
    "#767676": "var(--soft)",
    "#ffffff": "var(--ground)",
}
"""Colours of a drawing that are those of the page around it, light or dark or on paper."""


def render(
    template: str, figures: Sequence[Figure], scripts: Sequence[str] = (), **values: Any
) -> str:
    """Renders one of the templates beside this file.

    Args:
        template: Its file name.
        figures: Figures that the template may place by name.
        scripts: File names of what the page runs beside what every page does.
        values: What else it shows.
    """
    folder = files("fusion.report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fusion.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = _code
    environment.filters["whole"] = _whole
    environment.filters["parted"] = _parted
    return environment.get_template(template).render(
        figures={f.name: f for f in figures},
        drawings={f.name: _inline(f) for f in figures},
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),
        script=Markup(
            "\n".join(
                (folder / name).read_text(encoding="utf-8") for name in (EVERY_PAGE, *scripts)
            )
        ),
        **values,
    )


def write_beside(folder: Path, texts: Mapping[str, str], what: str) -> None:
    """Writes a page and what belongs to it.

    Args:
        folder: Where they go.
        texts: By name of the file.
        what: What they are, for the error.

    Raises:
        DataError: A file cannot be written.
    """
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
    except OSError as error:
        raise DataError(f"cannot write {what} into {folder}: {error.strerror or error}") from None


def _code(text: str) -> Markup:
    """Escaped text in which words between backticks are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(Markup.escape(text))))


def _whole(text: str) -> str:
    """An interval that no line break parts; other text as it is."""
    return re.sub(r"\[[^\[\]]{3,20}\]", lambda found: found[0].replace(" ", "\u00a0"), text)


def _parted(name: str) -> Markup:
    """An escaped name that may break behind an underscore and before its modalities."""
    return Markup(re.sub(r"_|(?=\[)", r"\g<0><wbr>", str(Markup.escape(name))))


def _inline(figure: Figure) -> Markup:
    """The drawing without XML prologue, with ids unique in the page and a spoken label.

    Its ink and its ground are those of the page; in the file beside the page they stay black and
    white.
    """
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})", lambda m: f"{m[1]}: {FOLLOWING.get(m[2], m[2])}", svg
    )
    label = Markup.escape(f"{figure.title}. {figure.caption}")
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
        rf'<svg role="img" aria-label="{label}" \1 xmlns="http://www.w3.org/2000/svg" '
        r'xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )
    return Markup(svg)
