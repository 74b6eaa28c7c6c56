"""Trials with hostile configurations, tables and JSON: read, or refused in a line, in time."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.torture.children import Outcome, Silent, in_child
from benchmarks.torture.damage import spoil
from benchmarks.torture.material import PICTURED, Material
from featurestore.config import load_config
from featurestore.errors import DataError
from featurestore.images import inspect_image
from featurestore.json_text import parse_json
from featurestore.tables import read_head, read_table
from fusion.config import RunConfig
from fusion.predict.reading import _json_rows

SECONDS = 60.0


def trials(material: Material, rng: random.Random) -> Iterator[tuple[str, Outcome]]:
    """Feeds one input after another, for ever."""
    folder = material.root / "inputs"
    folder.mkdir(exist_ok=True)
    while True:
        name = rng.choice(list(_MAKERS))
        trial = _MAKERS[name](folder, rng)
        yield name, in_child(trial, SECONDS)


def _yaml(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "c.yaml"
    depth = rng.randrange(1, 60_000)
    laughs = "\n".join(
        ["a0: &a0 [x, x]"]
        + [f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}, *a{k - 1}]" for k in range(1, 60)]
    )
    text = rng.choice(
        [
            PICTURED + "\n" + laughs,
            "x: " + "[" * depth,
            "x: " + "{a: " * depth,
            "- " * depth,
            PICTURED + "\nseed: 4\n",
            PICTURED.replace("seed: 3", f"seed: {'9' * rng.randrange(1, 9000)}"),
            PICTURED.replace("seed: 3", "seed: 0x" + "f" * rng.randrange(1, 9000)),
            PICTURED.replace("seed: 3", rng.choice(_ODD_SCALARS)),
            PICTURED.replace(
                "pictured", rng.choice(["!!python/name:os.system", "!!binary a", "~"])
            ),
            "&a a: *a",
            "? " * depth,
            'x: "' + "\\u0041" * 20_000 + '"',
            "%YAML 9.9\n---\nname: x",
            spoil(PICTURED.encode(), rng).decode("latin-1"),
        ]
    )
    path.write_bytes(text.encode("utf-8", "replace")[:1_000_000])
    return lambda: load_config(RunConfig, path)


_ODD_SCALARS = [
    "seed: .nan", "seed: .inf", "seed: 2001-99-99", "seed: !!float ''", "seed: !!int ''",
    "seed: !!timestamp x", "seed: !!bool x", "seed: !!set {1, 2}", "1: 2", "[a]: 3", "null: 3",
    "seed: 1:99:99", "seed: \"\\ud800\"", "seed: !!omap [a]", "seed: !!pairs x", "true: false",
]  # fmt: skip


def _json(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "p.json"
    depth = rng.randrange(1, 200_000)
    text = rng.choice(
        [
            "[" * depth,
            '{"a":' * depth,
            '{"age": 3, "age": 4}',
            '{"age": NaN}',
            '{"age": 1e999}',
            '{"age": -Infinity}',
            '{"age": "\\ud800"}',
            '{"\\udfff": 1}',
            '{"age": ' + "9" * rng.randrange(1, 100_000) + "}",
            json.dumps(
                {"".join(rng.choices(string.printable, k=9)): rng.random() for _ in range(9)}
            ),
            "\ufeff{}",
            "[" + "{}," * 100_000 + "{}]",
        ]
    )
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(spoil(data, rng) if rng.random() < 0.3 else data)

    def read() -> None:
        rows = _json_rows(path)
        json.dumps(rows, allow_nan=False, ensure_ascii=False).encode()
        if len(parse_json(json.dumps(rows))) != len(rows):
            raise Silent("rows are lost")

    return read


def _delimited(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "t.csv"
    n = rng.choice([1_000, 100_000, 3_000_000, 20_000_000])
    data = rng.choice(
        [
            b"a" * n + b"\n1\n",
            b"," * n + b"\n1\n",
            b"\t" * n + b"\n1\n",
            b'a,"' + b"x" * n + b"\n1,2\n",
            b"a,b\n" + b"1,2\n" * (n // 100),
            b"\xff\xfe" + b"a\x00,\x00" * (n // 10),
            b"a,b\n" + b'"' * n,
            b"#" * n + b"\na,b\n1,2\n",
            b"a;b\r1;2\r" * (n // 100),
            b"\x00" * n,
        ]
    )
    path.write_bytes(data)

    def read() -> None:
        read_head(path)
        read_table(path)

    return read


def _parquet(folder: Path, rng: random.Random) -> Callable[[], object]:
    path = folder / "t.parquet"
    rows = rng.choice([10, 1_000, 3_000_000, 50_000_000])
    values: Any = rng.choice([np.zeros(rows, dtype=np.int8), np.arange(rows, dtype=np.int32)])
    table = pa.table({"a": pa.array(values), "b": pa.nulls(rows, pa.string())})
    pq.write_table(table, path, compression="zstd")
    data = path.read_bytes()
    if rng.random() < 0.7:
        path.write_bytes(spoil(data, rng) if rng.random() < 0.5 else _promising(data, rng))

    def read() -> None:
        read_head(path)
        found = read_table(path)
        if rows < 1_000_000 and len(found) not in (rows, 0):
            raise DataError("another number of rows")  # the format has no checksum of its own

    return read


def _promising(data: bytes, rng: random.Random) -> bytes:
    """Other numbers in the footer."""
    changed = bytearray(data)
    size = int.from_bytes(data[-8:-4], "little")
    for _ in range(rng.randrange(1, 6)):
        changed[-8 - rng.randrange(1, max(2, size))] = rng.randrange(256)
    return bytes(changed)


def _image(folder: Path, rng: random.Random) -> Callable[[], object]:
    import io

    from PIL import Image

    side = rng.choice([64, 1000, 3000])
    form = rng.choice(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "JPEG2000"])
    buffer = io.BytesIO()
    picture = Image.new("RGB", (side, side), (120, 80, 60))
    more = {"progressive": True} if form == "JPEG" else {}
    picture.save(buffer, form, **more)
    data = buffer.getvalue()
    if form == "JPEG" and rng.random() < 0.7:
        scan = data[data.rfind(b"\xff\xda") : -2]
        data = data[:-2] + scan * rng.choice([5, 30, 300, 8000]) + data[-2:]
    path = folder / "i.bin"
    path.write_bytes(spoil(data, rng) if rng.random() < 0.6 else data)
    return lambda: inspect_image(path, 200_000_000)


_MAKERS: dict[str, Callable[[Path, random.Random], Callable[[], object]]] = {
    "YAML": _yaml,
    "JSON": _json,
    "delimited text": _delimited,
    "Parquet": _parquet,
    "images": _image,
}
