"""The book under docs/: Sphinx builds it without a warning, and its pages have no dead link and no missing picture."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from paths import ROOT

import pac_surrogate as pac

NEEDED = ("sphinx", "furo", "myst_nb", "sphinx_gallery", "sphinx_copybutton", "sphinx-mathjax-offline")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} is not installed: pip install -e '.[docs]'")


class Page(HTMLParser):
    """The anchors of an HTML page, and the addresses to which its links lead and from which it loads files."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script", "source", "iframe") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("href"):
            self.loaded.append(given["href"])


def pages_of(book: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(book.rglob("*.html")) if "_static" not in path.parts}


def faults(book: Path, pages: dict[Path, Page]) -> list[str]:
    """List links to pages or anchors that do not exist, files that are missing, and files that come from another host."""
    found = []
    for path, page in pages.items():
        here = path.relative_to(book)
        for address in page.loaded:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{here} loads {address}")
            elif parts.path and not (path.parent / unquote(parts.path)).is_file():
                found.append(f"{here} lacks {address}")
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not goal.is_file():
                found.append(f"{here} links to {address}, which does not exist")
            elif parts.fragment and goal in pages and unquote(parts.fragment) not in pages[goal].anchors:
                found.append(f"{here} links to {address}, an anchor that does not exist")
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the book without running its code, which test_pages.py does, with short trainings."""
    folder = tmp_path_factory.mktemp("book").resolve()
    shutil.rmtree(ROOT / "docs" / "gallery", ignore_errors=True)  # pages of examples that exist no more
    setting = os.environ | {"BOOK_EXECUTION": "off"}
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "doctrees", "docs", folder / "html"]
    ended = subprocess.run(build, cwd=ROOT, env=setting, capture_output=True, text=True, check=False)
    return folder / "html", ended


@pytest.fixture(scope="module")
def pages(built):
    return pages_of(built[0])


def test_the_book_builds_without_a_warning(built):
    html, ended = built
    assert ended.returncode == 0, ended.stderr
    assert (html / "tutorial.html").is_file()


def test_no_link_is_dead_no_picture_is_missing_and_no_file_comes_from_another_host(built, pages):
    assert len(pages) > 30
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert faults(built[0], pages) == []


def test_the_reference_describes_every_public_name_under_the_name_by_which_it_is_imported(built):
    from sphinx.util.inventory import InventoryFile

    objects = InventoryFile.loads((built[0] / "objects.inv").read_bytes(), uri="").data
    kinds = ("py:class", "py:function", "py:exception")
    known = {name for kind in kinds for name in objects.get(kind, ())}
    described = {name.removeprefix("pac_surrogate.") for name in known if re.fullmatch(r"pac_surrogate\.\w+", name)}
    assert described == set(pac.__all__)
    assert {"pac_surrogate.Surrogate.predict", "pac_surrogate.Dataset.from_arrays"} <= set(objects["py:method"])


def test_the_check_of_links_finds_what_is_wrong(tmp_path):
    (tmp_path / "other.html").write_text("<h1 id='here'>Other</h1><img src='data:image/png;base64,'>")
    (tmp_path / "index.html").write_text(
        "<a href='other.html#here'>right</a><a href='other.html#gone'></a><a href='gone.html'></a><a href='#gone'></a>"
        "<a href='https://example.org/'>elsewhere</a><img src='gone.png'><script src='https://example.org/a.js'></script>"
    )
    assert faults(tmp_path, pages_of(tmp_path)) == [
        "index.html lacks gone.png",
        "index.html loads https://example.org/a.js",
        "index.html links to other.html#gone, an anchor that does not exist",
        "index.html links to gone.html, which does not exist",
        "index.html links to #gone, an anchor that does not exist",
    ]
