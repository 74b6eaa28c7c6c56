"""Executes docs/notebook.ipynb and writes what its cells print into it: `make notebook`.

The cells run one after the other in one namespace, in the folder of the repository. A test executes
the same cells on a smaller study.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "notebook.ipynb"


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells that are executed, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def execute(source: str, names: dict[str, Any]) -> list[str]:
    """Runs one cell; returns what it prints and the value of its last line, as Jupyter shows them.

    Args:
        source: Text of the cell.
        names: Namespace of the notebook; what the cell defines is added.
    """
    statements = ast.parse(source).body
    last = statements.pop() if statements and isinstance(statements[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(statements, []), "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                printed.write(f"{value}\n")
    return printed.getvalue().splitlines(keepends=True)


def main() -> None:
    """Writes the notebook with its outputs."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for count, cell in enumerate(code_cells(notebook), 1):
        text = execute("".join(cell["source"]), names)
        cell["execution_count"] = count
        cell["outputs"] = (
            [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
        )
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
