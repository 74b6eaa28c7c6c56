"""LightGBM's text format, checked before LightGBM reads it.

Its reader trusts the text: a truncated one ends the process. So every line, length and index is
checked here first, for what melafuse itself fits: one class, numeric splits, no linear leaves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

END = "end of trees\n"
MAX_TREES, MAX_LEAVES = 10_000, 10_000

_HEADER = {
    "version": r"v[34]",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "label_index": "0",
    "max_feature_idx": r"\d{1,7}",
    "feature_names": r"Column_\d+( Column_\d+)*",
    "feature_infos": r"(\[[-+.e\d]+:[-+.e\d]+\]|none)( (\[[-+.e\d]+:[-+.e\d]+\]|none))*",
    "tree_sizes": r"\d{1,9}( \d{1,9})*",
}
_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_SPLITS = (
    "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
    "internal_value", "internal_weight", "internal_count",
)  # fmt: skip
_SINGLE = ("num_leaves", "num_cat", "is_linear", "shrinkage")
_WHOLE = {"split_feature", "decision_type", "left_child", "right_child"}
_CATEGORICAL = 1  # bit of `decision_type`
_MAX_DECISION = 15


def without_tail(text: str) -> str:
    """The trees alone: importances, parameters and categories behind them decide nothing."""
    place = text.index(END)
    return text[: place + len(END)]


def require_sound(text: str, n_features: int, objective: str | None = "binary sigmoid:1") -> None:
    """Refuses what LightGBM could stumble over.

    Args:
        text: What `without_tail` returned, after a trip through a file.
        n_features: Inputs that the trees may split on.
        objective: As the header names it; None where it does not.

    Raises:
        ValueError: The text is not as LightGBM writes it.
    """
    if not text.isascii():
        raise ValueError("the trees are no plain text")
    head, gap, rest = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines[0] != "tree":
        raise ValueError("the trees have no header")
    header = _pairs(lines[1:], "the header")
    patterns = _HEADER | ({} if objective is None else {"objective": re.escape(objective)})
    for name, pattern in patterns.items():
        if not re.fullmatch(pattern, header.get(name, "")):
            raise ValueError(f"the header's {name} is none")
    if header.keys() - patterns.keys():
        raise ValueError("the header says more than it should")
    widths = [len(header[name].split(" ")) for name in ("feature_names", "feature_infos")]
    if int(header["max_feature_idx"]) != n_features - 1 or widths != [n_features, n_features]:
        raise ValueError(f"the trees do not split on {n_features} inputs")
    sizes = [int(size) for size in header["tree_sizes"].split(" ")]
    if len(sizes) > MAX_TREES or sum(sizes) + len(END) != len(rest):
        raise ValueError("the trees are not as long as the header says")
    start = 0
    for number, size in enumerate(sizes):
        _require_tree(rest[start : start + size], number, n_features)
        start += size
    if rest[start:] != END:
        raise ValueError("the trees do not end where they should")


def _require_tree(block: str, number: int, n_features: int) -> None:
    where = f"tree {number}"
    lines = block.rstrip("\n").split("\n")
    if lines[0] != f"Tree={number}" or not block.endswith("\n\n"):
        raise ValueError(f"{where} does not begin or end where it should")
    values = _pairs(lines[1:], where)
    if values.keys() - {*_LEAVES, *_SPLITS, *_SINGLE}:
        raise ValueError(f"{where} says more than it should")
    if not re.fullmatch(r"\d{1,6}", values.get("num_leaves", "")):
        raise ValueError(f"{where} has no number of leaves")
    leaves = int(values["num_leaves"])
    if not 1 <= leaves <= MAX_LEAVES or values.get("num_cat") != "0":
        raise ValueError(f"{where} is no tree of numeric splits")
    if values.get("is_linear", "0") != "0":
        raise ValueError(f"{where} has linear leaves")
    _numbers(values, "shrinkage", 1, where)
    _numbers(values, "leaf_value", leaves, where)
    if leaves == 1:
        return
    for name in ("leaf_weight", "leaf_count"):
        _numbers(values, name, leaves, where)
    splits = {name: _numbers(values, name, leaves - 1, where) for name in _SPLITS}
    if not all(0 <= feature < n_features for feature in splits["split_feature"]):
        raise ValueError(f"{where} splits on an input that there is not")
    if not all(0 <= d <= _MAX_DECISION and not int(d) & _CATEGORICAL
               for d in splits["decision_type"]):  # fmt: skip
        raise ValueError(f"{where} has a split of a kind that there is not")
    children = [(node, child) for side in ("left_child", "right_child")
                for node, child in enumerate(splits[side])]  # fmt: skip
    reached = sorted(child for _, child in children)
    if reached != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ValueError(f"{where} does not reach every leaf once")
    if any(child >= 0 and child <= node for node, child in children):
        raise ValueError(f"{where} runs in a circle")


def _pairs(lines: list[str], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or name in found:
            raise ValueError(f"{where} has a line that is none")
        found[name] = value
    return found


def _numbers(values: Mapping[str, str], name: str, count: int, where: str) -> list[float]:
    parts = values.get(name, "").split(" ")
    pattern = r"-?\d{1,7}" if name in _WHOLE else r"[-+]?\d+(\.\d*)?(e[-+]?\d{1,4})?"
    if len(parts) != count or not all(re.fullmatch(pattern, part) for part in parts):
        raise ValueError(f"{where}: {name} is not {count} numbers")
    numbers = [float(part) for part in parts]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{where}: {name} is not finite")
    return numbers
