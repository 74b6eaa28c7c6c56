"""The door in this process: what a command prints, and the exit code that it ends with."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from locations import ROOT

import cli


def called(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Calls the command line as a process of its own would, without one.

    What `cli.main` sets for its process (mask of new files, handler of SIGTERM) is set back.
    """
    typed = [str(argument) for argument in arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    mask, handler = os.umask(0o077), signal.getsignal(signal.SIGTERM)
    os.umask(mask)
    with (
        contextlib.chdir(cwd),
        patch.object(sys, "argv", ["melafuse", *typed]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os.umask(mask)
            signal.signal(signal.SIGTERM, handler)
    return subprocess.CompletedProcess(typed, code, out.getvalue(), err.getvalue())
