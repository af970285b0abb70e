"""Docstrings as the book shows them, and the import diagrams that it draws."""

import importlib
import inspect

import matplotlib.pyplot as plt
import pytest
from imports import graph, layers
from paths import LIBRARY, ROOT, SIMULATORS

import pac_surrogate as pac


@pytest.fixture
def book(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module


def shown(docstrings, what, name, thing, text):
    lines = inspect.cleandoc(text).splitlines()
    docstrings.as_restructured_text(None, what, name, thing, None, lines)
    return lines


def test_equations_are_literal_names_are_code_or_links_and_nothing_else_is_markup(book):
    text = """Minimise |e|*2 of x_ over `steps` with `Auto`, `Dataset.from_arrays(x, y)`, `Choice` and `no_such_name`.

        + strength/2 ||w||^2

    The next line.
    Source: a paper.

    Args:
        steps: one | two, a*b*c.
    """

    def function(steps):
        """Take steps."""

    assert shown(book("docstrings"), "function", "pac_surrogate.function", function, text) == [
        r"Minimise \|e\|\*2 of x\_ over ``steps`` with :py:obj:`Auto <pac_surrogate.Auto>`, "
        ":py:obj:`Dataset.from_arrays(x, y) <pac_surrogate.Dataset.from_arrays>`, "
        ":py:obj:`Choice <pac_surrogate.predictors.choice.Choice>` and ``no_such_name``.",
        *("", "", ".. code-block:: text", "    :class: equation", ""),
        *("    + strength/2 ||w||^2", "", "The next line.", "", "Source: a paper.", "", "Args:"),
        r"    steps: one \| two, a\*b\*c.",
    ]


def test_a_program_in_a_docstring_is_python(book):
    lines = shown(book("docstrings"), "function", "pac_surrogate.grid", pac.grid, inspect.getdoc(pac.grid))
    assert ".. code-block:: python" in lines


def test_a_colon_in_the_first_line_of_a_property_is_hidden_from_napoleon_and_restored(book):
    docstrings = book("docstrings")
    lines = shown(docstrings, "property", "pac_surrogate.Dataset.x", pac.Dataset.x, "Inputs: the matrix.\n\nMore: text.")
    assert ": " not in lines[0]
    docstrings.restore_colons(None, "property", "", None, None, lines)
    assert lines == ["Inputs: the matrix.", "", "More: text."]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("pac_surrogate.ATL", f"(strengths={pac.ATL().strengths!r}, form='greedy')", "(strengths=(...), form='greedy')"),
        ("pac_surrogate.SparseTransfer", "(recipe=<factory>, regime='full')", "(recipe=..., regime='full')"),
        ("pac_surrogate.PAC", "(sparsity=0.8)", "(sparsity=0.8)"),
        ("pac_surrogate.Surrogate", "(predictor, scaling)", ""),
    ],
)
def test_signatures_show_short_defaults_and_no_arguments_that_users_do_not_give(book, name, given, expected):
    thing = getattr(pac, name.partition(".")[2])
    assert book("docstrings").readable_signature(None, "class", name, thing, None, given, None) == (expected, None)


def reachable(arrows):
    """Return for each part everything that it imports, directly or through others."""
    found = {}
    for row in layers(arrows):
        for part in row:
            found[part] = arrows[part].union(*(found[other] for other in arrows[part]))
    return found


@pytest.mark.parametrize("package", [LIBRARY, SIMULATORS], ids=lambda package: package.name)
def test_the_diagram_has_all_parts_in_rows_and_leaves_out_only_implied_imports(book, package):
    drawing = book("imports_figure")
    parts = graph(package)
    arrows = drawing.reduced(parts)
    assert reachable(arrows) == reachable(parts)
    for part, others in arrows.items():
        for other in others:
            without = arrows | {part: others - {other}}
            assert other not in reachable(without)[part], f"the arrow from {part} to {other} is implied by others"
    figure = drawing.figure(package)
    (axes,) = figure.axes
    names = [text for text in axes.texts if text.get_text()]
    assert {text.get_text() for text in names} == set(parts)
    assert len(axes.texts) - len(names) == sum(map(len, arrows.values()))
    figure.canvas.draw()
    boxes = [text.get_bbox_patch().get_window_extent() for text in names]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width <= 700 for box in boxes)
    plt.close("all")
