"""The book under docs/: Sphinx builds it without a warning."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
from paths import ROOT

NEEDED = ("sphinx", "furo", "myst_nb", "sphinx_gallery", "sphinx_copybutton")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} is not installed: pip install -e '.[docs]'")
def test_the_book_builds_without_a_warning(tmp_path):
    shutil.rmtree(ROOT / "docs" / "gallery", ignore_errors=True)  # pages of examples that exist no more
    # The code of the pages is run by test_pages.py, with short trainings.
    setting = os.environ | {"BOOK_EXECUTION": "off"}
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "doctrees", "docs", tmp_path / "html"]
    ended = subprocess.run(build, cwd=ROOT, env=setting, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "html" / "tutorial.html").is_file()
