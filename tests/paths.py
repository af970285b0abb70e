"""Where things lie in the repository, for tests in whatever folder and for the scripts beside them."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LIBRARY, SIMULATORS, BENCHMARKS = (ROOT / name for name in ("pac_surrogate", "simulators", "benchmarks"))
EARLIER = TESTS / "earlier"  # files that earlier versions wrote


def file_of(test: str) -> Path:
    """The test file of a name, such as `test_methods`, in whatever folder it lies: names are unique, which pytest needs too."""
    found = sorted(TESTS.rglob(f"{test}.py"))
    if len(found) != 1:
        raise ValueError(f"one file of tests/ must be named {test}.py, there are {len(found)}")
    return found[0]
