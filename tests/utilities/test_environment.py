"""The version, and what `pac-surrogate doctor` prints for a report of a fault."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from paths import ROOT
from running import command_line

import pac_surrogate as pac
from pac_surrogate.utilities import environment


@pytest.fixture
def facts(monkeypatch, capsys):
    """Run the command; return what it prints, by name."""

    def execute():
        assert command_line(monkeypatch, "doctor") == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(re.fullmatch(r"[^:]+: \S.*", line) for line in lines)
        found = dict(line.split(": ", 1) for line in lines)
        assert len(found) == len(lines)
        return found

    return execute


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_doctor_prints_the_versions_of_all_required_packages(facts):
    found = facts()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {re.match(r"[\w-]+", line)[0].replace("_", "-") for line in project["dependencies"]}
    assert {name: found[name] for name in required} == {name: metadata.version(name) for name in required}
    assert found["torch"] == torch.__version__
    assert found["pac_surrogate"] == pac.__version__
    assert not {"pytest", "sphinx"} & found.keys()  # those of the extras


def test_the_doctor_prints_the_processor_the_threads_and_the_memory(facts, monkeypatch):
    monkeypatch.setattr(environment, "memory_bytes", lambda: 12.34e9)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    found = facts()
    assert found["memory"] == "12.3 GB"
    assert found["cores"] == "3 available of 8"
    assert found["threads of torch"] == str(torch.get_num_threads())
    assert found["vector instructions of torch"] == torch.backends.cpu.get_cpu_capability()
    known = np.show_config(mode="dicts")["SIMD Extensions"]
    assert set(known.get("found", ())) <= set(found["vector instructions of numpy"].split())
    pools = [value for name, value in found.items() if name.startswith("blas library ")]
    assert pools
    assert all(re.search(r", \d+ threads?$", pool) for pool in pools)
    monkeypatch.setattr(environment, "memory_bytes", lambda: float("inf"))
    assert facts()["memory"] == "unknown"


def test_the_doctor_prints_the_device_that_auto_means(facts, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = facts()
    assert found['device="auto"'] == "cpu"
    assert "GPU" not in found
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    gpu = SimpleNamespace(name="A big one", total_memory=80e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    found = facts()
    assert found['device="auto"'] == "cuda"
    assert found["GPU"].startswith("A big one, 80.0 GB, CUDA ")


def test_the_doctor_prints_the_variables_that_are_set_and_matter(facts, monkeypatch):
    values = {"MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "3", "ATEN_CPU_CAPABILITY": "avx2", "CUDA_VISIBLE_DEVICES": "1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MY_PASSWORD", "secret")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = facts()
    assert {name: found[name] for name in values} == values
    assert not {"OPENBLAS_NUM_THREADS", "MY_PASSWORD", "PATH", "HOME"} & found.keys()


def test_the_version_is_that_of_the_installed_package(monkeypatch, capsys):
    installed = metadata.version("pac_surrogate")
    assert pac.__version__ == installed
    assert "__version__" not in pac.__all__
    assert command_line(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"pac-surrogate {installed}\n"
    monkeypatch.setattr(metadata, "version", lambda name: (_ for _ in ()).throw(metadata.PackageNotFoundError(name)))
    assert pac.__version__ == environment.version_of("numpy") == "not installed"


def test_the_version_is_known_without_torch():
    code = "import sys, pac_surrogate; print(pac_surrogate.__version__, 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    assert python("-c", code).stdout == f"{pac.__version__} False False\n"


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("describe", "missing.h5"), ("nonsense",), ()])
def test_python_m_pac_surrogate_is_the_command(arguments):
    (script,) = metadata.entry_points(group="console_scripts", name="pac-surrogate")
    installed = f"import sys; sys.argv[0] = 'pac-surrogate'; import {script.module} as m; sys.exit(m.{script.attr}())"
    one, other = python("-m", "pac_surrogate", *arguments), python("-c", installed, *arguments)
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)
    assert one.stdout or one.stderr


def test_an_unknown_name_of_the_package_is_still_refused():
    with pytest.raises(AttributeError, match="nonsense"):
        pac.nonsense  # noqa: B018
