"""The API reference under docs/api: it names every public object once, with all public members of important classes."""

import importlib
import inspect
import re
from collections import Counter

import pytest
from paths import ROOT

import pac_surrogate as pac
from pac_surrogate import cli
from pac_surrogate.methods.method_names import METHODS
from simulators import __main__ as simulators_cli

DIRECTIVE = re.compile(r"^\.\. auto(class|function|exception):: (\S+)\n(?:   :members: (.*)\n)?", re.MULTILINE)
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md"))}
FOUND = [(stem, *match) for stem, text in PAGES.items() for match in DIRECTIVE.findall(text)]
DOCUMENTED = {name: (kind, {part.strip() for part in members.split(",") if part.strip()}) for _, kind, name, members in FOUND}


def thing(name):
    """Return the object with a full name."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def test_every_public_name_is_documented_once_and_nothing_else_under_this_name():
    counted = Counter(name for _, _, name, _ in FOUND)
    assert max(counted.values()) == 1, counted.most_common(3)
    assert {name.removeprefix("pac_surrogate.") for name in counted if name.count(".") == 1} == set(pac.__all__)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_documented_object_has_a_docstring_and_the_kind_that_the_page_states(name):
    kind, members = DOCUMENTED[name]
    found = thing(name)
    assert inspect.getdoc(found)
    if kind == "function":
        assert not inspect.isclass(found)
        return
    assert inspect.isclass(found)
    assert issubclass(found, Exception) == (kind == "exception")
    for member in members:
        assert inspect.getdoc(inspect.getattr_static(found, member)), f"{name}.{member}"


# Other classes have members for the rest of the library, which their pages leave out.
WHOLE = (
    "pac_surrogate.Dataset",
    "pac_surrogate.Surrogate",
    "pac_surrogate.Plan",
    "pac_surrogate.methods.case.Case",
    "pac_surrogate.curves.savings.SamplesSaved",
    "pac_surrogate.curves.costs.BreakEven",
    "simulators.ensemble.Side",
)


@pytest.mark.parametrize("name", WHOLE)
def test_all_public_members_are_listed(name):
    found = thing(name)
    fields = set(getattr(found, "__dataclass_fields__", ()))
    assert DOCUMENTED[name][1] == {member for member in vars(found) if not member.startswith("_")} - fields


def test_every_method_stands_on_the_page_of_the_methods():
    listed = {name.removeprefix("pac_surrogate.") for stem, _, name, _ in FOUND if stem == "methods"}
    assert set(METHODS) <= listed
    assert listed - set(METHODS) == {"Auto", "GMP", "ACDC", "STR", "RigL", "WoodFisher", "LTHT"}


def test_classes_to_which_docstrings_may_link_are_documented(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    docstrings = importlib.import_module("docstrings")
    for name in (*docstrings.RETURNED, *docstrings.OTHERS.values()):
        assert name in DOCUMENTED, name


def test_every_command_has_a_section_with_its_help(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    commands = importlib.import_module("commands")
    for app, program, title in (
        (cli.app, "pac-surrogate", "pac-surrogate"),
        (simulators_cli.app, "python -m simulators", "simulators"),
    ):
        for name in commands.names(app):
            assert f"\n## {title} {name}\n" in PAGES["command_line"]
            assert f'"{program}", "{name}")' in PAGES["command_line"]
            help_ = commands.help_of(app, program, name)
            assert f"Usage: {program} {name}" in help_
            assert "Example: " in help_
