"""Run the README as a reader would type it: every block of Python in order, in one session and one folder, then the console.

Trainings are cut to a few steps, which changes the numbers but no line of the blocks.
"""

import re
import shlex
import sys

import matplotlib.pyplot as plt
import pytest
from paths import ROOT

import pac_surrogate as pac
from pac_surrogate import cli, pipeline, runner
from simulators.pairs import PAIRS

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^    pac-surrogate (.*)$", README, re.MULTILINE)
STEPS = 5


# In the README the target has another material than the source, which gives a warning.
@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
def test_every_block_runs_in_order_as_a_reader_would_type_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trainings = []

    def shorter(*arguments, steps, **options):
        trainings.append(steps)
        return pac.fit(*arguments, steps=min(steps, STEPS), **options)

    for module in (pipeline, runner):
        monkeypatch.setattr(module, "fit", shorter)
    session = {}
    for place, block in enumerate(BLOCKS):
        try:
            exec(compile(block, f"README block {place + 1}", "exec"), session)
        except Exception as error:
            pytest.fail(f"block {place + 1} of the README, beginning with {block.splitlines()[0]!r}: {error!r}")
    plt.close("all")
    assert max(trainings) == 3000  # the blocks use the default number of steps
    assert {"surrogate", "adapted", "band", "curve", "rows", "velocity"} <= session.keys()
    assert (tmp_path / "heat.safetensors").is_file()
    assert (tmp_path / "curve.png").is_file()
    assert session["prediction"].shape == (200, 32)
    assert "leave-one-out error" in capsys.readouterr().out  # the output of `print(adapted.choice)`

    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["pac-surrogate", *shlex.split(command)])
        try:
            cli.main()
        except SystemExit:
            pytest.fail(f"{command}: {capsys.readouterr().err}")
    assert (tmp_path / "prediction.nc").is_file()


def test_the_readme_has_its_expected_blocks():
    assert len(BLOCKS) >= 5
    assert [command.split()[0] for command in COMMANDS] == ["describe", "validate", "pretrain", "transfer", "predict"]


def test_the_readme_counts_the_pairs():
    assert f"**Pairs**, {len(PAIRS)} of them" in README
