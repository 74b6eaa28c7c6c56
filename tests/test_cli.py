"""The door: what a person types, sees, and gets as exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from door_example import called
from locations import ROOT


def melafuse(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "cli.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        check=False,
    )


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys, cli\n"
        "try: cli.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'lightgbm', 'sklearn', 'pydantic'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in (
        "init",
        "doctor",
        "cohort",
        "run",
        "demo",
        "extract",
        "ablate",
        "export",
        "report",
        "store",
        "ladder",
        "fit",
        "predict",
        "serve",
    ):
        assert f"\n  {command}" in done.stdout
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", ["run", "extract", "ablate", "export"])
def test_a_missing_config_is_one_line(command: str, tmp_path: Path) -> None:
    done = called(command, tmp_path / "none.yaml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none.yaml: No such file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--set", "folds.n_fold=3"], "unknown key 'folds.n_fold'; did you mean 'n_folds'?", 2),
        (["--set", "export.formats=[xls]"], "unknown format 'xls'; known: csv, parquet", 2),
        (["--set", "cohort.outcome=metastases"], "unknown outcome 'metastases'", 2),
        (["--data-root", "nowhere"], "data root nowhere is not a folder", 2),
        (["--set", "ablation.models=[oracle]"], "oracle", 2),
        (["--set", "extract.device=tpu"], "tpu", 2),
        (["--set", "extract.backbones=[{name: resnet1}]"], "resnet18", 2),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], said: str, code: int, tmp_path: Path
) -> None:
    few, small = "cohort.sources.0.patients=40", "cohort.sources.0.image_pixels=[64, 72]"
    tiny = ["--set", few, "--set", small, "--out", str(tmp_path)]
    # The one that is found last is typed into a process: all that is imported is silent.
    door = melafuse if said == "tpu" else called
    done = door("run", ROOT / "configs" / "demo.yaml", "--quiet", *tiny, *arguments)
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert done.returncode == code


def test_a_folder_without_a_finished_run_is_one_line(tmp_path: Path) -> None:
    done = called("report", tmp_path, "--json")
    assert done.returncode == 4
    assert done.stdout == ""
    assert f"melafuse: {tmp_path} is no folder of a finished run: it has no" in done.stderr
    assert done.stderr.count("\n") == 1
    assert called("report").returncode == 2


def test_an_unknown_command_is_a_usage_error() -> None:
    done = melafuse("fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


@pytest.fixture
def a_store(tmp_path: Path) -> Path:
    from store_example import batch, identity

    from featurestore.store.store import FeatureStore

    with FeatureStore(tmp_path / "store").writer(identity(), shard_rows=4) as writer:
        writer.append(*batch(range(8)))
    return tmp_path / "store"


def test_store_commands(a_store: Path, tmp_path: Path) -> None:
    shown = called("store", "info", a_store).stdout
    assert "resnet18, 16-d, weights random(seed=0): 8 images in 2 shards" in shown
    assert "2 shards checked, 8 rows are right" in called("store", "verify", a_store).stdout
    assert "cached, as image" in called("store", "explain", a_store, "ISIC_0000003").stdout
    assert called("store", "pack", a_store, tmp_path / "out.h5").returncode == 0
    assert (tmp_path / "out.h5").exists()
    assert "0 entries, 0.0 MB removed" in called("store", "gc", a_store).stdout


def test_a_damaged_store_has_an_exit_code_of_its_own(a_store: Path, tmp_path: Path) -> None:
    shard = next(a_store.glob("encoders/*/shards/*.h5"))
    shard.write_bytes(shard.read_bytes()[:-3])
    done = called("store", "verify", a_store)
    assert done.returncode == 5
    assert "not one row can be read" in done.stdout
    assert "`melafuse store verify --repair`" in done.stderr
    assert called("store", "verify", a_store, "--repair").returncode == 0
    assert called("store", "verify", a_store).returncode == 0
    assert called("store", "info", tmp_path).returncode == 5


def with_a_command(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the door with one more command, whose body is given."""
    program = (
        "import os, pathlib, signal, sys, time\nimport cli\n"
        f"@cli.cli.command()\ndef trouble():\n    {body}\n"
        "sys.argv = ['melafuse', 'trouble']\ncli.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 143, "terminated; the same"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", 130, "interrupted; the same"),
        ("open('/dev/full', 'wb', 0).write(b'x')", 4, "No space left on device; free some"),
        ("open('/etc/passwd/x')", 4, "/etc/passwd/x: Not a directory; a file stands where"),
        ("raise OSError(5, 'Input/output error', '/a')", 4, "/a: Input/output error; the disk"),
        ("{}['a bug']", 1, "Traceback"),
    ],
)
def test_signals_and_disks_are_one_line(body: str, code: int, said: str) -> None:
    done = with_a_command(body)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert code == 1 or done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize(("mask", "mode"), [("", 0o700), ("007", 0o770), ("022", 0o755)])
def test_files_are_for_their_owner_unless_told_otherwise(
    tmp_path: Path, mask: str, mode: int
) -> None:
    done = with_a_command(f"pathlib.Path({str(tmp_path / 'new')!r}).mkdir()", MELAFUSE_UMASK=mask)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new").stat().st_mode & 0o777 == mode


def test_a_mask_that_is_none_is_refused() -> None:
    done = with_a_command("pass", MELAFUSE_UMASK="9")
    assert done.returncode == 2
    assert "MELAFUSE_UMASK='9': write it in octal" in done.stderr
