"""A small language over patient columns: what an outcome is, and who is studied.

    n_stage >= 'N1' and known(breslow) and not (specimen_type == 'metastatic')

Comparisons (chained ones too), `in [...]`, `and`, `or`, `not`, arithmetic, parentheses, `known(x)`,
numbers and quoted words. A missing value makes a comparison unknown, and unknown follows Kleene's
logic: unknown and false is false, unknown or true is true (Kleene 1952, section 64). Words are
compared without case; the order of an ordinal column's levels is that of the data dictionary. A
level that contains finer ones (II: IIA to IIC) is compared by what is sure of all of them:
`stage >= 'II'` holds for IIA, and of a patient in II it is unknown whether `stage >= 'IIB'`.

Python's parser reads the text and nothing of it is executed: every node is looked at here, and
what is not listed above is refused.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables import spans

MAX_LENGTH = 2000  # characters
MAX_DEPTH = 40
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNORDERED = (ast.Eq, ast.NotEq)


@dataclasses.dataclass(frozen=True)
class Expression:
    """A parsed and checked expression.

    Attributes:
        text: As it was written.
        columns: Columns that it names, in order of appearance.
    """

    text: str
    columns: tuple[str, ...]
    _root: ast.expr = dataclasses.field(repr=False, compare=False)

    @property
    def words(self) -> frozenset[str]:
        """Quoted words that values are compared with."""
        nodes = (node for node in ast.walk(self._root) if isinstance(node, ast.Constant))
        return frozenset(node.value for node in nodes if isinstance(node.value, str))

    def evaluate(self, table: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]) -> pd.Series:
        """Says for each row whether the expression is true.

        Args:
            table: Holds all `columns`; numbers are numeric, words are text, missing is NaN/None.
            levels: Levels of ordinal columns, in ascending order.

        Returns:
            `boolean` series with the table's index; `<NA>` where it is unknown.

        Raises:
            DataError: A column is absent, or words and numbers are mixed.
        """
        absent = [name for name in self.columns if name not in table.columns]
        if absent:
            near = difflib.get_close_matches(absent[0], map(str, table.columns), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            missing = f"there is no column {name_some(absent)}{hint}"
            raise DataError(f"expression {self.text!r}: {missing}")
        return pd.Series(_Evaluator(self, table, levels).truth(self._root), index=table.index)


def parse(text: str) -> Expression:
    """Reads an expression.

    Raises:
        DataError: It is too long, not of the language, or names nothing.
    """
    if len(text) > MAX_LENGTH:
        raise DataError(f"an expression has at most {MAX_LENGTH} characters, not {len(text)}")
    try:
        root = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error)
        place = getattr(error, "offset", None)
        at = f" at character {place}" if place else ""
        raise DataError(f"expression {text!r}: {reason}{at}") from None
    columns: dict[str, None] = {}
    _check(root, text, columns, 0)
    if not columns:
        raise DataError(f"expression {text!r}: it names no column")
    return Expression(text, tuple(columns), root)


def _check(node: ast.AST, text: str, columns: dict[str, None], depth: int) -> None:
    """Refuses every kind of node that is not of the language."""
    if depth > MAX_DEPTH:
        raise DataError(f"expression {text!r}: it is nested more than {MAX_DEPTH} deep")
    match node:
        case ast.Name(id=name):
            columns.setdefault(name)
        case ast.Constant(value=bool() | int() | float() | str()):
            pass
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not() | ast.USub()):
            pass
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            pass
        case ast.Compare(ops=ops) if all(_is_known(op) for op in ops):
            memberships = [k for k, op in enumerate(ops) if isinstance(op, ast.In | ast.NotIn)]
            if memberships and len(ops) > 1:
                raise _refusal(node, text, "`in` cannot be chained")
            lists = [node.comparators[k] for k in memberships]
            if any(not isinstance(x, ast.List | ast.Tuple) for x in lists):
                raise _refusal(node, text, "`in` takes a list of values: [...]")
        case ast.List(elts=items) | ast.Tuple(elts=items):
            if not all(isinstance(item, ast.Constant) for item in items):
                raise _refusal(node, text, "a list holds plain values")
        case ast.Call(func=ast.Name(id="known"), args=[ast.Name(id=name)], keywords=[]):
            columns.setdefault(name)
            return
        case ast.Call():
            raise _refusal(node, text, "the only function is known(column)")
        case ast.boolop() | ast.operator() | ast.unaryop() | ast.cmpop() | ast.expr_context():
            return
        case _:
            raise _refusal(node, text, f"{type(node).__name__} is not of this language")
    for child in ast.iter_child_nodes(node):
        _check(child, text, columns, depth + 1)


def _is_known(op: ast.cmpop) -> bool:
    return type(op) in _COMPARISONS or isinstance(op, ast.In | ast.NotIn)


def _refusal(node: ast.AST, text: str, reason: str) -> DataError:
    place = getattr(node, "col_offset", 0) + 1
    return DataError(f"expression {text!r}: {reason} (character {place})")


@dataclasses.dataclass(frozen=True)
class _Truth:
    """Three-valued truth of each row; pandas' `boolean` arrays follow Kleene."""

    values: Any


@dataclasses.dataclass(frozen=True)
class _Words:
    """Text of each row or one text, folded in case; None where missing.

    Attributes:
        values: Object array (n,), or a plain string.
        levels: Of an ordinal column, as they are spelled.
    """

    values: Any
    levels: tuple[str, ...] = ()


class _Evaluator:
    def __init__(
        self, expression: Expression, table: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._expression = expression
        self._table = table
        self._levels = levels

    def value(self, node: ast.expr) -> Any:
        """Truth, words or numbers (float array (n,) or one number) of a node."""
        match node:
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=str() as text):
                return _Words(text.strip().casefold())
            case ast.Constant(value=number):
                return float(number)  # type: ignore[arg-type]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.UnaryOp(operand=operand):
                return _Truth(~self.truth(operand))
            case ast.BoolOp(op=op, values=parts):
                first, *rest = (self.truth(part) for part in parts)
                for other in rest:
                    first = first & other if isinstance(op, ast.And) else first | other
                return _Truth(first)
            case ast.BinOp(left=left, op=op, right=right):
                with np.errstate(all="ignore"):
                    result = _ARITHMETIC[type(op)](self._number(left), self._number(right))
                return np.where(np.isfinite(result), result, np.nan)
            case ast.Compare():
                return _Truth(self._comparison(node))
            case ast.Call(args=[ast.Name(id=name)]):
                return _Truth(_boolean(self._table[name].notna().to_numpy(), None))
        raise self._error(node, "it cannot be understood")

    def _column(self, name: str) -> Any:
        column = self._table[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            return column.to_numpy(dtype=float, na_value=np.nan)
        folded = [None if pd.isna(v) else str(v).strip().casefold() for v in column]
        return _Words(np.array(folded, dtype=object), tuple(self._levels.get(name, ())))

    def truth(self, node: ast.expr) -> Any:
        """`boolean` array of a node that is a condition or a binary column."""
        value = self.value(node)
        if isinstance(value, _Truth):
            return value.values
        if isinstance(value, np.ndarray):  # a binary column stands for itself
            if not np.isin(value[~np.isnan(value)], (0.0, 1.0)).all():
                raise self._error(node, "a number is neither true nor false; compare it")
            return _boolean(value == 1, np.isnan(value))
        raise self._error(node, "it is neither true nor false; compare it with something")

    def _number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, _Words | _Truth):
            raise self._error(node, "arithmetic takes numbers")
        return value

    def _comparison(self, node: ast.Compare) -> Any:
        left, result = node.left, None
        for op, right in zip(node.ops, node.comparators, strict=True):
            one = self._pair(op, left, right)
            result = one if result is None else result & one
            left = right
        return result

    def _pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        if isinstance(op, ast.In | ast.NotIn):
            assert isinstance(right, ast.List | ast.Tuple)
            found = _boolean(np.zeros(len(self._table), dtype=bool), None)
            for item in right.elts:
                found = found | self._pair(ast.Eq(), left, item)
            return ~found if isinstance(op, ast.NotIn) else found
        a, b = self.value(left), self.value(right)
        if isinstance(a, _Truth) or isinstance(b, _Truth):
            raise self._error(left, "a condition cannot be compared; use and, or, not")
        if isinstance(a, _Words) != isinstance(b, _Words):
            raise self._error(right, "words and numbers cannot be compared")
        if isinstance(a, _Words) and not isinstance(op, _UNORDERED):
            return self._ordered(op, a, b, right)
        elif isinstance(a, _Words):
            a, b = (np.broadcast_to(np.array(w.values, dtype=object), self._shape) for w in (a, b))
            missing = np.array([x is None or y is None for x, y in zip(a, b, strict=True)], bool)
            return _boolean(_COMPARISONS[type(op)](a, b).astype(bool), missing)
        a, b = (np.broadcast_to(np.asarray(x, dtype=float), self._shape) for x in (a, b))
        return _boolean(_COMPARISONS[type(op)](a, b), np.isnan(a) | np.isnan(b))

    def _ordered(self, op: ast.cmpop, a: _Words, b: _Words, node: ast.expr) -> Any:
        """Compares words by the places of levels: true or false where that is sure.

        A bound that contains finer levels begins where they do: `>= 'II'` is from IIA on, and
        `> 'II'` beyond IIC. Between two columns nothing less than all of the parts decides.
        """
        if isinstance(op, ast.Lt | ast.LtE):
            if isinstance(b.values, str):
                return ~self._ordered(ast.GtE() if isinstance(op, ast.Lt) else ast.Gt(), a, b, node)
            return self._ordered(ast.Gt() if isinstance(op, ast.Lt) else ast.GtE(), b, a, node)
        if isinstance(a.values, str) and not isinstance(b.values, str):
            flipped = ast.Lt() if isinstance(op, ast.Gt) else ast.LtE()
            return self._ordered(flipped, b, a, node)
        ends = self._ranks(node, a, b)
        (low, high), (first, last) = (np.broadcast_to(x, (2, *self._shape)) for x in ends)
        bound = isinstance(b.values, str)
        if isinstance(op, ast.Gt):
            true, false = low > last, high <= (last if bound else first)
        else:
            true, false = low >= (first if bound else last), high < first
        return _boolean(true, ~(true | false))

    def _ranks(self, node: ast.expr, a: _Words, b: _Words) -> tuple[np.ndarray, np.ndarray]:
        """First and last places of words among the levels of the ordinal column beside them."""
        levels = a.levels or b.levels
        if not levels:
            raise self._error(node, "words have an order only beside an ordinal column")
        if a.levels and b.levels and a.levels != b.levels:
            raise self._error(node, "the two columns have different levels")
        ends = {level.casefold(): span for level, span in spans(levels).items()}
        ranks = []
        for words in (a, b):
            folded = [level.casefold() for level in levels]
            if isinstance(words.values, str) and words.values not in folded:
                raise self._error(
                    node, f"{words.values!r} is none of the levels {', '.join(folded)}"
                )
            if isinstance(words.values, str) and words.values not in ends:
                raise self._error(node, f"{words.values!r} has no place among the levels")
            listed = np.atleast_1d(np.array(words.values, dtype=object))
            nowhere = (np.nan, np.nan)
            ranks.append(np.array([nowhere if w is None else ends.get(w, nowhere) for w in listed]))
        first, second = ranks
        return first.T, second.T

    @property
    def _shape(self) -> tuple[int]:
        return (len(self._table),)

    def _error(self, node: ast.expr, reason: str) -> DataError:
        return _refusal(node, self._expression.text, reason)


def _boolean(true: np.ndarray, missing: np.ndarray | None) -> Any:
    mask = np.zeros(len(true), dtype=bool) if missing is None else np.array(missing, dtype=bool)
    return pd.arrays.BooleanArray(np.array(true, dtype=bool) & ~mask, mask)
