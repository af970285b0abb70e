"""The study of pretraining: what it trains, what it prints, and the tables that the book makes of it."""

import json
import math
import sys

import numpy as np
import pytest
from paths import BENCHMARKS, ROOT
from running import run_script

import pac_surrogate as pac

RESULT = BENCHMARKS / "results" / "pretraining" / "pretraining.json"


@pytest.fixture(scope="module")
def page():
    """Import docs/stored_pretraining.py as the page does."""
    pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("docs", "benchmarks"):
            monkeypatch.syspath_prepend(ROOT / folder)
        import stored_pretraining

        yield stored_pretraining
    for name in ("stored_pretraining", "stored", "pretraining"):
        sys.modules.pop(name, None)


def test_the_study_trains_every_setting_once_and_continues_where_it_stopped(tmp_path, monkeypatch, capsys):
    options = ("--quick", "--pairs", "branin", "--seeds", 2)
    run_script(monkeypatch, BENCHMARKS / "pretraining.py", tmp_path, *options)
    path = tmp_path / "results" / "pretraining_quick" / "pretraining.json"
    content = json.loads(path.read_text())
    assert list(content["sources"]) == ["branin"]
    own = content["sources"]["branin"]
    assert len(own) == 33
    assert all(len(one["errors"]) == 2 and min(one["errors"]) > 0 for one in own.values())
    assert {"command", "hardware", "date", "samples", "seeds"} <= content["config"].keys()
    printed = capsys.readouterr().out
    first = next(iter(own))
    (row,) = [line for line in printed.splitlines() if line.startswith(f"  {first}  ") and "." in line.split()[-2]]
    least = min(np.mean(one["errors"]) for one in own.values())
    assert f"{np.mean(own[first]['errors']) / least:.2f}" in row  # one source: the geometric mean is its own ratio
    del own["width 64"]
    path.write_text(json.dumps(content))
    run_script(monkeypatch, BENCHMARKS / "pretraining.py", tmp_path, *options)
    assert capsys.readouterr().out.count("branin: ") == 1  # only the missing one is trained
    assert json.loads(path.read_text())["sources"]["branin"].keys() == {*own, "width 64"}


def test_a_held_out_tenth_is_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import pretraining

    seen = []
    found = pretraining.pretrain_seeds
    monkeypatch.setattr(
        pretraining, "pretrain_seeds", lambda data, **options: seen.append((data, options)) or found(data, **options)
    )
    x = np.random.default_rng(0).random((100, 2))
    data = pac.Dataset.from_arrays(x, x.sum(1), valid=0.1, test=0.2)
    for validation, trained, validated in (("", 50, 0), ("valid", 50, 10), ("tenth", 45, 5)):
        training = pretraining.mlp(4, steps=2, validation=validation)
        assert len(pretraining.measure(data, training, 1, 50, "cpu")["errors"]) == 1
        own, options = seen.pop()
        assert (len(own), len(options["valid"] or ())) == (trained, validated)
        if validation == "tenth":
            rows = [{tuple(row) for row in part.input_matrix} for part in (own, options["valid"])]
            assert rows[0].isdisjoint(rows[1])
    sys.modules.pop("pretraining")


def test_the_tables_of_the_book_have_the_stored_numbers(page):
    stored = json.loads(RESULT.read_text())
    sources, names = stored["sources"], list(next(iter(stored["sources"].values())))
    assert len(sources) == 10
    logs = [math.log(np.mean(own["rate 3e-3"]["errors"]) / np.mean(own[names[0]]["errors"])) for own in sources.values()]
    ratio = f"{math.exp(np.mean(logs)):.2f}"
    assert page.ratio("rate 3e-3") == ratio
    lines = page.settings_table().splitlines()
    assert len(lines) == 2 + len(names)
    (row,) = [line for line in lines if line.startswith("| rate 3e-3 |")]
    assert row.split("|")[4].strip() == ratio
    noisy = sources["friedman_4"]
    assert f"from {np.mean(noisy['10000 steps']['errors']):.3f} to" in page.early_stopping_sentences()
    assert len(page.sources_table().splitlines()) == 12
    convolutional = sources["darcy"]["CNN, 500 steps, rate 3e-3, early stopping, a tenth held out"]
    assert f"{np.mean(convolutional['errors']):.3f} at 0.003" in page.convolutional_sentence()


def test_the_page_states_the_defaults_of_pretrain(page):
    assert "`learning_rate=0.003`" in page.defaults_sentences()
    assert "`steps=3000`" in page.defaults_sentences()
