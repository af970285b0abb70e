"""`help(pac)` begins with a table of contents, which lists every public name once."""

import pydoc
import re
from pathlib import Path

import pac_surrogate as pac

ENTRY = re.compile(r"^    (\w+) {2,}(\S.*)$", re.MULTILINE)
CONTENTS = pac.__doc__.split("All public names", 1)[1]


def test_every_public_name_is_listed_once_with_a_description_and_no_other_name():
    names = [name for name, _ in ENTRY.findall(CONTENTS)]
    assert sorted(names) == sorted(pac.__all__)
    groups = re.findall(r"^\S.*:$", CONTENTS, re.MULTILINE)
    assert len(ENTRY.findall(CONTENTS)) + len(groups) + 1 == len([line for line in CONTENTS.splitlines() if line.strip()])


def test_the_groups_of_methods_are_their_folders():
    for folder, listed in re.findall(r"\(methods/(\w+)\):\n(.*?)(?:\n\n|$)", CONTENTS, re.DOTALL):
        for name, _ in ENTRY.findall(listed):
            assert folder in Path(getattr(pac, name).__module__.replace(".", "/")).parts, name
    assert re.findall(r"\(methods/(\w+)\)", CONTENTS) == ["tuned", "pulled", "around", "pruned"]


def test_help_shows_the_contents_first_and_no_addresses_of_functions():
    text = pydoc.render_doc(pac, renderer=pydoc.plaintext)
    assert "pac_surrogate - Surrogate models that transfer from a cheap source to an expensive target." in text
    first = text.split("PACKAGE CONTENTS")[0]
    assert all(re.search(rf"\b{name} ", first) for name in pac.__all__)
    assert " object at 0x" not in text
    assert "<function" not in text
