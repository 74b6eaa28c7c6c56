"""Trials in forked processes with limits, and what became of each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from featurestore.errors import MelafuseError

Fate = Literal["right", "refused", "silent", "traceback", "hang", "crash"]
BAD: tuple[Fate, ...] = ("silent", "traceback", "hang", "crash")
MEMORY_BYTES = 5_000_000_000
"""Beyond what the process has when it is forked."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        fate: `right` where the result was that of the undamaged, `refused` where one line said
            what is wrong; the others are failures.
        text: What was said.
        count: How many trials of this fate it stands for.
    """

    fate: Fate
    text: str = ""
    count: int = 1


class Silent(Exception):
    """A damaged input changed a result without a word."""


def in_child(trial: Callable[[], object], seconds: float) -> Outcome:
    """Runs a trial in a forked process.

    Args:
        trial: Returns where the result is right; raises `Silent` where it changed, and anything
            else as the product does.
        seconds: Longer is a hang.
    """
    with tempfile.NamedTemporaryFile("r+") as told:
        child = os.fork()
        if not child:
            _run(trial, Path(told.name))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.005)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Outcome("hang", f"after {seconds:g} s")
        text = told.read()
    if not text:
        return Outcome("crash", f"status {status}")
    return Outcome(**json.loads(text))


def _run(trial: Callable[[], object], told: Path) -> None:
    """In the child; never returns."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
                trial()
            outcome = Outcome("right")
        except MelafuseError as error:
            one_line = "\n" not in str(error)
            outcome = Outcome("refused" if one_line else "traceback", str(error)[:500])
        except Silent as error:
            outcome = Outcome("silent", str(error)[:500])
        except BaseException as error:
            where = "".join(traceback.format_exception(error)[-4:])
            outcome = Outcome("traceback", where[-1500:])
        told.write_text(json.dumps(dataclasses.asdict(outcome)))
    finally:
        os._exit(0)


def command(arguments: list[str], seconds: float, before: Callable[[], None]) -> tuple[int, str]:
    """Runs the command line in a forked process that has everything imported.

    Args:
        arguments: As a person types them.
        seconds: Longer is a hang.
        before: Called in the child before the command.

    Returns:
        Exit code, and what standard error says; -1 for a hang.
    """
    with tempfile.NamedTemporaryFile("r+") as errors:
        child = os.fork()
        if not child:
            _type(arguments, Path(errors.name), before)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), errors.read()
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return -1, "hang"


def _type(arguments: list[str], errors: Path, before: Callable[[], None]) -> None:
    code = 1
    try:
        descriptor = os.open(errors, os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["melafuse", *arguments]
        from cli import main

        before()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0) if isinstance(ended.code, int | None) else 1
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
