"""All figures: they draw on given axes and return them, look alike, and leave the user's settings of Matplotlib alone."""

import os
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from paths import BENCHMARKS

import pac_surrogate as pac
from pac_surrogate.plots.style import COLOURS, STYLE
from pac_surrogate.plots.writing import save_figure

ORDER = "fine-tune", "PAC"


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def curve():
    errors = np.array([[[0.4, 0.5], [0.2, 0.3]], [[0.3, 0.4], [0.1, 0.2]]])
    coordinates = {"approach": list(ORDER), "size": [4, 8], "seed": [0, 1]}
    return xr.Dataset({"rel_l2": (tuple(coordinates), errors)}, coordinates, attrs={"headline": "rel_l2"})


def fields(*shape):
    axes = {"input": ("x", "y")[: len(shape)], "output": ("x", "y")[: len(shape)]}
    return pac.Dataset.from_arrays(numbers(3, *shape), 1 + numbers(3, *shape), axes=axes)


def rods():
    x = {"initial": numbers(3, 5), "source": numbers(3, 5)}
    axes = dict.fromkeys((*x, "temperature"), ("x",))
    return pac.Dataset.from_arrays(x, {"temperature": numbers(3, 5)}, axes=axes, units={"source": "W", "temperature": "K"})


def table():
    return pac.Dataset.from_arrays({"length": numbers(5), "width": numbers(5) ** 2}, {"lift": numbers(5) ** 3})


def orbit():
    return pac.Dataset.from_arrays({"growth": numbers(3)}, {"prey": numbers(3, 6)}, axes={"prey": ("time",)})


LINES, IMAGES = numbers(2, 5), numbers(2, 5, 4)
FIGURES = {
    "savings": ((2, 1), lambda **given: pac.plot_savings(curve(), **given)),
    "1-D fields": ((2, 2), lambda **given: pac.plot_fields(LINES, {"PAC": LINES + 1}, **given)),
    "2-D fields": ((2, 3), lambda **given: pac.plot_fields(IMAGES, {"PAC": IMAGES + 1}, **given)),
    "table": ((1, 2), lambda **given: pac.plot_samples(table(), table(), **given)),
    "trajectories": ((1, 2), lambda **given: pac.plot_samples(orbit(), orbit(), **given)),
    "one line": ((2, 3), lambda **given: pac.plot_samples(fields(5), fields(5), **given)),
    "rods": ((3, 6), lambda **given: pac.plot_samples(rods(), rods(), **given)),
    "images": ((2, 4), lambda **given: pac.plot_samples(fields(5, 4), fields(5, 4), samples=2, **given)),
}
TITLED = tuple(name for name in FIGURES if name != "savings")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(params=FIGURES)
def kind(request):
    return request.param


def test_a_figure_of_several_panels_returns_them_as_an_array_with_two_dimensions(kind):
    shape, plot = FIGURES[kind]
    panels = plot()
    assert panels.shape == shape
    drawn = [panel for panel in panels[0, 0].figure.axes if panel.get_label() != "<colorbar>"]
    assert set(drawn) == set(panels.flat)
    panels[0, 0].figure.canvas.draw()


def test_given_axes_are_drawn_on_and_returned_and_nothing_is_drawn_elsewhere(kind):
    shape, plot = FIGURES[kind]
    figure = plt.figure(layout="constrained", figsize=(12, 8))
    beside, half = figure.subfigures(1, 2)
    other = beside.subplots()
    given = half.subplots(*shape)
    panels = plot(ax=given)
    assert panels.shape == shape
    np.testing.assert_array_equal(panels, np.reshape(given, shape))
    assert plt.get_fignums() == [figure.number]
    assert [other.has_data(), beside.legends, figure.legends] == [False, [], []]
    bars = [panel for panel in half.axes if panel not in panels]
    assert beside.axes == [other]
    assert all(bar.get_label() == "<colorbar>" for bar in bars)
    assert len(bars) == {"2-D fields": 2, "images": 2}.get(kind, 0)
    figure.canvas.draw()


@pytest.mark.parametrize("kind", TITLED)
def test_the_title_is_that_of_a_figure_of_their_own_and_stands_in_the_first_panel_among_others(kind):
    shape, plot = FIGURES[kind]
    assert plot(title="waves")[0, 0].figure.get_suptitle() == "waves"
    figure = plt.figure(layout="constrained")
    figure.suptitle("mine")
    panels = plot(title="waves", ax=figure.subplots(shape[0] + 1, shape[1], squeeze=False)[1:])
    assert figure.get_suptitle() == "mine"
    assert panels[0, 0].get_title().startswith("waves")
    assert not figure.legends


def test_a_legend_that_has_no_room_below_the_panels_is_in_a_panel():
    shape, plot = FIGURES["1-D fields"]
    assert [text.get_text() for text in plot()[0, 0].figure.legends[0].get_texts()] == ["truth", "PAC"]
    figure, given = plt.subplots(*shape)
    panels = plot(ax=given)
    assert not figure.legends
    assert [text.get_text() for text in panels[0, 0].get_legend().get_texts()] == ["truth", "PAC"]


@pytest.mark.parametrize("kind", ["savings", "1-D fields", "table"])
def test_given_axes_that_are_not_linked_get_common_limits(kind):
    shape, plot = FIGURES[kind]
    linked, given = plot(), plot(ax=plt.subplots(*shape, squeeze=False, layout="constrained")[1])
    for one, other in zip(linked.flat, given.flat, strict=True):
        if kind != "table":
            assert one.get_xlim() == pytest.approx(other.get_xlim())
        if kind != "savings":
            assert one.get_ylim() == pytest.approx(other.get_ylim())


def test_axes_of_another_arrangement_are_refused_in_one_line(kind):
    shape, plot = FIGURES[kind]
    transposed = plt.subplots(shape[1] + 1, shape[0], squeeze=False)[1]
    several = np.array([plt.figure().subplots() for _ in range(shape[0] * shape[1])]).reshape(shape)
    same = np.full(shape, plt.figure().subplots())
    wanted = rf"^ax must be the array of different axes that plt\.subplots\({shape[0]}, {shape[1]}\)\[1\] gives, [^\n]*$"
    for wrong in (transposed, same, transposed[0, 0], np.zeros(shape), "axes", 3):
        with pytest.raises(ValueError, match=wanted):
            plot(ax=wrong)
    with pytest.raises(ValueError, match=r"^the axes in ax must belong to one figure, or to one SubFigure of it$"):
        plot(ax=several)


def test_a_curve_is_drawn_on_given_axes_of_a_subfigure_and_they_are_returned():
    figure = plt.figure(layout="constrained")
    axes = figure.subfigures(1, 2)[1].subplots()
    assert pac.plot_curve(curve(), ax=axes) is axes
    assert plt.get_fignums() == [figure.number]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(ORDER)
    axes.remove()
    with pytest.raises(ValueError, match=r"^ax must belong to a figure, and was removed from it$"):
        pac.plot_curve(curve(), ax=axes)


def test_figures_have_the_style_and_leave_the_users_alone(kind):
    mine = {"axes.grid": False, "font.size": 17.0, "lines.linewidth": 7.0, "image.cmap": "hot"}
    with mpl.rc_context(mine):
        before = dict(mpl.rcParams)
        axes = pac.plot_curve(curve())
        FIGURES[kind][1]()
        assert dict(mpl.rcParams) == before
        assert axes.xaxis.get_major_ticks()[0].gridline.get_visible()
        assert axes.xaxis.label.get_size() == 10
        assert [to_hex(line.get_color()).upper() for line in axes.get_legend().get_lines()] == list(COLOURS[:2])
        given = plt.subplots()[1]
        pac.plot_curve(curve(), ax=given)
        assert not given.xaxis.get_major_ticks()[0].gridline.get_visible()
        assert given.xaxis.label.get_size() == 17


def test_colours_are_those_of_the_style_file_which_others_can_use_by_name():
    assert STYLE.exists()
    with plt.style.context("pac_surrogate.plots.pac"):
        assert tuple(each["color"] for each in mpl.rcParams["axes.prop_cycle"]) == COLOURS
    assert len(set(COLOURS)) == 11


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_the_same_figure_gives_the_same_file_whatever_the_date(ending, tmp_path, monkeypatch):
    for name, date in (("a", "0"), ("b", "86400")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
        save_figure(tmp_path / f"{name}.{ending}", pac.plot_curve(curve()).figure)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_a_figure_replaces_neither_a_folder_nor_another_file_that_fails_to_be_written(tmp_path, monkeypatch):
    figure = pac.plot_curve(curve()).figure
    (tmp_path / "old.pdf").write_bytes(b"before")

    def fail(*arguments, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="the disk is full"):
        save_figure(tmp_path / "old.pdf", figure)
    assert [path.name for path in tmp_path.iterdir()] == ["old.pdf"]
    assert (tmp_path / "old.pdf").read_bytes() == b"before"
    (tmp_path / "folder.pdf").mkdir()
    with pytest.raises(pac.DatasetError, match="this is a folder"):
        save_figure(tmp_path / "folder.pdf", figure)


def test_the_first_figure_leaves_a_notebook_interactive(tmp_path):
    # The backend of notebooks turns the interactive mode on when the first figure loads it, and shows no figure without.
    (tmp_path / "notebook.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import *\nmatplotlib.interactive(True)\n"
    )
    stored = BENCHMARKS / "results/heat_equation/heat_equation"
    lines = f"import matplotlib, pac_surrogate as pac; pac.plot_curve({str(stored)!r}); print(matplotlib.is_interactive())"
    places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    setting = os.environ | {"MPLBACKEND": "module://notebook", "PYTHONPATH": places}
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, env=setting, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
