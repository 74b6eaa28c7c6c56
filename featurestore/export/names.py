"""Names that Stata, SPSS, SAS and R all accept, and that are the same in every run.

The rule: `[a-z][a-z0-9_]*`, at most 32 characters (27 where value labels may be needed), unique
without case, no reserved word. A name that has to be shortened, or that clashes with another one,
ends in six digits of the SHA-256 of the original, so it depends neither on the order of columns nor
on chance.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

from featurestore.errors import DataError, name_some

MAX_NAME = 32
MAX_CODED_NAME = 27
"""ReadStat names a set of value labels in a dta file after its variable and up to five digits."""

_DIGEST = 6

_STATA = """byte double float if in int long strl using with"""
_SPSS = """all and by eq ge gt le lt ne not or to"""
_SAS = """do else end data run proc"""
_R = """break false for function inf na nan next null repeat return true while"""
RESERVED = frozenset(" ".join((_STATA, _SPSS, _SAS, _R)).split())
"""Words, in lower case, that one of the programs reads as something else than a variable."""

_STATA_STRING_TYPE = re.compile(r"str\d+")


def export_names(originals: Iterable[str], coded: Collection[str] = ()) -> dict[str, str]:
    """Finds an exported name for each original name.

    A name that follows the rule already stays as it is. Of the others those that would become the
    same get a suffix each.

    Args:
        originals: The names.
        coded: Those of them whose variables may have value labels.

    Raises:
        DataError: An original name stands twice.
    """
    listed = list(originals)
    twice = sorted(name for name, count in Counter(listed).items() if count > 1)
    if twice:
        raise DataError(f"two columns have the same name: {name_some(twice)}")
    limits = {name: MAX_CODED_NAME if name in coded else MAX_NAME for name in listed}
    plain = {original: _plain(original, limits[original]) for original in listed}
    shared = Counter(plain.values())
    names = {
        original: name
        if name == original or shared[name] == 1
        else _suffixed(name, original, limits[original])
        for original, name in plain.items()
    }
    clashing = sorted(name for name, count in Counter(names.values()).items() if count > 1)
    if clashing:  # six digits of two digests are the same, or an original spells a suffixed name
        raise DataError(f"columns cannot be told apart after renaming: {name_some(clashing)}")
    return names


def export_name(original: str) -> str:
    """Exported name of a single thing, such as a table."""
    return export_names([original])[original]


def _plain(original: str, limit: int) -> str:
    ascii_only = unicodedata.normalize("NFKD", original).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")
    if original and re.fullmatch(r"[a-z][a-z0-9_]*", original):
        name = original  # as allowed as it is, with all its underscores
    if not re.match(r"[a-z]", name):
        name = f"v_{name}".rstrip("_")
    if name in RESERVED or _STATA_STRING_TYPE.fullmatch(name):
        name = f"{name}_v"
    return _suffixed(name, original, limit) if len(name) > limit else name


def _suffixed(name: str, original: str, limit: int) -> str:
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[: limit - _DIGEST - 1].rstrip('_')}_{digest}"
