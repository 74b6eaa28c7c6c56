"""An import script for R."""

from __future__ import annotations

import json
from collections.abc import Iterator

from featurestore.export.scripts.base import TOLERANCE, Plan, one_line
from featurestore.export.variables import LabelledTable

_READERS = {
    ".dta": 'haven::read_dta(file.path(folder, paste0(name, ".dta")))',
    ".sav": 'haven::read_sav(file.path(folder, paste0(name, ".sav")), user_na = TRUE)',
    ".xpt": 'haven::read_xpt(file.path(folder, paste0(name, ".xpt")))',
    ".parquet": 'as.data.frame(arrow::read_parquet(file.path(folder, paste0(name, ".parquet"))))',
    ".csv": "read_guarded(name)",
}
_CSV = """
# Every cell is read as text; an apostrophe in front of a text protects it from spreadsheets.
read_guarded <- function(name) {
  found <- read.csv(file.path(folder, paste0(name, ".csv")), colClasses = "character",
                    na.strings = "", check.names = FALSE, encoding = "UTF-8")
  types <- codebook$type[codebook$table == name]
  for (k in seq_along(found)) {
    if (types[k] %in% c("numeric", "integer", "binary", "expression")) {
      found[[k]] <- as.numeric(found[[k]])
    } else if (types[k] == "date") {
      found[[k]] <- as.Date(found[[k]])
    } else {
      found[[k]] <- sub("^'", "", found[[k]])
    }
  }
  found
}
"""
_LABELS = """
# Labels are kept in the attribute that haven and Hmisc use too.
label_columns <- function(data, name) {
  rows <- codebook[codebook$table == name, ]
  for (k in seq_len(nrow(rows))) attr(data[[rows$name[k]]], "label") <- rows$label[k]
  data
}
"""
_AREA = """
area <- function(outcome, score) {
  if (requireNamespace("pROC", quietly = TRUE)) {
    found <- pROC::roc(as.numeric(outcome), as.numeric(score), levels = c(0, 1),
                       direction = "<", quiet = TRUE)
    return(as.numeric(pROC::auc(found)))
  }
  ranks <- rank(as.numeric(score)); events <- as.numeric(outcome) == 1
  n <- as.numeric(sum(events)); (sum(ranks[events]) - n * (n + 1) / 2) / (n * sum(!events))
}

"""


class RScript:
    """Reads with haven (dta, sav, xpt), arrow (Parquet) or R itself (CSV)."""

    filename = "import.R"
    reads: tuple[str, ...] = (".dta", ".sav", ".parquet", ".csv", ".xpt")

    def text(self, plan: Plan, suffix: str) -> str:
        """The script."""
        return "\n".join(self._lines(plan, suffix)) + "\n"

    def _lines(self, plan: Plan, suffix: str) -> Iterator[str]:
        yield from (f"# {one_line(line)}" for line in plan.header())
        yield "# Run it in the folder of the tables: Rscript import.R"
        yield 'folder <- "."'
        labelled = suffix in (".dta", ".sav")
        if not labelled:
            yield 'codebook <- read.csv(file.path(folder, "codebook.csv"), encoding = "UTF-8",'
            yield '                     colClasses = "character", na.strings = NULL)'
            yield 'codebook$label <- sub("^\'", "", codebook$label)'
            yield _LABELS
        if suffix == ".csv":
            yield _CSV
        yield f"read_one <- function(name) {_READERS[suffix]}"
        if plan.checks:
            yield _AREA
        for table in plan.tables:
            yield f'{table.name} <- read_one("{table.name}")'
            if not labelled:
                yield from _codes(table)
                yield f'{table.name} <- label_columns({table.name}, "{table.name}")'
            yield f"stopifnot(nrow({table.name}) == {table.rows})"
        for check in plan.checks:
            name = f"{check.table}${check.outcome}, {check.table}${check.score}"
            yield f"found <- area({name})"
            yield f"stopifnot(abs(found - {check.auroc!r}) < {TOLERANCE})"
            yield f'cat({_quoted(check.what)}, "AUROC", format(found, digits = 6), "\\n")'
        yield f'cat("all {len(plan.tables)} tables are right\\n")'


def _codes(table: LabelledTable) -> Iterator[str]:
    for variable in table.variables:
        if variable.levels:
            levels = ", ".join(_quoted(level) for level in variable.levels)
            column = f"{table.name}${variable.name}"
            ordered = "TRUE" if variable.measure == "ordinal" else "FALSE"
            yield f"{column} <- factor({column}, levels = c({levels}), ordered = {ordered})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
