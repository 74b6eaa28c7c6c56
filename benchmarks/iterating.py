"""How long a study takes that was run before: `python -m benchmarks.iterating [--patients 600]`.

One study of synthetic patients with about two images each is run as a person would who tries
things, every time in a process of its own: cold, unchanged, under another name, with one setting
of the head changed, with one arm more, and read back in Python. The first run draws the
pictures, and the others of the project copy them. Printed are seconds on the clock, which others on
the machine lengthen, and seconds of CPU of the process and its children.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
name: iterating
seed: 1
cohort:
  outcome: synthetic_metastasis
  require_images: true
  sources: [{{kind: synthetic, patients: {patients}, genes: 60, image_pixels: [200, 300]}}]
folds: {{n_folds: 5}}
extract:
  backbones: [{{name: resnet18, weights: random, image_size: 128}}]
ablation:
  subsets: [[resnet18, clinical]]
  models: [fusion_head]
  arms: [{{model: logistic_regression, modalities: [resnet18, clinical]}}]
  jobs: 2
"""
READ = """
import sys
from pathlib import Path
from fusion.evidence import finished_run
from fusion.paths import RunPaths
print(len(finished_run(RunPaths(Path(sys.argv[1]))).evidence.arms), file=sys.stderr)
"""


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that a person does.

    Attributes:
        what: In words.
        arguments: Of `melafuse run`; none reads the run back.
        out: Folder of the run.
    """

    what: str
    arguments: tuple[str, ...] | None
    out: str = "first"


MORE = "ablation.arms=[{model: logistic_regression, modalities: [resnet18, clinical]}, {model: %s}]"
STEPS = (
    Step("first run", ()),
    Step("unchanged", ()),
    Step("unchanged, another name and folder", ("name=second",), "second"),
    Step("one setting of the head", ("name=third", "ablation.head.dropout=0.3"), "third"),
    Step("one arm more", ("name=fourth", MORE % "rank_average"), "fourth"),
    Step("finished_run in Python", None),
)


def measure(step: Step, config: Path) -> tuple[float, float, str]:
    """Runs a step; seconds on the clock and of CPU, and what it said of embeddings and fits."""
    out = config.parent / "runs" / step.out
    if step.arguments is None:
        command = [sys.executable, "-c", READ, str(out)]
    else:
        given = [text for one in step.arguments for text in ("--set", one)]
        command = [sys.executable, "-m", "cli", "run", str(config), "--out", str(out), *given]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = [line for line in done.stderr.splitlines() if "embedded" in line or "fits" in line]
    return wall, cpu, "; ".join(said)


def say(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Measures all steps and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=600)
    patients = parser.parse_args().patients
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "iterating.yaml"
        config.write_text(CONFIG.format(patients=patients))
        say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for step in STEPS:
            wall, cpu, said = measure(step, config)
            say(f"| {step.what} | {wall:.1f} | {cpu:.1f} | {said} |")


if __name__ == "__main__":
    main()
