"""A failing disk is one line with the place and what to do."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from locations import ROOT

from featurestore.disk import disk_line, reason


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is None:
            raise error
        try:
            raise cause
        except BaseException as inner:
            raise error from inner
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.ENOLCK, errno.EROFS])
def test_the_line_names_place_reason_and_advice(code: int) -> None:
    line = disk_line(raised(OSError(code, os.strerror(code), "/data/a.h5")))
    assert line is not None
    assert line.startswith(f"/data/a.h5: {os.strerror(code)}; ")
    assert "\n" not in line
    wrapped = disk_line(raised(RuntimeError("in a library"), OSError(code, "x", b"/data/b", None)))
    assert wrapped is not None
    assert wrapped.startswith("/data/b: x; ")


def test_a_bug_stays_a_bug() -> None:
    assert disk_line(raised(ValueError("x"))) is None
    assert disk_line(raised(KeyError("x"), FileNotFoundError(errno.ENOENT, "none", "/a"))) is None
    assert disk_line(raised(OSError("Unable to open file"))) is None


def test_memory_that_ran_out_is_a_line() -> None:
    assert "not enough memory" in (disk_line(raised(MemoryError())) or "")


def command(arguments: list[str], folder: Path, most: int | None = None) -> tuple[int, str]:
    """Runs the command line; files may not grow beyond `most` bytes."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    return done.returncode, done.stderr


def test_init_on_a_full_disk_leaves_nothing_in_its_way(tmp_path: Path) -> None:
    rows = "".join(f"P{k},{40 + k},{k % 2}\n" for k in range(40))
    (tmp_path / "t.csv").write_text("patient_id,age,outcome\n" + rows)
    arguments = ["init", "--table", "t.csv", "--out", "new/c.yaml"]
    code, said = command(arguments, tmp_path, most=100)
    assert code == 2, said
    assert said.count("\n") == 1
    assert said.startswith("melafuse: cannot write new/c.yaml: File too large")
    code, said = command(arguments, tmp_path)
    assert code == 0, said
    assert (tmp_path / "new" / "c.yaml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_hdf5_buries_the_reason_and_it_is_found() -> None:
    text = "file write failed: time = now, file descriptor = 4, errno = 28, error message"
    assert reason(OSError(text)) == os.strerror(errno.ENOSPC)
    assert reason(RuntimeError("Can't\n decrement id")) == "Can't decrement id"
    assert reason(OSError(errno.EIO, "x")) == "x"
    # h5py gives the number and the lines at once.
    several = "Unable to open file (file read failed: time = now\n, errno = 116, error message"
    assert reason(OSError(errno.ESTALE, several)) == os.strerror(errno.ESTALE)
    assert reason(OSError(errno.EIO, "read\nfailed")) == "read failed"
    line = disk_line(OSError(errno.ESTALE, several, "a.h5"))
    assert line is not None
    assert line.startswith(f"a.h5: {os.strerror(errno.ESTALE)}; ")
