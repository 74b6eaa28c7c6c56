"""Older encodings are told for certain or asked about, never guessed into other words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables.encoding import decode


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe (µm),Straße,naïve,œuvre\nMelanom „in situ“,±3 °C – “x”", "cp1252"),
        ("Müller,Köln", "latin-1"),
        ("患者编号,年龄,性别\nP1,30,女\n恶性黑色素瘤", "gbk"),
        ("病人,诊断\n1,良性痣", "gb18030"),
        ("Größe,年龄,ulcéré", "utf-8"),
        ("Größe,年龄", "utf-8-sig"),
        ("Größe,年龄", "utf-16"),
    ],
)
def test_texts_come_back(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), "t.csv") == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("пациент,возраст\nмужчина", "cp1251"),
        ("患者編號,年齡,性別", "big5"),
        ("患者番号,年齢", "shift_jis"),
        ("環者,ねんれい", "euc_jp"),
        ("환자번호,나이", "euc_kr"),
        ("věk,ženy", "cp1250"),
        ("ηλικία", "cp1253"),
        ("Größe", "mac_roman"),
    ],
)
def test_what_is_not_certain_is_a_question(text: str, encoding: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv is neither UTF-8 .*; save it as UTF-8"):
        decode(text.encode(encoding), "t.csv")


@settings(deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_text_or_a_question(raw: bytes, final: bool) -> None:
    try:
        text = decode(raw, "t", final)
    except DataError as error:
        text = str(error).splitlines()[0]
    assert isinstance(text, str)


def test_a_character_that_the_end_cuts_is_left_out() -> None:
    raw = "患者编号,年龄".encode("gbk")
    assert decode(raw[:-1], "t", final=False) == "患者编号,年"
