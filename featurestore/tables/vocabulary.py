"""The canonical vocabulary: what clinical and genomic columns are called in every source.

A reader maps a file's headers to these names; how a text becomes a value is decided here, once.
A new column is one line in `VOCABULARY`.

Staging follows the AJCC manual (levels of editions 6 to 8). Values that name no level on purpose
(TX, NX, MX, `Stage X`) are missing; values that are too coarse (`I/II NOS`) or wrong are missing
too and reported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column, Kind, Measured
from featurestore.tables.parsing import BINARY_TEXTS, Parsed, parse_numbers

GENE_PREFIXES = {"mut_": "mutation", "expr_": "expression"}
"""Prefix of a gene's column and its group."""

STAGES: tuple[str, ...] = (
    *("0", "I", "IA", "IB", "IC", "II", "IIA", "IIB", "IIC"),
    *("III", "IIIA", "IIIB", "IIIC", "IIID", "IV"),
)
T_STAGES: tuple[str, ...] = (
    *("T0", "Tis", "T1", "T1a", "T1b", "T2", "T2a", "T2b"),
    *("T3", "T3a", "T3b", "T4", "T4a", "T4b"),
)
N_STAGES = ("N0", "N1", "N1a", "N1b", "N1c", "N2", "N2a", "N2b", "N2c", "N3", "N3a", "N3b", "N3c")
M_STAGES = ("M0", "M1", "M1a", "M1b", "M1c", "M1d")
CLARK_LEVELS = ("I", "II", "III", "IV", "V")

Reader = Callable[[pd.Series, str], Parsed]
"""Text with NaN for missing, and file and column for messages -> typed values and rejected texts.
Raises DataError where a column cannot be what it is said to be."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One canonical column.

    Attributes:
        column: Its dictionary entry, without source column and missing tokens.
        read: How its texts become values.
    """

    column: Column
    read: Reader


def find_term(name: str) -> Term:
    """Looks a canonical column up; `mut_GENE` and `expr_GENE` exist for every gene.

    Raises:
        DataError: There is no such column.
    """
    if name in VOCABULARY:
        return VOCABULARY[name]
    for prefix, group in GENE_PREFIXES.items():
        gene = name.removeprefix(prefix)
        if name.startswith(prefix) and gene:
            return _mutated(name, gene) if group == "mutation" else _expressed(name, gene)
    raise DataError(f"no canonical column {name!r}; known: {', '.join(VOCABULARY)}, mut_*, expr_*")


def _mutated(name: str, gene: str) -> Term:
    column = Column(name, "binary", "mutation", f"{gene} mutated", measured="specimen")
    return Term(column, _binary)


def _expressed(name: str, gene: str) -> Term:
    unit = "log2(x+1)"
    column = Column(name, "expression", "expression", gene, unit, measured="specimen")
    return Term(column, parse_numbers)


def _choices(table: Mapping[str, str]) -> Reader:
    """Reads texts by a table of spellings (case, spaces and punctuation do not matter)."""
    known = {_plain(text): level for text, level in table.items()}

    def read(texts: pd.Series, where: str) -> Parsed:
        values = texts.map(lambda text: known.get(_plain(text)), na_action="ignore")
        return _checked(texts, values.astype("str"), where)

    return read


def _pattern(pattern: str, levels: tuple[str, ...], absent: str) -> Reader:
    """Reads texts whose level is the first group of a pattern.

    Args:
        pattern: Regular expression over the text without spaces, without case.
        levels: Allowed levels.
        absent: Pattern of texts that say that no level was assigned; they are missing.
    """
    spelling = {level.casefold(): level for level in levels}
    matcher, nothing = re.compile(pattern, re.IGNORECASE), re.compile(absent, re.IGNORECASE)

    def level_of(text: str) -> str | None:
        match = matcher.fullmatch(re.sub(r"\s+", "", text))
        return spelling.get(match.group(1).casefold()) if match else None

    def read(texts: pd.Series, where: str) -> Parsed:
        compact = texts.str.replace(r"\s+", "", regex=True)
        unassigned = compact.map(lambda t: isinstance(t, str) and bool(nothing.fullmatch(t)))
        stated = texts.mask(unassigned.astype(bool))
        return _checked(stated, stated.map(level_of, na_action="ignore").astype("str"), where)

    return read


def _binary(texts: pd.Series, where: str) -> Parsed:
    values = texts.map(lambda text: BINARY_TEXTS.get(text.casefold()), na_action="ignore")
    return _checked(texts, values.astype(float), where)


def _binary_with(yes: tuple[str, ...], no: tuple[str, ...]) -> Reader:
    known = BINARY_TEXTS | {_plain(t): 1.0 for t in yes} | {_plain(t): 0.0 for t in no}

    def read(texts: pd.Series, where: str) -> Parsed:
        values = texts.map(
            lambda text: known.get(_plain(text), known.get(text.casefold())), na_action="ignore"
        )
        return _checked(texts, values.astype(float), where)

    return read


def _numbers(low: float, high: float) -> Reader:
    """Reads numbers in a range; one outside is no measurement and is rejected."""

    def read(texts: pd.Series, where: str) -> Parsed:
        parsed = parse_numbers(texts, where)
        outside = parsed.values.notna() & ~parsed.values.between(low, high)
        rejected = texts[outside | texts.index.isin(parsed.rejected.index)]
        return Parsed(parsed.values.mask(outside), rejected)

    return read


def _checked(texts: pd.Series, values: pd.Series, where: str) -> Parsed:
    """Rejects the texts without a value; none understood at all is a wrong column."""
    rejected = texts[texts.notna() & values.isna()]
    known = texts.notna().sum()
    if known and len(rejected) == known:
        examples = ", ".join(repr(t) for t in sorted(set(rejected))[:3])
        raise DataError(
            f"{where}: none of its {known} values is understood, for example {examples}"
        )
    return Parsed(values, rejected)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", str(text)).casefold()


_SEX = _choices({"female": "female", "f": "female", "male": "male", "m": "male"})
_RACE = _choices(
    {
        "white": "white",
        "asian": "asian",
        "black or african american": "black or african american",
        "american indian or alaska native": "american indian or alaska native",
        "native hawaiian or other pacific islander": "pacific islander",
        "other": "other",
    }
)
_BODY = {
    "extremities": "extremities",
    "extremity": "extremities",
    "upper extremity": "extremities",
    "lower extremity": "extremities",
    "trunk": "trunk",
    "head and neck": "head and neck",
    "head & neck": "head and neck",
    "other specify": "other",
    "other": "other",
}
_SPECIMEN = {
    "primary": "primary",
    "primary tumor": "primary",
    "primary solid tumor": "primary",
    "additional - new primary": "primary",
    "metastasis": "metastatic",
    "metastatic": "metastatic",
    "additional metastatic": "metastatic",
}
_SPECIMEN_SITES = {
    "primary tumor": "primary tumour",
    "regional cutaneous or subcutaneous tissue (includes satellite and in-transit metastasis)": (
        "regional skin"
    ),
    "regional lymph node": "regional lymph node",
    "distant metastasis": "distant",
}
_DEAD = (("dead", "deceased", "1:deceased"), ("alive", "living", "0:living"))
_TUMOUR = (("with tumor", "1:with tumor"), ("tumor free", "0:tumor free"))
_EVENT = (
    ("1:recurred/progressed", "1:recurrence/progression", "1:progression"),
    ("0:diseasefree", "0:censored"),
)


def _term(
    name: str,
    kind: Kind,
    group: str,
    label: str,
    measured: Measured,
    read: Reader,
    unit: str = "",
    levels: tuple[str, ...] = (),
) -> Term:
    return Term(Column(name, kind, group, label, unit, levels, measured=measured), read)


_AGE = _numbers(0, 120)
_DAYS = _numbers(-36_500, 36_500)
_WHOLE_LIFE = _numbers(0, 1_200)
_TERMS = (
    _term("age", "numeric", "demographic", "Age at diagnosis", "diagnosis", _AGE, "years"),
    _term("sex", "nominal", "demographic", "Sex", "diagnosis", _SEX, levels=("female", "male")),
    _term("race", "nominal", "demographic", "Race", "diagnosis", _RACE),
    _term(
        "stage",
        "ordinal",
        "staging",
        "AJCC stage",
        "diagnosis",
        _pattern(r"(?:stage)?(0|I{1,3}[A-D]?|IV)", STAGES, r"(?:stage)?X"),
        levels=STAGES,
    ),
    _term(
        "t_stage",
        "ordinal",
        "staging",
        "AJCC T",
        "diagnosis",
        _pattern(r"[pcy]?(T(?:0|is|[1-4][ab]?))", T_STAGES, r"[pcy]?TX"),
        levels=T_STAGES,
    ),
    _term(
        "n_stage",
        "ordinal",
        "staging",
        "AJCC N",
        "diagnosis",
        _pattern(r"[pcy]?(N(?:0|[1-3][abc]?))", N_STAGES, r"[pcy]?NX"),
        levels=N_STAGES,
    ),
    _term(
        "m_stage",
        "ordinal",
        "staging",
        "AJCC M",
        "diagnosis",
        _pattern(r"[pcy]?(M(?:0|1[a-d]?))(?:\([01]\))?", M_STAGES, r"[pcy]?MX"),
        levels=M_STAGES,
    ),
    _term(
        "breslow",
        "numeric",
        "histopathology",
        "Breslow thickness",
        "diagnosis",
        _numbers(0, 500),
        "mm",
    ),
    _term(
        "clark_level",
        "ordinal",
        "histopathology",
        "Clark level",
        "diagnosis",
        _pattern(r"(?:level|clark)?(I{1,3}|IV|V)", CLARK_LEVELS, r"unknown"),
        levels=CLARK_LEVELS,
    ),
    _term("ulceration", "binary", "histopathology", "Ulceration", "diagnosis", _binary),
    _term(
        "mitotic_rate",
        "numeric",
        "histopathology",
        "Mitotic rate",
        "diagnosis",
        _numbers(0, 500),
        "1/mm²",
    ),
    _term("tumour_site", "nominal", "lesion", "Site of the primary", "diagnosis", _choices(_BODY)),
    _term("primary_known", "binary", "lesion", "Primary known", "diagnosis", _binary),
    _term(
        "ldh",
        "nominal",
        "laboratory",
        "LDH",
        "diagnosis",
        _choices({"normal": "normal", "elevated": "elevated"}),
    ),
    _term(
        "diagnosis_year",
        "numeric",
        "administrative",
        "Year of diagnosis",
        "diagnosis",
        _numbers(1900, 2100),
        "year",
    ),
    _term("specimen_type", "nominal", "specimen", "Specimen", "specimen", _choices(_SPECIMEN)),
    _term(
        "specimen_site",
        "nominal",
        "specimen",
        "Where the specimen is from",
        "specimen",
        _choices(_SPECIMEN_SITES),
    ),
    _term(
        "days_to_specimen",
        "numeric",
        "specimen",
        "Diagnosis to specimen",
        "specimen",
        _DAYS,
        "days",
    ),
    _term(
        "mutation_count",
        "numeric",
        "mutation",
        "Mutations",
        "specimen",
        _numbers(0, 1e6),
        "mutations",
    ),
    _term(
        "tmb",
        "numeric",
        "mutation",
        "Tumour mutation burden",
        "specimen",
        _numbers(0, 1e5),
        "mutations/Mb",
    ),
    _term(
        "fraction_genome_altered",
        "numeric",
        "mutation",
        "Fraction of the genome altered",
        "specimen",
        _numbers(0, 1),
        "share",
    ),
    _term("vital_status", "binary", "follow_up", "Died", "follow_up", _binary_with(*_DEAD)),
    _term(
        "days_to_death", "numeric", "follow_up", "Diagnosis to death", "follow_up", _DAYS, "days"
    ),
    _term(
        "days_to_last_followup",
        "numeric",
        "follow_up",
        "Diagnosis to last contact",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "os_months", "numeric", "follow_up", "Overall survival", "follow_up", _WHOLE_LIFE, "months"
    ),
    _term(
        "dfs_months",
        "numeric",
        "follow_up",
        "Disease-free survival",
        "follow_up",
        _WHOLE_LIFE,
        "months",
    ),
    _term(
        "new_tumor_event",
        "binary",
        "follow_up",
        "New tumour event",
        "follow_up",
        _binary_with(*_EVENT),
    ),
    _term(
        "days_to_new_tumor_event",
        "numeric",
        "follow_up",
        "Diagnosis to new tumour event",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "distant_metastasis",
        "binary",
        "follow_up",
        "Distant metastasis",
        "follow_up",
        _binary,
    ),
    _term(
        "days_to_distant_metastasis",
        "numeric",
        "follow_up",
        "Diagnosis to distant metastasis",
        "follow_up",
        _DAYS,
        "days",
    ),
    _term(
        "tumour_status", "binary", "follow_up", "With tumour", "follow_up", _binary_with(*_TUMOUR)
    ),
)

VOCABULARY: dict[str, Term] = {term.column.name: term for term in _TERMS}
"""The canonical columns by name."""


def levels_of(values: pd.Series) -> tuple[str, ...]:
    """Levels of a nominal column that are there, sorted."""
    known = values.dropna()
    return tuple(sorted(str(v) for v in np.unique(known.astype(str)))) if len(known) else ()
