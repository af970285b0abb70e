"""The chapter on methods: every public method has a section with its defaults, and no default is written by hand."""

import dataclasses
import re

import pytest
from every_method import METHODS
from paths import ROOT

import pac_surrogate as pac
from pac_surrogate.methods import method_names

pytest.importorskip("IPython")

FOLDER = ROOT / "docs" / "methods"
PAGES = [FOLDER / f"{name}.md" for name in ("tuned", "pulled", "around", "pruned", "automatic")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]


def public_methods():
    """Return the names of all public classes that adapt a source, recipes and `Auto` included."""
    return sorted(name for name in pac.__all__ if isinstance(one := getattr(pac, name), type) and hasattr(one, "adapt"))


def section_of(name):
    """Return the section whose title holds the name between backticks."""
    found = [section for section in SECTIONS if f"`{name}`" in section.splitlines()[0]]
    assert len(found) == 1, f"{name} needs one section under docs/methods, got {len(found)}"
    return found[0]


def test_the_public_methods_are_those_of_the_command_line_the_recipes_and_auto():
    recipes = {"GMP", "ACDC", "STR", "RigL", "WoodFisher", "LTHT"}
    assert set(public_methods()) == {*method_names.METHODS, *recipes, "Auto"}


def test_the_methods_of_all_tests_are_public():
    tested = {type(method).__name__ for method in METHODS.values()}
    assert tested <= set(public_methods())


@pytest.mark.parametrize("name", public_methods())
def test_every_method_has_a_section_and_a_row(name):
    section = section_of(name)
    link = f"{{py:class}}`pac_surrogate.{name}`"
    assert link in section
    assert f"defaults(pac.{name})" in section
    first_page = (FOLDER / "index.md").read_text(encoding="utf-8")
    rows = [line for line in first_page.splitlines() if line.startswith(f"| {link} |")]
    assert len(rows) == 1
    (page,) = re.findall(r"\((\w+\.md)\)", rows[0])
    assert f"`{name}`\n" in (FOLDER / page).read_text(encoding="utf-8"), f"{name} is not on {page}"


@pytest.mark.parametrize("name", public_methods())
def test_every_section_has_an_objective(name):
    section = section_of(name)
    assert "$$" in section


@pytest.mark.parametrize("name", public_methods())
def test_the_line_of_defaults_names_every_field(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from defaults import defaults

    method = getattr(pac, name)
    text = defaults(method).data
    for field in dataclasses.fields(method):
        assert f"`{field.name}` = " in text
        if isinstance(field.default, bool | float | str):
            assert f"`{field.name}` = `{field.default!r}`" in text
