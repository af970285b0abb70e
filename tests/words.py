"""Search for words that this project once used in place of the field's terms: `python tests/words.py` must find none.

Names in Python files are split into their words; comments, strings and other text files are searched as prose. This list, the
changelog and the results, which keep their original words, are not searched.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPPED = re.compile(r"^(CHANGELOG\.md|tests/(.*/)?words\.py|benchmarks/results/|constraints\.txt)")
TEXT = (".md", ".py", ".pyi", ".toml", ".cff", ".yml", ".ipynb", "Makefile")


@dataclass(frozen=True)
class Word:
    """A word that is no longer used, and the term that replaces it.

    Attributes:
        prose: regular expression for comments, strings and text files.
        names: words that no name may contain, in lower case; the case of the name is ignored.
        instead: the term of the field.
    """

    prose: str
    names: tuple[str, ...]
    instead: str


WORDS = (
    Word(r"\bdear(er|est)?\b", ("dear",), "expensive, high-fidelity"),
    Word(r"\bdisturb\w*", ("disturb", "disturbed", "disturbance"), "perturbed; noise is added"),
    Word(r"\bbehaviou?rs?\b", ("behaviour", "behaviours", "behavior"), "functional regulariser"),
    Word(r"\bcombinations?\b", ("combination", "combinations"), "random projections; product of values"),
    Word(r"\bworst tenth\b", (), "90th percentile"),
    Word(r"\bchosen by others\b", (), "nested cross-validation"),
    # The verb is allowed, as in "methods that share a start".
    Word(
        r"\b(an?|the|its|own|one|equal|larger|smaller|same|of|what|each) shares?\b|\bshares? of\b",
        ("share", "shares"),
        "weight, fraction",
    ),
    Word(
        r"\bscor(e|es|ed|ing)\b", ("score", "scores", "scored", "scoring"), "importance, error, studentised residual, component"
    ),
    Word(r"\brobust=", (), "radius"),
    Word(r"\blaws?\b", ("law", "laws"), "PDE"),
)
ALLOWED = {
    r'"law"|\blaw\.[a-z]+': "data files hold the numbers of a PDE under this key, which the page of the simulators shows",
    r'"scores"|\bmixture/scores\b': "saved mixtures hold their studentised residuals under this name",
    r'"combinations"': "saved predictors hold the number of their random projections under this name",
    r"\b(r2|cross_val|best)_score_?\b": "names of scikit-learn",
    r"\b(power|scaling|conservation|Darcy's)[ _]laws?\b": "terms of the field",
}


@dataclass(frozen=True)
class Found:
    """An occurrence of a word."""

    path: str
    line: int
    word: str
    instead: str


def searched() -> list[str]:
    """List text files that git tracks, or would track, relative to the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in listed if path.endswith(TEXT) and not SKIPPED.match(path) and (ROOT / path).exists()]


def pieces(path: str, text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the names and lines of a text with their line numbers, and whether each is a name."""
    if not path.endswith((".py", ".pyi")):
        yield from ((number, line, False) for number, line in enumerate(text.splitlines(), 1))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string.startswith("test_"):  # a sentence
            yield token.start[0], token.string.replace("_", " "), False
        elif token.type == tokenize.NAME:
            yield token.start[0], token.string, True
        elif token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from ((token.start[0] + offset, line, False) for offset, line in enumerate(token.string.splitlines()))


def words_of(name: str) -> set[str]:
    """Return the words of a name in lower case; `GroupScores` and `group_scores` have the same words."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def count(path: str, text: str) -> list[Found]:
    """Find the listed words in a text."""
    found = [Found(path, 0, word, each.instead) for each in WORDS for word in sorted(words_of(path) & set(each.names))]
    for line, piece, is_name in pieces(path, text):
        piece = re.sub("|".join(ALLOWED), "", piece, flags=re.IGNORECASE)
        for word in WORDS:
            if is_name:
                used = sorted(words_of(piece) & set(word.names))
                used += [] if word.names else re.findall(word.prose, piece.replace("_", " "))
            else:
                used = [match.group() for match in re.finditer(word.prose, piece, re.IGNORECASE)]
            found += [Found(path, line, each, word.instead) for each in used]
    return found


def main() -> None:
    paths = searched()
    found = [each for path in paths for each in count(path, (ROOT / path).read_text(encoding="utf-8"))]
    for each in found:
        print(f"{each.path}:{each.line}: {each.word}: write {each.instead}")
    print(f"{len(found)} of the listed words in {len(paths)} files")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
