"""Plots of samples: the drawn values are the data, on common scales, with names and units."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import LogNorm, to_hex

import pac_surrogate as pac
from simulators.generate import generate
from simulators.pairs import find_pair

SAMPLES = 5
GREY = "#999999"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal((SAMPLES, *shape))


def panels_of(panels):
    """Return the panels with contents, row by row, without empty places."""
    return [panel for panel in panels.flat if panel.axison]


def bars_of(panels):
    return [panel for panel in panels[0, 0].figure.axes if panel.get_label() == "<colorbar>"]


def rods(seed, size=6):
    x = {"initial_temperature": 10 * numbers(seed, size), "conductivity": 20 + numbers(seed + 1)}
    units = {"initial_temperature": "K", "temperature": "K", "conductivity": "W m-1 K-1"}
    axes = {name: ("x",) for name in ("initial_temperature", "temperature")}
    return pac.Dataset.from_arrays(x, {"temperature": numbers(seed + 2, size)}, axes=axes, units=units)


def plates(seed, scaling="standard"):
    x, y = {"source": 1 + numbers(seed, 4, 3) ** 2}, {"pressure": numbers(seed + 1, 4, 3)}
    axes, units = dict.fromkeys(("source", "pressure"), ("x", "y")), {"source": "s-1", "pressure": "Pa"}
    return pac.Dataset.from_arrays(x, y, axes=axes, units=units, scaling={"source": scaling})


def orbits(seed, names=("prey", "predators"), scaling="standard"):
    y = {name: np.exp(numbers(seed + i, 7)) for i, name in enumerate(names)}
    axes, units = dict.fromkeys(names, ("time",)), dict.fromkeys(names, "km-2")
    return pac.Dataset.from_arrays({"growth": numbers(seed)}, y, axes=axes, units=units, scaling=dict.fromkeys(names, scaling))


def test_lines_along_x_are_the_inputs_in_grey_and_the_outputs_on_one_scale():
    source, target = rods(0), rods(10)
    panels = panels_of(pac.plot_samples(source, target))
    assert len(panels) == 6
    for panel, (side, i) in zip(panels, [(side, i) for side in (source, target) for i in range(3)], strict=True):
        before, after = panel.get_lines()
        np.testing.assert_array_equal(before.get_xdata(), np.arange(6))
        np.testing.assert_array_equal(before.get_ydata(), side["initial_temperature"][i])
        np.testing.assert_array_equal(after.get_ydata(), side["temperature"][i])
        assert to_hex(before.get_color()) == GREY != to_hex(after.get_color())
        assert f"conductivity {side['conductivity'][i]:.3g} W m-1 K-1" in panel.get_title()
        assert panel.get_xlabel() == "x [1]"
    assert [panel.get_title().split(",")[0] for panel in panels] == [
        f"{s} {i}" for s in ("source", "target") for i in (1, 2, 3)
    ]
    assert panels[0].get_ylabel() == panels[3].get_ylabel() == "temperature [K]"
    (limits,) = {panel.get_ylim() for panel in panels}
    drawn = [side[name][:3] for side in (source, target) for name in ("initial_temperature", "temperature")]
    assert limits[0] < np.min(drawn) < np.max(drawn) < limits[1]


@pytest.mark.parametrize("samples", [1, 3])
def test_a_heading_of_many_numbers_is_broken_into_lines_that_fit_above_their_panel(samples):
    names = [f"conductivity_of_layer_{i}" for i in range(6)]
    inputs = {name: numbers(i) for i, name in enumerate(names)}
    side = pac.Dataset.from_arrays(inputs, {"temperature": numbers(9, 6)}, axes={"temperature": ("x",)})
    for panel in panels_of(pac.plot_samples(side, side, samples=samples)):
        first, *lines = panel.get_title().split("\n")
        assert first in [f"{role} {i}" for role in ("source", "target") for i in range(1, samples + 1)]
        assert " ".join(lines).count("conductivity of layer") == 6
        # A row of panels is ten inches wide, and a letter of this size is some 0.07 inch wide.
        assert max(map(len, lines)) <= 132 // samples
        assert len(lines) > 1


def test_axes_carry_the_coordinates_and_units_of_a_file(tmp_path):
    paths = generate(find_pair("advection_diffusion"), tmp_path, samples=6)
    source, target = (pac.open_dataset(paths[side]).train for side in ("source", "target"))
    panel = panels_of(pac.plot_samples(source, target, samples=1, title="waves"))[0]
    assert panel.get_xlabel() == "x [m]"
    np.testing.assert_array_equal(panel.get_lines()[0].get_xdata(), source.coordinates["x"].values)
    assert panel.get_figure().get_suptitle() == "waves"


def test_images_are_the_fields_with_x_to_the_right_and_one_colour_scale_for_each_variable():
    source, target = plates(0), plates(10)
    grid = pac.plot_samples(source, target)
    panels, names = panels_of(grid), ("source", "pressure")
    assert len(panels) == 12
    for row, name in enumerate(names):
        order = [(side, i) for side in (source, target) for i in range(3)]
        images = [panel.images[0] for panel in panels[6 * row : 6 * row + 6]]
        for image, (side, i) in zip(images, order, strict=True):
            np.testing.assert_array_equal(image.get_array(), side[name][i].T)
            assert image.origin == "lower"
            assert tuple(image.get_extent()) == (-0.5, 3.5, -0.5, 2.5)
        (limits,) = {image.get_clim() for image in images}
        drawn = np.stack([side[name][i] for side, i in order])
        largest = np.abs(drawn).max()
        assert limits == pytest.approx((drawn.min(), drawn.max()) if name == "source" else (-largest, largest), rel=1e-12)
    assert [bar.get_ylabel() for bar in bars_of(grid)] == ["source [s-1]", "pressure [Pa]"]
    assert {panel.get_xlabel() for panel in panels[6:]} == {"x [1]"}
    assert panels[0].get_ylabel() == "y [1]"


def test_images_of_values_over_decades_have_logarithmic_colours():
    panels = panels_of(pac.plot_samples(plates(0, "log"), plates(10, "log"), samples=1))
    assert [isinstance(panel.images[0].norm, LogNorm) for panel in panels] == [True, True, False, False]


@pytest.mark.parametrize(("scaling", "scale"), [("standard", "linear"), ("log", "log")])
def test_trajectories_have_a_row_for_each_variable_and_a_colour_for_each_sample(scaling, scale):
    source, target = orbits(0, scaling=scaling), orbits(10, scaling=scaling)
    panels = panels_of(pac.plot_samples(source, target))
    order = [(name, side) for name in ("prey", "predators") for side in (source, target)]
    for panel, (name, side) in zip(panels, order, strict=True):
        lines = panel.get_lines()
        np.testing.assert_array_equal([line.get_ydata() for line in lines], side[name][:3])
        assert len({line.get_color() for line in lines}) == 3
        assert panel.get_yscale() == scale
        low, high = panel.get_ylim()
        assert low < side[name][:3].min() < side[name][:3].max() < high
    assert panels[0].get_ylim() == panels[1].get_ylim() != panels[2].get_ylim()
    assert [panel.get_ylabel() for panel in panels] == ["prey [km-2]", "", "predators [km-2]", ""]
    assert [panel.get_xlabel() for panel in panels] == ["", "", "time [1]", "time [1]"]


def test_the_outputs_of_a_target_with_other_outputs_are_shown_under_their_own_names():
    source, target = orbits(0), orbits(10, names=("energy",))
    panels = panels_of(pac.plot_samples(source, target))
    assert [panel.get_ylabel() for panel in panels] == ["prey [km-2]", "energy [km-2]", "predators [km-2]"]
    np.testing.assert_array_equal([line.get_ydata() for line in panels[1].get_lines()], target["energy"][:3])


def test_a_target_with_numbers_and_readings_instead_of_a_field_shows_both():
    x = {"initial": numbers(1, 4, 3)}
    square, units = ("x", "y"), {"flow": "m2 s-1", "probes": "Pa"}
    source = pac.Dataset.from_arrays(x, {"field": numbers(2, 4, 3)}, axes={"initial": square, "field": square})
    y, axes = {"flow": 3 + numbers(3), "probes": numbers(4, 8)}, {"initial": square, "probes": ("channel",)}
    target = pac.Dataset.from_arrays(x, y, axes=axes, units=units)
    panels = panels_of(pac.plot_samples(source, target))
    assert [panel.get_title() for panel in panels if "flow" in panel.get_title()] == [
        f"target {i + 1}\nflow {target['flow'][i]:.2g} m2 s-1" for i in range(3)
    ]
    probed = [panel.get_lines()[0].get_ydata() for panel in panels if panel.get_lines()]
    np.testing.assert_array_equal(probed, target["probes"][:3])
    assert "probes [Pa]" in {panel.get_ylabel() for panel in panels}


def test_a_few_channels_over_time_are_one_line_each():
    axes = {"initial": ("x",), "value": ("time", "channel")}
    source, target = (
        pac.Dataset.from_arrays({"initial": numbers(seed, 4)}, {"value": numbers(seed, 6, 2)}, axes=axes) for seed in (0, 1)
    )
    panels = panels_of(pac.plot_samples(source, target))
    for panel, (side, i) in zip(panels[6:], [(side, i) for side in (source, target) for i in range(3)], strict=True):
        np.testing.assert_array_equal([line.get_ydata() for line in panel.get_lines()], side["value"][i].T)
        assert [line.get_label() for line in panel.get_lines()] == ["value, channel 0", "value, channel 1"]


def test_the_last_of_the_fields_over_time_is_drawn():
    axes = {"initial": ("x", "y"), "field": ("time", "x", "y")}
    data = pac.Dataset.from_arrays({"initial": numbers(1, 4, 3)}, {"field": numbers(2, 5, 4, 3)}, axes=axes)
    panels = panels_of(pac.plot_samples(data, data, samples=1))
    np.testing.assert_array_equal(panels[2].images[0].get_array(), data["field"][0, -1].T)


def table(seed, weights):
    features, area = numbers(seed, 3), numbers(seed + 1)
    y = features @ np.array(weights[:3]) + weights[3] * area
    units = {"area": "m2", "lift": "N"}
    return pac.Dataset.from_arrays({"f": features, "area": area}, {"lift": y}, units=units, axes={"f": ("feature",)})


def test_a_table_is_drawn_as_dots_over_the_inputs_most_correlated_with_the_output_of_each_side():
    source, target = table(0, (0.0, 0.0, 0.0, 1.0)), table(10, (0.0, 1.0, 0.0, 0.0))
    panels = panels_of(pac.plot_samples(source, target))
    # Each of these inputs is the only term of one side's output, and correlated with it up to round-off.
    assert {panel.get_xlabel() for panel in panels[:2]} == {"area [m2]", "f 1 [1]"}
    assert len(panels) == 3
    assert panels[0].get_ylabel() == "lift [N]"
    for panel in panels[:2]:
        for line, side in zip(panel.get_lines(), (source, target), strict=True):
            expected = side["area"] if panel.get_xlabel() == "area [m2]" else side["f"][:, 1]
            np.testing.assert_array_equal(line.get_xdata(), expected)
            np.testing.assert_array_equal(line.get_ydata(), side["lift"])
    assert [line.get_label() for line in panels[0].get_lines()] == ["source", "target"]


def test_data_that_cannot_be_drawn_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^each side needs a sample, got samples=0, a source of 5 and a target of 5$"):
        pac.plot_samples(rods(0), rods(1), samples=0)
    with pytest.raises(ValueError, match=r"^each side needs a sample, got samples=3, a source of 5 and a target of 0$"):
        pac.plot_samples(rods(0), rods(1)[:0])
    axes = {"input": ("x",), "output": ("x", "y", "z")}
    deep = pac.Dataset.from_arrays(numbers(0, 3), numbers(1, 3, 2, 2), axes=axes)
    with pytest.raises(
        ValueError, match=r"^at most two axes, and time before them, can be drawn, output has \('x', 'y', 'z'\)$"
    ):
        pac.plot_samples(deep, deep)
