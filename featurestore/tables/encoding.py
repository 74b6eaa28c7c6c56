"""Bytes of a text file to text: UTF-8 and UTF-16, else what the bytes leave no doubt about.

Nothing in a file says which of the older encodings it has. Two are common in what hospitals export
and can be told from the rest: Windows-1252 (Western Europe) and GB18030 (China). Anything else is
a question to its owner, because a wrong guess gives other words without a sign of it.
"""

from __future__ import annotations

import codecs
import re

from featurestore.errors import DataError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_LEVEL_ONE = range(0xB0, 0xD8)
"""First bytes of the 3,755 usual characters of GB 2312; rarer ones follow."""
_USUAL_SHARE = 0.8
_LAST_HANGUL = 0xC8
"""Korean text has the same form, with first bytes up to this one only."""
_KANA = (0xA4, 0xA5)
# Letters of Western European languages, and the signs that measurements and prose use.
_WESTERN = frozenset("äöüßÄÖÜàâæçéèêëîïôœùûÿÀÂÆÇÉÈÊËÎÏÔŒÙÛáíóúñÁÍÓÚÑãõÃÕåøÅØìòÌÒ")
_SIGNS = frozenset("µ°±²³¹½¼¾×÷·§©®™€£¥¢ªº«»‹›„“”‘’‚–—…•†‡¿¡´¨\u00a0\u00ad‰¬¦")
_LONGEST_RUN = 2
"""Western words hold accented letters one by one; other alphabets fill whole words with them."""


def decode(raw: bytes, name: str, final: bool = True) -> str:
    """The text of a file.

    Args:
        raw: Its bytes, or the first of them.
        name: The file, for messages.
        final: Whether `raw` ends where the file ends; else the last character may be cut.

    Raises:
        DataError: The bytes are damaged, or no encoding is certain.
    """
    encoding = next((stated for bom, stated in BOMS if raw.startswith(bom)), "utf-8")
    try:
        return codecs.getincrementaldecoder(encoding)().decode(raw, final=final)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise DataError(f"{name}: damaged {encoding} text") from None
    if _is_chinese(raw, final):
        return codecs.getincrementaldecoder("gb18030")().decode(raw, final=final)
    text = _western(raw)
    if text is None:
        raise DataError(
            f"{name} is neither UTF-8 nor in another encoding that can be told for certain; save "
            "it as UTF-8 (in a spreadsheet: CSV UTF-8)"
        )
    return text


def _is_chinese(raw: bytes, final: bool) -> bool:
    """Whether all bytes above ASCII are pairs of GB 2312, most of them usual characters.

    Text that may as well be Korean or Japanese is not.
    """
    runs = _HIGH_RUN.findall(raw)
    pairs = [(run[k], run[k + 1]) for run in runs for k in range(0, len(run) - 1, 2)]
    whole = runs if final or not raw.endswith(runs[-1]) else runs[:-1]
    if not pairs or any(len(run) % 2 for run in whole):
        return False
    if any(not (0xA1 <= a <= 0xF7 and b >= 0xA1) for a, b in pairs):
        return False
    characters = [a for a, _ in pairs if a >= 0xB0]
    if not characters or max(characters) <= _LAST_HANGUL or any(a in _KANA for a, _ in pairs):
        return False
    return sum(a in _LEVEL_ONE for a in characters) >= _USUAL_SHARE * len(characters)


def _western(raw: bytes) -> str | None:
    """The text as Windows-1252, if it looks like a Western European language."""
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return None
    high = [c for c in text if not c.isascii()]
    if any(c not in _WESTERN and c not in _SIGNS for c in high):
        return None
    runs = re.findall(rf"[{''.join(sorted(_WESTERN))}]+", text)
    return text if all(len(run) <= _LONGEST_RUN for run in runs) else None
