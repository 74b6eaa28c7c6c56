"""The site's builder finds links that lead nowhere, in sources and in what was built."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from locations import ROOT

from featurestore.config import load_config
from fusion.config import RunConfig

sys.path.insert(0, str(ROOT / "docs"))
import make_ham10000
import make_site


def test_every_page_of_the_repository_can_be_laid_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_site, "SOURCE", tmp_path / "pages")
    make_site.lay_out()
    pages = {p.relative_to(tmp_path / "pages").as_posix() for p in tmp_path.rglob("*.md")}
    assert {"README.md", "docs/notebook.md", "docs/gallery.md", "docs/api/fusion.study.md"} <= pages
    assert {f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")} <= pages
    contents = (tmp_path / "pages" / "docs" / "ham10000.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem == "ham10000" or f"/docs/{page.stem}\n" in contents


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("[a](README.md)", "[a](README.md)"),
        ("[a](docs/decisions)", "[a](docs/decisions/README.md)"),
        ("[a](docs/notebook.ipynb#x)", "[a](docs/notebook.md#x)"),
        ("[a](https://example.org/b.md) [b](#c)", "[a](https://example.org/b.md) [b](#c)"),
    ],
)
def test_links_become_those_of_the_site(
    text: str, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_site, "ROOT", tmp_path)
    (tmp_path / "docs" / "decisions").mkdir(parents=True)
    for name in ("README.md", "docs/decisions/README.md", "docs/notebook.ipynb"):
        (tmp_path / name).touch()
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n```\n[code](absent.md)\n```\n", encoding="utf-8")
    assert make_site.staged(page).splitlines()[0] == made
    page.write_text("first\n[a](absent.md)\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"page.md:2: absent.md leads nowhere"):
        make_site.staged(page)


def test_broken_links_of_built_pages_are_found(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.html").write_text('<p id="here"><a href="#gone">x</a></p>')
    good = '<a href="b/c.html#here"></a><a href="https://example.org"></a><a href="mailto:a@b"></a>'
    (tmp_path / "a.html").write_text(f'{good}<img src="no.png"><a href="b/c.html#no"></a>')
    assert list(make_site.broken_links(tmp_path)) == [
        "a.html: no.png",
        "a.html: b/c.html#no",
        "b/c.html: #gone",
    ]


def test_the_studies_of_the_gallery_are_valid() -> None:
    for _, config in make_site.STUDIES.values():
        assert load_config(RunConfig, ROOT / config).cohort.sources[0].kind == "synthetic"


def test_the_first_page_shows_files_that_are_drawn(tmp_path: Path) -> None:
    make_ham10000.main(tmp_path / "HAM10000")
    page = (ROOT / "docs" / "ham10000.md").read_text(encoding="utf-8")
    table = (tmp_path / "HAM10000" / "HAM10000_metadata.csv").read_text().splitlines()
    assert f"{len(table) - 1} image files belong to a row" in page
    for path in (tmp_path / "HAM10000").iterdir():
        assert path.name in page
