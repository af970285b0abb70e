"""The imports between the parts of the library, as a diagram: a part is a folder, or a file at the root.

    python tests/imports.py                 prints each part with the parts that it imports, the lowest first
    python tests/imports.py --files         the same for the files of every folder
    python tests/imports.py --of simulators [--files]        the same for another package of the repository

Prints the numbers of parts, arrows and layers; exit status 1 if there is a cycle.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from paths import LIBRARY, ROOT


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of everything that a file imports, including imports in functions and for type checkers."""
    yield from imported_in(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))


def imported_in(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of everything that is imported in a syntax tree, or in a part of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports here are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str, package: Path = LIBRARY) -> Path | None:
    """Return the file of the package that defines a full name, or None if the name belongs to another package."""
    first, *rest = name.split(".")
    if first != package.name:
        return None
    while rest:
        for path in (package.joinpath(*rest).with_suffix(".py"), package.joinpath(*rest, "__init__.py")):
            if path.exists():
                return path
        rest.pop()
    return package / "__init__.py"


def part_of(path: Path, package: Path = LIBRARY, *, files: bool = False) -> str:
    """Return the part to which a file belongs."""
    inside = path.relative_to(package).with_suffix("")
    return ".".join(inside.parts) if files else inside.parts[0]


def graph(package: Path = LIBRARY, *, files: bool = False) -> dict[str, set[str]]:
    """Return each part with the other parts that it imports; an `__init__.py` alone is not a part."""
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        if path.name == "__init__.py" and (files or path.parent == package):
            continue
        here = part_of(path, package, files=files)
        modules = (module_of(name, package) for name in imported(path))
        others = {part_of(module, package, files=files) for module in modules if module is not None}
        found.setdefault(here, set()).update(others - {here, "__init__"})
    return {part: {other for other in others if other in found} for part, others in found.items()}


def layers(parts: dict[str, set[str]]) -> list[list[str]]:
    """Sort parts into layers, each importing only from earlier ones; parts in a cycle or above one are in no layer."""
    rows: list[list[str]] = []
    placed: set[str] = set()
    while row := sorted(part for part, others in parts.items() if part not in placed and others <= placed):
        rows.append(row)
        placed.update(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", default=LIBRARY.name, choices=("pac_surrogate", "simulators"), help="the package")
    parser.add_argument("--files", action="store_true", help="files, not folders")
    flags = parser.parse_args()
    parts = graph(ROOT / flags.of, files=flags.files)
    rows = layers(parts)
    for depth, row in enumerate(rows):
        for part in row:
            print(f"{depth:2} {part:24} {', '.join(sorted(parts[part]))}")
    left = sorted(set(parts) - {part for row in rows for part in row})
    for part in left:
        print(f" - {part:24} {', '.join(sorted(parts[part] & set(left)))}   in a cycle, or above one")
    print(f"{len(parts)} parts, {sum(map(len, parts.values()))} arrows, {len(rows)} deep")
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
