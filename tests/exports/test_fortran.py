"""The interface for Fortran that the book prints, compiled and called where there is a Fortran compiler."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from paths import ROOT

import pac_surrogate as pac

MAIN = """
program main
  use beam
  implicit none
  real(c_double) :: x(inputs, 4), y(outputs, 4), one(outputs)
  open(1, file="x.txt")
  read(1, *) x
  call beam_double_rows(4_c_size_t, x, y)
  call beam_double(x(:, 4), one)
  print "(*(es25.16))", y, one
  print *, beam_outside(x(:, 1)), beam_outside(x(:, 1) + 1000)
end program
"""


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="there is no Fortran compiler with the name gfortran")
def test_the_interface_of_the_book_compiles_and_predicts(tmp_path):
    page = (ROOT / "docs" / "how_to" / "ship_a_surrogate.md").read_text()
    (interface,) = re.findall(r"```fortran\n(.*?)```", page, re.DOTALL)
    x = np.random.default_rng(0).uniform(size=(40, 3))
    surrogate = pac.pretrain(x, x.prod(1), model=pac.MLP(hidden=(5,)), steps=20)
    surrogate.export(tmp_path / "beam", "c", name="beam")
    (tmp_path / "beam.f90").write_text(interface + MAIN)
    np.savetxt(tmp_path / "x.txt", x[:4], fmt="%.17g")
    compiled = ["cc", "-DBEAM_FUNCTION=", "-std=c99", "-x", "c", "-c", "beam/beam.h", "-o", "beam.o"]
    subprocess.run(compiled, cwd=tmp_path, check=True)
    linked = ["gfortran", "-Wall", "-Wextra", "-Werror", "beam.f90", "beam.o", "-lm", "-o", "main"]
    subprocess.run(linked, cwd=tmp_path, check=True)
    done = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True)
    first, second = done.stdout.strip().splitlines()
    # The network computes in float32 in `predict` and in double precision in C.
    np.testing.assert_allclose(np.array(first.split(), float), surrogate.predict(x[[0, 1, 2, 3, 3]]), atol=1e-5)
    assert second.split() == ["0", "3"]
