"""R and PSPP open the files: run where they are installed (`.ci/run` says if they are not)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from test_package import AREA, exported

FORMATS = ("csv", "dta", "sav", "xpt")
HAVEN = """
library(haven)
say <- function(form, what, values) {
  values <- ifelse(is.na(values), "NA", as.character(values))
  cat(form, what, paste(values, collapse = "|"), sep = "\\t")
  cat("\\n")
}
for (form in c("dta", "sav", "xpt")) {
  file <- paste0("analysis.", form)
  data <- switch(form, dta = read_dta(file), sav = read_sav(file, user_na = TRUE),
                 xpt = read_xpt(file))
  found <- pROC::roc(as.numeric(data$outcome), as.numeric(data$lp_head_all),
                     levels = c(0, 1), direction = "<", quiet = TRUE)
  say(form, "rows", nrow(data))
  say(form, "braf", attr(data$mut_braf, "label"))
  say(form, "breslow", attr(data$breslow, "label"))
  say(form, "braf codes", attr(data$mut_braf, "labels"))
  say(form, "braf labels", names(attr(data$mut_braf, "labels")))
  say(form, "stage labels", names(attr(data$stage, "labels")))
  say(form, "stage", as_factor(data$stage))
  if (form == "dta") say(form, "tags", na_tag(data$stage))
  say(form, "missing", sum(is.na(data$stage)))
  say(form, "seen", as.Date(data$seen))
  say(form, "thickness", as.numeric(data$breslow))
  say(form, "area", sprintf("%.15f", as.numeric(pROC::auc(found))))
}
"""


def r_has(*packages: str) -> bool:
    """Whether R and some of its packages are installed."""
    if shutil.which("Rscript") is None:
        return False
    code = (
        f"quit(status = !all(sapply(c({', '.join(map(json.dumps, packages))}), requireNamespace)))"
    )
    return subprocess.run(["Rscript", "-e", code], capture_output=True, check=False).returncode == 0


needs_r = pytest.mark.skipif(not r_has("haven", "pROC"), reason="R with haven and pROC is needed")


def rscript(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["Rscript", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_r
def test_haven_finds_labels_codes_reasons_dates_and_the_area(tmp_path: Path) -> None:
    exported(tmp_path, *FORMATS)
    (tmp_path / "look.R").write_text(HAVEN, encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = {}
    for line in rscript(tmp_path, "look.R").splitlines():
        form, what, values = line.split("\t")
        found.setdefault(form, {})[what] = values.split("|")
    assert sorted(found) == ["dta", "sav", "xpt"]
    for seen in found.values():
        assert seen["rows"] == ["6"]
        assert seen["braf"] == ["BRAF mutated [mut_BRAF]"]
        assert seen["breslow"] == ["Breslow thickness, mm"]
        assert float(seen["area"][0]) == pytest.approx(AREA, abs=1e-12)
        assert seen["thickness"] == ["0.5", "1.25", "3", "NA", "2", "0.1"]
        assert seen["seen"][:3] == ["2020-01-31", "NA", "2021-02-01"]
    for form in ("dta", "sav"):
        assert found[form]["braf codes"] == ["0", "1"]
        assert found[form]["braf labels"] == ["no", "yes"]
        assert found[form]["missing"] == ["2"]
        labels = {"I", "II", "III", "not evaluated", "not available"}
        assert set(found[form]["stage labels"]) == labels
        assert found[form]["stage"][:2] == ["I", "II"]
    assert found["dta"]["tags"] == ["NA", "NA", "b", "NA", "NA", "h"]
    assert found["sav"]["stage"][2] == "not evaluated"
    assert found["xpt"]["stage"][:2] == ["I", "II"]


@needs_r
@pytest.mark.parametrize("form", FORMATS)
def test_the_script_for_r_runs(form: str, tmp_path: Path) -> None:
    exported(tmp_path, form)
    said = rscript(tmp_path, "import.R")
    assert f"head[all] AUROC {AREA:.6f}" in said
    assert "all 1 tables are right" in said


@needs_r
def test_the_script_for_r_stops_at_a_wrong_file(tmp_path: Path) -> None:
    exported(tmp_path, "csv")
    text = (tmp_path / "analysis.csv").read_text(encoding="utf-8")
    (tmp_path / "analysis.csv").write_text(text.replace("0.7", "0.0"), encoding="utf-8")
    done = subprocess.run(["Rscript", "import.R"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.skipif(shutil.which("pspp") is None, reason="PSPP is needed")
@pytest.mark.parametrize("form", ["sav", "csv"])
def test_the_script_for_spss_runs_in_pspp(form: str, tmp_path: Path) -> None:
    exported(tmp_path, form)
    done = subprocess.run(
        ["pspp", "import.sps"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "OK" in done.stdout
    assert "FAILED" not in done.stdout
    assert f"{AREA:.8f}".lstrip("0") in done.stdout
