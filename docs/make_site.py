"""Builds the documentation site into build/site: `make docs`.

The Markdown pages are laid out once more under build/, as they lie in the repository, with what
only the site has: pages of the packages from their docstrings, the notebook as a page, and reports
that are made while it is built. Whatever Sphinx warns of, and every link that leads nowhere, ends
the build.
"""

from __future__ import annotations

import ast
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import floors  # noqa: E402

SOURCE, SITE, GALLERY = (ROOT / "build" / name for name in ("site-source", "site", "gallery"))
FIRST = "docs/ham10000"
CONTENTS = {
    "Start": ("tour", "notebook", "gallery"),
    "Data": ("sources", "embeddings", "linkage", "outcomes", "time_zero", "isic2017", "tcga"),
    "Evidence": ("report", "ablation", "survival", "audit", "checks", "intervals", "reliability"),
    "Out of a study": ("exports", "bundles", "serving", "publishing"),
    "Reference": ("commands", "configuration", "python", "plugins", "cluster", "finetuning"),
}
"""Pages under docs/ by the heading they stand under; one that is not here stands under `More`."""
PROJECT = ("README", "docs/architecture", "CONTRIBUTING", "CHANGELOG", "docs/decisions/README")
STUDIES = {
    "binary": ("Yes or no", "docs/gallery/binary.yaml"),
    "times": ("Times to an event", "docs/gallery/times.yaml"),
}
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>\))")
_FENCE = re.compile(r"^(```|~~~)")


def main() -> None:
    """Lays out, builds, and follows every link."""
    runs = {name: start_study(name, config) for name, (_, config) in STUDIES.items()}
    lay_out()
    shutil.rmtree(SITE, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    sphinx += ["-c", str(ROOT / "docs" / "site"), "-d", str(ROOT / "build" / "doctrees")]
    built = subprocess.run([*sphinx, str(SOURCE), str(SITE)], cwd=ROOT, check=False)
    failed = [name for name, run in runs.items() if run.wait() != 0]
    if built.returncode or failed:
        sys.exit(
            f"docs: not built{''.join(f'; {GALLERY / name}.log tells why' for name in failed)}"
        )
    for name in STUDIES:
        shutil.copytree(GALLERY / name / "report", SITE / "reports" / name)
    (SITE / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>melafuse</title>'
        f'<meta http-equiv="refresh" content="0; url={FIRST}.html">'
        f'<a href="{FIRST}.html">melafuse</a>',
        encoding="utf-8",
    )
    broken = list(broken_links(SITE))
    if broken:
        sys.exit("docs: links that lead nowhere:\n" + "\n".join(broken))
    print(f"docs: {SITE.relative_to(ROOT)}/index.html")  # noqa: T201 - says where to look


def start_study(name: str, config: str) -> subprocess.Popen[bytes]:
    """Starts a study of the gallery; what a former build fitted is taken up."""
    GALLERY.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cli", "run", config, "-q", "--out", f"build/gallery/{name}"]
    with (GALLERY / f"{name}.log").open("wb") as log:
        own = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=log)


def lay_out() -> None:
    """Writes all pages under build/site-source."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        write(page.relative_to(ROOT), staged(page))
    for picture in [*(ROOT / "docs").glob("*.svg"), *(ROOT / "docs" / "pictures").iterdir()]:
        copy(picture)
    write(Path("docs/notebook.md"), notebook_page(ROOT / "docs" / "notebook.ipynb"))
    write(Path("docs/gallery.md"), gallery_page())
    for package in floors.FLOORS:
        write(Path(f"docs/api/{package}.md"), package_page(package))
    write(Path("docs/api/index.md"), packages_page())
    decisions = sorted(p.stem for p in (ROOT / "docs" / "decisions").glob("0*.md"))
    append("docs/decisions/README.md", toctree("", decisions, hidden=False))
    append(f"{FIRST}.md", contents([p.stem for p in pages if p.parent == ROOT / "docs"]))


def staged(page: Path) -> str:
    """A page with links to folders and notebooks as links to their pages.

    Raises:
        SystemExit: A link leads to no file of the repository.
    """
    lines, fenced = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fenced ^= bool(_FENCE.match(line.strip()))
        where = f"{page.relative_to(ROOT)}:{number}"
        made = line if fenced else _LINK.sub(lambda m, w=where: linked(m, page, w), line)
        lines.append(made)
    return "\n".join(lines) + "\n"


def linked(match: re.Match[str], page: Path, where: str) -> str:
    """One link as the site has it; files that are no pages go along."""
    target = match["target"]
    path, mark, anchor = target.partition("#")
    if not path or urlsplit(target).scheme:
        return match.group()
    found = (page.parent / path).resolve()
    if not found.exists() or not found.is_relative_to(ROOT):
        sys.exit(f"docs: {where}: {target} leads nowhere")
    if found.is_dir():
        if not (found / "README.md").exists():
            sys.exit(f"docs: {where}: {target} is a folder without a README.md")
        path = f"{path.rstrip('/')}/README.md"
    elif found.suffix == ".ipynb":
        path = path.removesuffix(".ipynb") + ".md"
    elif found.suffix != ".md":
        copy(found)
    return f"{match['before']}{path}{mark}{anchor}{match['after']}"


def notebook_page(path: Path) -> str:
    """The notebook with its outputs as Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"]).rstrip()
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        shown = "".join(line for output in cell.get("outputs", ()) for line in output["text"])
        parts += [f"```text\n{shown.rstrip()}\n```"] if shown else []
    return "\n\n".join(parts) + "\n"


def gallery_page() -> str:
    """Reports that were made by the commands beside them while the site was built."""
    parts = [
        "# Reports",
        "These reports were made by the commands above them while this site was built, from data "
        "that a program drew: they show what a report looks like, and nothing about melanoma.",
    ]
    for name, (title, config) in STUDIES.items():
        report = f"../reports/{name}/report.html"
        parts += [
            f"## {title}",
            f"```\nmelafuse run {config} --out build/gallery/{name}\n```",
            f'<p><a href="{report}">The whole page</a>, as <a href="../reports/{name}/report.md">'
            f'text</a>, its <a href="../reports/{name}/metrics.csv">numbers</a> and its '
            f'<a href="../reports/{name}/model_card.md">model card</a>.</p>',
            f'<iframe src="{report}" title="{title}" loading="lazy" '
            'style="width:100%;height:32rem;border:1px solid #8888"></iframe>',
        ]
    return "\n\n".join(parts) + "\n"


def package_page(package: str) -> str:
    """The public surface of a package, from its docstrings."""
    members = ", ".join(surface(package))
    shown = f"   :members: {members}\n   :imported-members:\n" if members else ""
    return f"# `{package}`\n\n```{{eval-rst}}\n.. automodule:: {package}\n{shown}```\n"


def surface(package: str) -> list[str]:
    """Public names of a package; what it only hands on stands where it comes from."""
    if package == "cli":
        return []  # its functions are commands, which have a page of their own
    body = ast.parse(floors.modules()[package].read_text(encoding="utf-8")).body
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
            own = floors.package_of(str(node.module)) == package
            found += [alias.asname or alias.name for alias in node.names if own]
    return sorted(name for name in found if not name.startswith("_"))


def packages_page() -> str:
    """All packages, from the ground up."""
    names = "\n".join(floors.FLOORS)
    return f"# Packages\n\nFrom the ground up.\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"


def contents(pages: list[str]) -> str:
    """The table of contents, which only the site shows."""
    known = {FIRST.removeprefix("docs/"), "architecture"}
    parts = []
    for heading, names in CONTENTS.items():
        known |= set(names)
        here = [f"/docs/{name}" for name in names]
        here += ["/docs/api/index"] if heading == "Reference" else []
        parts.append(toctree(heading, here))
    more = sorted(set(pages) - known)
    parts += [toctree("More", [f"/docs/{name}" for name in more])] if more else []
    return "".join([*parts, toctree("Project", [f"/{name}" for name in PROJECT])])


def toctree(heading: str, names: list[str], hidden: bool = True) -> str:
    """A table of contents in MyST."""
    options = (f":caption: {heading}\n" if heading else "") + (":hidden:\n" if hidden else "")
    return f"\n```{{toctree}}\n{options}:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"


def write(name: Path, text: str) -> None:
    """Writes one page."""
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def append(name: str, text: str) -> None:
    """Adds to a page."""
    with (SOURCE / name).open("a", encoding="utf-8") as file:
        file.write(text)


def copy(path: Path) -> None:
    """Copies a file of the repository to its place."""
    to = SOURCE / path.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


class _Links(html.parser.HTMLParser):
    """Collects what a page refers to, and what can be referred to in it."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> Iterator[str]:
    """Links of built pages that lead to no file, or no place in it; other sites are not asked."""
    pages: dict[Path, _Links] = {}
    for page in site.rglob("*.html"):
        pages[page] = _Links()
        pages[page].feed(page.read_text(encoding="utf-8"))
    for page, found in sorted(pages.items()):
        for target in dict.fromkeys(found.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = pages[to].anchors if to in pages else None
            if not to.exists() or (known is not None and unquote(parts.fragment) not in known):
                yield f"{page.relative_to(site)}: {target}"


if __name__ == "__main__":
    main()
