"""The script that opens the book in a browser: it finds what it looks for, and nothing in a sound page."""

import base64
import subprocess
import sys

import pytest
from browser import find_browser
from paths import TESTS

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel
PAGES = {
    "index": '<p>A sound page.</p><img src="dot.png"><div style="overflow-x:auto"><pre style="width:2000px">wide</pre></div>',
    "wide": '<div class="culprit" style="width:600px">A box of 600 pixels.</div>',
    "picture": '<img src="missing.png">',
    "formula": r'<span class="math">\(x\)</span>',
}


def script(*arguments, path=None):
    environment = None if path is None else {"PATH": path}
    command = [sys.executable, TESTS / "browser.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


@pytest.mark.skipif(find_browser() is None, reason="no browser is on the path")
def test_faults_are_found_and_a_sound_page_has_none(tmp_path):
    book, pictures = tmp_path / "book", tmp_path / "pictures"
    book.mkdir()
    (book / "dot.png").write_bytes(base64.b64decode(PICTURE))
    for name, body in PAGES.items():
        (book / f"{name}.html").write_text(f"<!doctype html><title>{name}</title><body style='margin:0'>{body}")
    ended = script(book, "--pictures", pictures)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert len(lines) == 6, ended.stdout
    assert sum("index.html" in line for line in lines) == 0
    assert [line for line in lines if line.startswith("wide.html at 400 pixels: scrolls sideways: 600") and "culprit" in line]
    assert not [line for line in lines if line.startswith("wide.html at 1400")]
    assert sum("a picture does not load: missing.png" in line for line in lines) == 2
    assert sum("1 of 1 formulas are not typeset" in line for line in lines) == 2
    assert lines[-1] == "4 pages at 400 and 1400 pixels: 5 with faults; 4 pictures, 2 formulas"
    assert sorted(path.name for path in pictures.iterdir()) == sorted(f"{n}-{w}.png" for n in PAGES for w in (400, 1400))
    (sound := tmp_path / "sound").mkdir()
    (sound / "index.html").write_text("<!doctype html><title>one</title><p>A page.</p>")
    ended = script(sound)
    assert (ended.returncode, ended.stdout) == (0, "1 pages at 400 and 1400 pixels: 0 with faults; 0 pictures, 0 formulas\n")


def test_without_a_browser_or_a_book_the_script_says_so_in_a_line(tmp_path):
    ended = script(tmp_path, path=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith("no browser is on the path: install Chromium")
    assert ended.stderr.count("\n") == 1
    if find_browser() is not None:
        ended = script(tmp_path)
        assert ended.returncode == 1
        assert "holds no book: make docs builds one" in ended.stderr
        assert ended.stderr.count("\n") == 1
