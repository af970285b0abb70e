"""The helper that compiles an export and times it."""

import shutil

import numpy as np
import pytest
from paths import ROOT


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler with the name cc")
def test_a_compiled_network_is_called_in_every_way(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from shared.compiled import compiled, export_of, trained

    made = compiled(export_of(trained("tanh", inputs=3, outputs=2, hidden=(5,))), tmp_path)
    rows = np.random.default_rng(0).normal(size=(4, 3))
    for real, dtype in (("float", np.float32), ("double", np.float64)):
        (found,) = made.rows(rows.astype(dtype))
        call, x, y = made.one(real)
        for row, expected in zip(rows, found, strict=True):
            x[:] = row
            call()
            np.testing.assert_array_equal(y, expected)
        assert made.seconds_in_c(real, loops=1) < made.seconds_from_python(real, loops=1) * 1000
        assert made.seconds_for_rows(real, rows=10, repeats=1) > 0
    assert made.outside(np.full(3, 1e6)) == 3
