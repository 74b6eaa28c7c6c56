"""A PostgreSQL server of its own for a test: started, crashed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")


class Server:
    """A server on a free port of this machine.

    Attributes:
        url: Of its database, as a configuration takes it.
    """

    def __init__(self, programs: Path, folder: Path, as_whom: dict[str, Any]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._programs, self._folder, self._as_whom = programs, folder, as_whom
        self._call("initdb", "--auth=trust", "--username=postgres", "--no-sync")

    def start(self) -> None:
        """Starts it, and waits until it answers; after a crash it recovers first."""
        options = f"-c listen_addresses=127.0.0.1 -p {self._port} -k {self._folder}"
        log = str(self._folder / "log")
        self._call("pg_ctl", "start", "--wait", "--log", log, "--options", options)

    def crash(self) -> None:
        """Ends it at once, as a power failure would: nothing is written any more."""
        self._call("pg_ctl", "stop", "--mode=immediate")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=120,
            **self._as_whom,
        )


@contextmanager
def postgres() -> Iterator[Server]:
    """Starts a server; skips the test where there is none, or nobody who may run it."""
    pytest.importorskip("psycopg", reason="the extra `cluster` is not installed")
    found = shutil.which("initdb") or next(
        (str(p) for place in PLACES for p in Path("/").glob(f"{place[1:]}/initdb")), None
    )
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    as_whom: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # below a folder that other users may enter
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        import pwd

        names = {one.pw_name for one in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no other user")
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_whom = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        server = Server(Path(found).parent, folder, as_whom)
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
