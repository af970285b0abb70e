"""The README: its size, its first example with what it prints, its table, and its links."""

import re

import matplotlib.pyplot as plt
from paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
PRINTED = re.search(r"^```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
NUMBER = re.compile(r"\d+\.\d+")


def test_it_fits_a_screen():
    assert len(README.encode()) <= 8000
    assert "transfer learning" in README.split("\n\n")[1]
    assert "multi-fidelity" in README.split("\n\n")[1]


def test_the_first_example_is_short():
    assert len(EXAMPLE.splitlines()) <= 11  # ten lines, and the empty one after the import
    assert EXAMPLE.count("import") == 1


def test_the_first_example_keeps_what_the_readme_promises(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    session = {}
    exec(compile(EXAMPLE, "README", "exec"), session)
    printed = capsys.readouterr().out
    assert (tmp_path / "pendulum.safetensors").is_file()
    # The same lines; which candidate leads, and the last digits, may differ from one processor to another.
    assert [line.split()[0] for line in printed.splitlines()[1:]] == [line.split()[0] for line in PRINTED.splitlines()[1:]]
    assert "leave-one-out error" in printed.splitlines()[0]
    # The README quotes the longer series, 2.324 s, and the formula, 2.006 s. Ten samples remove most of the
    # error of the formula: at least three quarters here, where 98 % were measured.
    band = session["adapted"].predict_interval([(1.0, 1.5)], level=0.8)
    longer = 2.006 * (1 + 1.5**2 / 16 + 11 * 1.5**4 / 3072)
    assert f"{longer:.3f} s" in README
    assert abs(float(band.mean[0]) - longer) < 0.25 * (longer - 2.006)
    assert float(band.lower[0]) < float(band.mean[0]) < float(band.upper[0])
    # The numbers that the README shows are near those printed: as near as the interval is wide.
    shown, now = (float(NUMBER.search(text.split("float64,")[1])[0]) for text in (PRINTED, printed))
    assert abs(shown - now) < float(band.upper[0] - band.lower[0])
    plt.close("all")


def test_its_links_lead_to_files():
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", README)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []
