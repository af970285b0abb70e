"""The field's terms in names, prose and messages: no replaced word remains, and the search finds them."""

import pytest
from paths import ROOT
from words import WORDS, count, searched


def test_no_replaced_word_remains():
    paths = searched()
    assert {"README.md", "pyproject.toml", "pac_surrogate/plan.py", "simulators/README.md", "tests/house/test_words.py"} <= {
        *paths
    }
    assert [found for path in paths for found in count(path, (ROOT / path).read_text(encoding="utf-8"))] == []


# The words are written in pieces, so that this file passes its own test.
NAMES = ("de" + "ar", "dis" + "turb", "beha" + "viour", "combi" + "nations", "sha" + "re", "sco" + "res", "la" + "w")
PROSE = (
    "a de" + "ar simulator",
    "dis" + "turbed inputs",
    "the beha" + "viour of a Plan",
    "combi" + "nations of outputs",
    "the worst " + "tenth",
    "what is chosen by " + "others",
    "its sha" + "re of the time",
    "Sco" + "res by metric",
    "draw_ticket(robust" + "=0.1)",
    "a periodic la" + "w",
)


@pytest.mark.parametrize("word", NAMES)
def test_a_word_within_a_name_is_found_in_every_compound(word):
    for name in (word, f"_{word}", f"{word}_of_group", f"{word.capitalize()}Of", f"source{word.capitalize()}", word.upper()):
        assert [found.line for found in count("a.py", f"\n{name} = 1\n")] == [2], name
    assert count(f"{word}.py", "")
    assert count("a.py", "chosen_by" + "_others(x)")
    assert not count("a.py", f"{word}x = x{word}s = 1\n")


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_searched_in_comments_strings_and_text_files(text):
    for path, content in (("a.py", f"x = 1\n# {text}\n"), ("a.py", f'x = 1\ny = """of\n{text}"""\n'), ("a.md", f"\n{text}")):
        assert len(count(path, content)) == 1, content
    assert len(WORDS) == len(PROSE)


TERMS = ("outputs share a length scale", "Darcy's law", "a power law", '"scores"', "from sklearn.metrics import r2_score")


@pytest.mark.parametrize("text", TERMS)
def test_terms_of_the_field_and_names_in_files_are_allowed(text):
    assert not count("a.md", text)
    assert not count("a.py", f"# {text}")
