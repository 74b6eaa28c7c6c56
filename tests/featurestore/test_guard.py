"""What the child gets through, and what ends it or its patience."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from featurestore import guard

ENDING = """
import os, sys
for path in sys.stdin.buffer.read().split(b"\\0")[:-1]:
    if b"worst" in path:
        os.kill(os.getpid(), 11)
    print(flush=True)
"""


def test_a_file_that_ends_the_child_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_COMMAND", (sys.executable, "-c", ENDING))
    paths = [tmp_path / name for name in ("a.h5", "worst.h5", "b.h5", "text.h5", "worst2.h5")]
    for path in paths:
        with h5py.File(path, "w") as file:
            file["features"] = np.zeros((2, 2))
    paths[3].write_text("no HDF5")
    refused = guard.unsound(paths)
    assert list(refused) == [paths[1], paths[4]]
    assert refused[paths[1]] == "reading it ends the HDF5 library: it is damaged"


def test_the_child_reads_what_readers_can_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((1, 30, 4), dtype=np.float16)
        file["ids"] = np.array(["a", "b"], dtype=object)
        file["deep/er/matrix"] = np.ones((30, 4))
        file["number"] = 1.0
        file["loop"] = file["/"]
        file.attrs["encoder"] = "uni"
        file["gone"] = h5py.SoftLink("/nowhere")
    assert guard.unsound([path]) == {}
    path.write_bytes(path.read_bytes()[:2000])
    assert guard.unsound([path]) == {}  # cut short: the readers say so


def test_a_child_that_nobody_waits_for_ends_itself(tmp_path: Path) -> None:
    """Whoever started it was killed, and the library hangs."""
    path = tmp_path / "endless.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**11, 5), np.float32, chunks=(10, 5))
    code = (
        "import featurestore.guard as guard, pathlib, sys; guard.SECONDS = -9\n"
        "path = sys.argv[1]; guard._end_after(pathlib.Path(path)); guard._read_all(path)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGALRM
