"""Trials on disks that fail in the middle of a command: one line, and the repetition succeeds."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.torture.children import Outcome, command
from benchmarks.torture.material import Material, plain_study
from fusion.paths import ProjectPaths

SECONDS = 240.0
_OPEN, _WRITE, _SYNC, _RENAME, _LOCK, _READ, _MAKE = (1 << k for k in range(7))
_FAULTS = (
    ("full", errno.ENOSPC, _WRITE | _SYNC | _MAKE),
    ("full", errno.ENOSPC, _WRITE),
    ("quota", errno.EDQUOT, _WRITE | _RENAME),
    ("I/O error", errno.EIO, _WRITE | _READ | _SYNC),
    ("I/O error", errno.EIO, _READ),
    ("I/O error", errno.EIO, _SYNC),
    ("stale", errno.ESTALE, _OPEN | _READ | _WRITE),
    ("stale", errno.ESTALE, _READ),
    ("no locks", errno.ENOLCK, _LOCK),
    ("read-only", errno.EROFS, _OPEN | _MAKE | _RENAME),
    ("permission", errno.EACCES, _OPEN),
    ("permission", errno.EACCES, _MAKE | _RENAME),
)
_CODES = {0, 2, 4, 5}


def with_faults() -> bool:
    """Restarts the process with the library that fails calls; False where it cannot be built."""
    if "TORTURE_LIBRARY" in os.environ:
        return True
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return False
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"torture-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
        capture_output=True,
    )
    if built.returncode:
        return False
    environment = os.environ | {"LD_PRELOAD": str(library), "TORTURE_LIBRARY": str(library)}
    os.execve(
        sys.executable, [sys.executable, "-m", "benchmarks.torture", *sys.argv[1:]], environment
    )


def trials(material: Material, rng: random.Random) -> Iterator[tuple[str, Outcome]]:
    """Fails one disk after another, for ever."""
    root = material.root / "disks"
    finished = root / "finished"
    shutil.rmtree(root, ignore_errors=True)
    config = plain_study(root / "study")
    code, said = command(_ablate(config, finished), SECONDS, _nothing)
    if code:
        raise RuntimeError(said)
    expected = (finished / "predictions.parquet").read_bytes()
    while True:
        name = rng.choice(list(_COMMANDS))
        fault, error, kinds = rng.choice(_FAULTS)
        place = root / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        arguments, begins_with = _COMMANDS[name]
        if begins_with:
            shutil.copytree(finished, place / "run")
        typed = arguments(material, config, place)
        after = rng.choice([0, 1, 2, 3, rng.randrange(20), rng.randrange(200), rng.randrange(2000)])
        arm = _arming(kinds, error, after, place)
        code, said = command(typed, SECONDS, arm)
        yield f"{name}, {fault}", _judge(name, typed, code, said, place, expected)


def _judge(
    name: str, typed: list[str], code: int, said: str, place: Path, expected: bytes
) -> Outcome:
    first = _fate(code, said)
    if first is not None:
        return first
    again, told = command(typed, SECONDS, _nothing)
    if code == 0 and name in ("init", "store pack", "predict", "fit"):
        pass  # it succeeded at once, and says now that its file is there
    elif again:
        return Outcome(
            "traceback", f"the repetition ended with {again}: {told[-500:]} (first: {said[-300:]})"
        )
    made = place / "run" / "predictions.parquet"
    if name == "ablate" and made.read_bytes() != expected:
        return Outcome("silent", "other predictions after the repetition")
    return Outcome("right" if code == 0 else "refused", said[-300:])


def _fate(code: int, said: str) -> Outcome | None:
    """A failure, or None where the command ended as it should."""
    if code == -1:
        return Outcome("hang", said)
    if code < 0:
        return Outcome("crash", f"signal {-code}: {said[-300:]}")
    if "Traceback" in said or code not in _CODES:
        return Outcome("traceback", f"exit code {code}: {said[-1500:]}")
    lines = said.strip().splitlines()
    if code and not (lines and lines[-1].startswith("melafuse: ")):
        return Outcome("traceback", f"no line: {said[-500:]}")
    return None


def _arming(kinds: int, error: int, after: int, place: Path) -> Callable[[], None]:
    library = ctypes.CDLL(os.environ["TORTURE_LIBRARY"])
    return lambda: library.torture_arm(kinds, error, ctypes.c_long(after), os.fsencode(place))


def _nothing() -> None:
    """No fault."""


def _ablate(config: Path, out: Path) -> list[str]:
    return ["ablate", str(config), "--out", str(out), "--quiet"]


def _ablate_typed(material: Material, config: Path, place: Path) -> list[str]:
    return _ablate(config, place / "run")


def _init(material: Material, config: Path, place: Path) -> list[str]:
    return ["init", "--table", str(config.parent / "patients.csv"), "--out", str(place / "c.yaml")]


def _report(material: Material, config: Path, place: Path) -> list[str]:
    return ["report", str(place / "run")]


def _export(material: Material, config: Path, place: Path) -> list[str]:
    return ["export", str(config), "--out", str(place / "run"), "--format", "csv",
            "--format", "parquet", "--quiet"]  # fmt: skip


def _audit(material: Material, config: Path, place: Path) -> list[str]:
    return ["cohort", "describe", str(config), "--out", str(place / "run"), "--quiet"]


def _predict(material: Material, config: Path, place: Path) -> list[str]:
    return ["predict", str(material.bundle), "--metadata", str(_people(material)),
            "--out", str(place / "scores.csv"), "--format", "csv", "--quiet"]  # fmt: skip


def _pack(material: Material, config: Path, place: Path) -> list[str]:
    store = ProjectPaths(material.pictured).store("float32")
    return ["store", "pack", str(store), str(place / "packed.h5")]


def _fit(material: Material, config: Path, place: Path) -> list[str]:
    return ["fit", str(config), "--run", str(place / "run"), "--out", str(place / "bundle"),
            "--arm", "logistic_regression[clinical]", "--replicates", "1", "--quiet"]  # fmt: skip


def _people(material: Material) -> Path:
    path = material.root / "people.csv"
    if not path.exists():
        path.write_text("patient_id,age\n" + "".join(f"P{k},{40 + k % 40}\n" for k in range(80)))
    return path


_COMMANDS: dict[str, tuple[Callable[[Material, Path, Path], list[str]], bool]] = {
    "init": (_init, False),
    "ablate": (_ablate_typed, False),
    "ablate again": (_ablate_typed, True),
    "report": (_report, True),
    "export": (_export, True),
    "cohort describe": (_audit, False),
    "predict": (_predict, False),
    "store pack": (_pack, False),
    "fit": (_fit, True),
}
"""By name: what is typed, and whether a finished run is there before."""
