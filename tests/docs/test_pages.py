"""Run the code of every page of the book, and the scripts of the gallery, as a reader would.

Trainings and searches are cut to a few steps, and simulated data to a few samples: the numbers change, but no line of a page.
"""

import runpy

import matplotlib.pyplot as plt
import pytest
from pages import blocks, run
from paths import ROOT
from shortened import shorten_searches

import pac_surrogate as pac
import simulators.__main__
from pac_surrogate import pretraining, runner

STEPS, SAMPLES = 5, 300
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts and blocks(path)]


@pytest.fixture
def short_trainings(monkeypatch):
    """Cut every training and every search for hyper-parameters to a few steps, and simulated data to a few samples."""
    shorten_searches(monkeypatch)
    generate = simulators.__main__.generate
    monkeypatch.setattr(
        simulators.__main__, "generate", lambda *given, **options: generate(*given, **options | {"samples": SAMPLES})
    )

    def shorter(*arguments, steps, **options):
        return pac.fit(*arguments, steps=min(steps, STEPS), **options)

    for module in (pretraining, runner):
        monkeypatch.setattr(module, "fit", shorter)


# A target outside the range of its source gives a warning, and so does a network of a few steps where nothing is predicted.
@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys, short_trainings):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    run(page, capsys)
    plt.close("all")


@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning", "ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda script: script.stem)
def test_a_script_of_the_gallery_draws_a_figure(script, short_trainings):
    runpy.run_path(str(script), run_name="__main__")
    assert plt.get_fignums()
    plt.close("all")
