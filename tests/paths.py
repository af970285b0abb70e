"""Paths in the repository, for tests in any folder and for the scripts beside them."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LIBRARY, SIMULATORS, BENCHMARKS = (ROOT / name for name in ("pac_surrogate", "simulators", "benchmarks"))
EARLIER = TESTS / "earlier"  # files written by earlier versions


def file_of(test: str) -> Path:
    """Find a test file by its name, such as `test_methods`, in any folder; names are unique, as pytest also requires."""
    found = sorted(TESTS.rglob(f"{test}.py"))
    if len(found) != 1:
        raise ValueError(f"one file of tests/ must be named {test}.py, there are {len(found)}")
    return found[0]
