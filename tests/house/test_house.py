"""The structure of the code: allowed imports, where gradients are computed, and forbidden calls."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import NOT_NUMERICAL
from imports import graph, imported, imported_in, layers, module_of, part_of
from mutations import MUTATIONS
from paths import BENCHMARKS, LIBRARY, ROOT, SIMULATORS, TESTS, file_of

# Each part of the library (a folder, or a file at its root) imports only from itself and from the rows above its own.
LAYERS = (
    ("utilities",),
    ("console", "files", "perturbation"),
    ("formats",),
    ("data", "models"),
    ("intervals", "kernels", "plan", "processes"),
    ("predictors", "pruning"),
    ("engines", "exports"),
    ("surrogates",),
    ("methods", "solvers"),  # they meet in the runner, and in the choice among closed forms
    ("prepare", "runner", "selection"),
    ("pipeline", "pretraining"),
    ("curves", "sklearn"),
    ("plots",),
    ("cli",),
    ("__main__",),
)
CONSOLE = (
    "pac_surrogate.console",
    "pac_surrogate.utilities.memory",
)  # used by the command lines of the library and of the simulators
PLACE = {part: row for row, parts in enumerate(LAYERS) for part in parts}
PLACE["the public face"] = PLACE["cli"] - 1  # `import pac_surrogate` reaches everything: only the console may do so


def sources(folder):
    return sorted(folder.rglob("*.py"))


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def dotted(node):
    """Return `a.b.c` for an expression that consists of attributes of a name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported_parts(path):
    """Yield the parts of the library that a file imports."""
    for name in imported(path):
        if (other := module_of(name)) is not None:
            yield "the public face" if other == LIBRARY / "__init__.py" else part_of(other)


LIBRARY_FILES = [path for path in sources(LIBRARY) if path != LIBRARY / "__init__.py"]


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_point_downwards(path):
    here = part_of(path)
    assert here in PLACE, f"{here} has no place in LAYERS: give it one"
    for part in imported_parts(path):
        assert part == here or PLACE[part] < PLACE[here], f"{here} imports {part}"


def test_the_check_of_imports_finds_the_existing_ones():
    def seen(name):
        return set(imported_parts(LIBRARY / name))

    assert {"methods", "solvers", "surrogates"} <= seen("runner.py")
    assert {"plan", "models"} <= seen("solvers/training.py")
    assert "pruning" in seen("methods/pruned/pac.py")
    assert {"solvers", "runner", "pipeline", "curves"}.isdisjoint(seen("methods/pruned/pac.py"))
    assert not set(graph()) - PLACE.keys()


def test_the_root_holds_ten_files_at_most_and_no_imports_are_circular():
    assert len(list(LIBRARY.glob("*.py"))) <= 10
    parts = graph()
    assert sum(map(len, layers(parts))) == len(parts)
    files = graph(files=True)
    assert sum(map(len, layers(files))) == len(files)


def test_every_line_that_a_mutation_changes_occurs_once_in_its_file():
    for name, (file, line, broken, test, _) in MUTATIONS.items():
        assert (ROOT / file).read_text(encoding="utf-8").count(line) == 1, f"{name}: {file} must hold {line!r} once"
        assert line != broken
        assert file_of(test).is_file(), name


def test_the_tests_that_are_not_numerical_exist():
    for name in NOT_NUMERICAL:
        file, _, test = name.partition("::")
        if file.endswith("/"):
            assert (ROOT / file).is_dir(), f"there is no {file}"
            continue
        path = file_of(file.removesuffix(".py"))
        assert f"def {test.partition('[')[0]}" in path.read_text(encoding="utf-8"), f"there is no {name}"


def test_every_test_file_lies_in_a_folder_and_is_found_by_its_name():
    files = [path for path in sources(TESTS) if path.name.startswith("test_")]
    assert len(files) > 75
    for path in files:
        assert path.parent.parent == TESTS, path
        assert file_of(path.stem) == path


GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_draws_the_same_numbers_regardless_of_the_tests_before_it(time):
    assert GENERATOR.random() == np.random.default_rng(0).random()


def test_no_test_file_imports_another():
    """The other would be found only in a run that collects its folder too; helpers lie on top of tests/."""
    names = {path.stem for path in sources(TESTS) if path.name.startswith("test_")}
    for path in sources(TESTS):
        assert {name.split(".")[0] for name in imported_in(tree(path))}.isdisjoint(names), path


def test_the_library_imports_no_simulator_and_no_benchmark_and_no_test():
    for path in sources(LIBRARY):
        packages = {name.split(".")[0] for name in imported_in(tree(path))}
        assert packages.isdisjoint({"simulators", "benchmarks", "tests"}), path


def test_simulators_import_only_the_file_writer_of_the_library_and_only_where_files_are_written():
    for path in sources(SIMULATORS):
        known = {name for name in imported_in(tree(path)) if name.split(".")[0] == "pac_surrogate"}
        assert not known or path in (SIMULATORS / "__main__.py", SIMULATORS / "generate.py"), path
        assert all(name.startswith(("pac_surrogate.files.", *CONSOLE)) for name in known), path


PHYSICS = sorted(path.name for path in SIMULATORS.iterdir() if (path / "__init__.py").exists() and path.name != "numerics")


def imported_simulators(path):
    """Yield the parts of the simulators that one of their files imports; `__init__` is the public interface of all."""
    modules = (module_of(name, SIMULATORS) for name in imported(path))
    return {part_of(module, SIMULATORS) for module in modules if module is not None}


@pytest.mark.parametrize("folder", ["numerics", *PHYSICS])
def test_the_simulators_of_different_physics_do_not_import_each_other_and_the_numerics_import_none(folder):
    allowed = {"numerics"} if folder == "numerics" else {folder, "numerics", "ensemble", "quantities"}
    for path in sources(SIMULATORS / folder):
        assert imported_simulators(path) <= allowed, path


def test_the_check_of_simulators_finds_the_existing_imports():
    assert len(PHYSICS) >= 8
    assert {part_of(path, SIMULATORS) for path in sources(SIMULATORS)} == {
        *PHYSICS,
        *("numerics", "__init__", "__main__", "ensemble", "generate", "pairs", "quantities"),
    }
    assert imported_simulators(SIMULATORS / "heat" / "pairs.py") == {"heat", "ensemble"}
    assert imported_simulators(SIMULATORS / "steady" / "blobs.py") == {"quantities"}
    assert imported_simulators(SIMULATORS / "waves" / "wave_equation.py") == {"numerics"}
    assert imported_simulators(SIMULATORS / "pairs.py") == {*PHYSICS, "ensemble"}
    for files in (False, True):
        parts = graph(SIMULATORS, files=files)
        assert sum(map(len, layers(parts))) == len(parts)


def gradients_followed(path):
    """Yield optimisers and gradients with respect to weights in a file: the signs of a training loop."""
    names = {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)} | set(imported_in(tree(path)))
    return {
        name
        for name in names
        if any(part in name for part in ("torch.optim", "torch.autograd", "_fused_adam_"))
        or name.endswith((".backward", ".requires_grad_", ".grad"))
    }


# jacobian.py differentiates for diagnostics (Fisher information, importance); adam.py is the step of the training loop. The
# search for the hyper-parameters of Gaussian processes, which are not weights, needs the derivatives of the evidence.
SEARCH = {"torch.autograd.grad", "torch.autograd", ".requires_grad_"}
ELSEWHERE = {
    **{"jacobian.py": {"torch.func.grad"}, "adam.py": {"torch._fused_adam_"}},
    **{"evidence.py": {"torch.autograd.Function", "torch.autograd"}, "fits.py": SEARCH, "joint.py": SEARCH},
}


def test_there_is_one_training_loop():
    assert {"torch.autograd.backward", "torch.autograd.grad"} <= gradients_followed(LIBRARY / "solvers" / "training.py")
    assert gradients_followed(LIBRARY / "solvers" / "adam.py") == ELSEWHERE["adam.py"]
    for path in sources(LIBRARY):
        assert path.name == "training.py" or gradients_followed(path) <= ELSEWHERE.get(path.name, set()), path


UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("folder", [LIBRARY, SIMULATORS, BENCHMARKS], ids=lambda folder: folder.name)
def test_nothing_is_ever_unpickled_or_evaluated(folder):
    paths = sources(folder)
    assert paths
    for path in paths:
        module = tree(path)
        assert UNPICKLING.isdisjoint(part for name in imported_in(module) for part in name.split(".")), path
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            name = dotted(call.func)
            assert name not in ("eval", "exec", "torch.load", "torch.jit.load", "torch.hub.load"), f"{path}:{call.lineno}"
            for keyword in call.keywords:
                if keyword.arg in ("allow_pickle", "weights_only"):
                    safe = keyword.arg == "weights_only"
                    assert isinstance(keyword.value, ast.Constant), f"{path}:{call.lineno}"
                    assert keyword.value.value is safe, f"{path}:{call.lineno}"


def test_optional_packages_are_imported_only_where_they_are_needed():
    """A missing extra must not keep the package from being imported: no such import at the top of a file."""
    extras = {"h5netcdf", "smt", "exponax", "dask", "distributed", "onnx", "onnxruntime", "numba", "beartype", "hypothesis"}
    extras |= {"pyarrow", "zarr"}
    for path in sources(LIBRARY):
        top = ast.Module([node for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert extras.isdisjoint(name.split(".")[0] for name in imported_in(top)), path


# The public interface, in a process that has imported nothing yet ----------------------------------------------------------

QUESTIONS = """
import json, sys
import pac_surrogate as pac
answers = {"torch at import": "torch" in sys.modules}
pac.Dataset, pac.open_dataset, pac.DatasetError
answers["torch for data"] = "torch" in sys.modules
answers["home before"] = pac.transfer.__module__
import pac_surrogate.methods.pruned.pac
from pac_surrogate import transfer
answers["home after"] = pac.transfer.__module__
answers["callable"] = callable(pac.transfer) and transfer is pac.transfer
answers["unresolved"] = [name for name in pac.__all__ if getattr(pac, name, None) is None]
answers["listed"] = sorted(pac.__all__) == dir(pac) and len(set(pac.__all__)) == len(pac.__all__)
try:
    pac.nonsense
except AttributeError as error:
    answers["unknown"] = str(error)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def face():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUESTIONS], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_the_package_and_reading_data_does_not_import_torch(face):
    assert not face["torch at import"]
    assert not face["torch for data"]


def test_transfer_is_the_function(face):
    assert face["home before"] == face["home after"] == "pac_surrogate.pipeline"
    assert face["callable"]


def test_every_public_name_resolves_and_others_do_not(face):
    assert face["unresolved"] == []
    assert face["listed"]
    assert "nonsense" in face["unknown"]
