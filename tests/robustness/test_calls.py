"""Calls of the library: unambiguous calls work, and any other mistake is reported in one line with the remedy.

All calls are made in a separate process, where no type checker reports a mistake before the library does.
"""

import json
import subprocess
import sys

import pytest
from paths import ROOT

BEGINNING = """
import json, sys, warnings
import matplotlib
import numpy as np
import torch
from pathlib import Path
from torch import nn
import pac_surrogate as pac

matplotlib.use("Agg")
warnings.simplefilter("ignore")
draw = np.random.default_rng(0)
x = draw.uniform(-1, 1, (40, 3))
y = np.sin(x[:, :1]) + x[:, 1:2]
gap = np.where(np.arange(80).reshape(40, 2) == 7, np.nan, np.tile(y, 2))
source = pac.Dataset.from_arrays(x, y, valid=0.1, test=0.2)
target = pac.Dataset.from_arrays(x, 1.2 * y + 0.1, valid=0.1, test=0.2, seed=1)
source.save("source.h5")
target.save("target.h5")
surrogate = pac.pretrain(source, model=pac.MLP(hidden=(8,)), steps=2)
surrogate.save("a.safetensors")
tuned = pac.transfer(surrogate, target.train[:6], method=pac.FineTune(), steps=2)
few = {"steps": 2, "source_steps": 2}
short = {"sizes": (4,), "seeds": 1, "steps": 2, "source_steps": 2, "pretrain_steps": 2}
tune = {"fine-tune": pac.FineTune()}
given = {"fine-tune": pac.FineTune(), "PAC": pac.PAC()}
curve = pac.transfer_curve(source, target, methods=given, **{**short, "sizes": (4, 8), "seeds": 2})
pac.save_curve(curve, "results")
net = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 1))
plan = pac.make_plan(surrogate.weights)


class Table:  # what a pandas DataFrame looks like
    columns, shape = list("abc"), (40, 3)


def same(one, other):
    if isinstance(one, pac.Surrogate):
        return same(one.predict(x), other.predict(x))
    if isinstance(one, pac.Dataset):
        return one.digest() == other.digest()
    if hasattr(one, "data_vars"):
        return one.drop_vars("seconds", errors="ignore").equals(other.drop_vars("seconds", errors="ignore"))
    if hasattr(one, "get_lines"):  # axes of a figure
        return len(one.get_lines()) == len(other.get_lines()) > 0
    if isinstance(one, np.ndarray) and one.dtype == object:  # their panels
        return one.shape == other.shape
    if hasattr(one, "mean") and hasattr(one, "lower"):
        return same(one.mean, other.mean) and same(one.upper, other.upper)
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other


def answer(call, other=None):
    try:
        found = eval(call)
        return ["works", other is None or same(found, eval(other))]
    except Exception as error:
        return ["one line" if isinstance(error, ValueError) and "\\n" not in str(error) else type(error).__name__, str(error)]


print(json.dumps({call: answer(call, other) for call, other in json.load(sys.stdin).items()}))
"""

# Calls whose meaning is clear, and the same calls written in full.
WORKS = {
    "pac.pretrain((x, y), steps=2)": "pac.pretrain(pac.Dataset.from_arrays(x, y), steps=2)",
    "pac.pretrain(x, y, steps=2)": "pac.pretrain(pac.Dataset.from_arrays(x, y), steps=2)",
    "pac.pretrain(({'a': x}, {'b': y}), steps=2)": "pac.pretrain(pac.Dataset.from_arrays({'a': x}, {'b': y}), steps=2)",
    "pac.pretrain('source.h5', steps=2)": "pac.pretrain(source, steps=2)",
    "pac.pretrain(source, valid='source.h5', steps=2)": "pac.pretrain(source, valid=source.valid, steps=2)",
    "pac.pretrain(source.train, valid=0, steps=2)": "pac.pretrain(source.train, steps=2)",
    "pac.pretrain(source, valid=(x, y), steps=2e0)": "pac.pretrain(source, valid=pac.Dataset.from_arrays(x, y), steps=2)",
    "pac.pretrain(source, model=pac.MLP, steps=2)": "pac.pretrain(source, model=pac.MLP(), steps=2)",
    "pac.pretrain(source, model='MLP', steps=2)": "pac.pretrain(source, model=pac.MLP(), steps=2)",
    "pac.pretrain(source, model=net, steps=2)": "pac.pretrain(source, model=pac.Module(net), steps=2)",
    "pac.pretrain(source, model=net, steps=0)": "pac.pretrain(source, model=pac.Module(net), steps=0)",
    "pac.MLP(hidden=64)": "pac.MLP(hidden=(64,))",
    "pac.MLP(hidden=[64.0, np.int64(8)])": "pac.MLP(hidden=(64, 8))",
    "pac.CNN(channels=24.0)": "pac.CNN()",
    "pac.DeltaNetwork(hidden=16)": "pac.DeltaNetwork(hidden=(16,))",
    "pac.PAC(exempt='readout')": "pac.PAC(exempt=('readout',))",
    "pac.transfer('a.safetensors', 'target.h5', source='source.h5', method='PAC', **few)": (
        "pac.transfer(surrogate, target, source=source, method=pac.PAC(), **few)"
    ),
    "pac.transfer(surrogate, x[:9], y[:9], method='L2', **few)": (
        "pac.transfer(surrogate, pac.Dataset.from_arrays(x[:9], y[:9]), method=pac.L2(), **few)"
    ),
    "pac.transfer(surrogate, target, method='PAC', source=(source.train.x, source.train.y), **few)": (
        "pac.transfer(surrogate, target, method=pac.PAC(), source=source, **few)"
    ),
    "pac.transfer(surrogate, target, method=pac.FineTune, **few)": (
        "pac.transfer(surrogate, target, method=pac.FineTune(), **few)"
    ),
    "pac.transfer(surrogate, target, method='fine-tune', **few)": (
        "pac.transfer(surrogate, target, method=pac.FineTune(), **few)"
    ),
    "pac.transfer(surrogate, target, method=['L2-SP', pac.L2SP()], **few)": (
        "pac.transfer(surrogate, target, method=pac.L2SP(), **few)"
    ),
    "pac.transfer(surrogate, (x[:3], y[:3]), method='Auto')": "pac.transfer(surrogate, pac.Dataset.from_arrays(x[:3], y[:3]))",
    "pac.grid('fine-tune', learning_rate=1e-3)": "(pac.FineTune(learning_rate=1e-3),)",
    "pac.grid(pac.ATL, form='group lasso')": "(pac.ATL(form='group lasso'),)",
    "pac.prune_and_allocate('a.safetensors', 'source.h5', steps=2)": "pac.prune_and_allocate(surrogate, source, steps=2)",
    "pac.draw_ticket('a.safetensors', (x, y), steps=2)": ("pac.draw_ticket(surrogate, pac.Dataset.from_arrays(x, y), steps=2)"),
    "pac.next_samples('a.safetensors', None, 'target.h5', 3.0)": "pac.next_samples(surrogate, None, target, 3)",
    "tuned.predict('target.h5')": "tuned.predict(target)",
    "tuned.predict_interval('target.h5', 0.5)": "tuned.predict_interval(target, 0.5)",
    "pac.Dataset.from_arrays(x, y, axes={'input': 'time'})['input']": "x",
    "pac.transfer_curve('source.h5', 'target.h5', methods=tune, **{**short, 'sizes': 4, 'seeds': np.int64(1)})": (
        "pac.transfer_curve(source, target, methods=tune, **short)"
    ),
    "pac.transfer_curve(source, target, methods=['auto', 'PAC', pac.L2SP()], **short)": (
        "pac.transfer_curve(source, target, methods={'auto': 'auto', 'PAC': pac.PAC(), 'L2SP': pac.L2SP()}, **short)"
    ),
    "pac.transfer_curve(source, target, methods='fine-tune', model=net, **{**short, 'sizes': np.array([4])})": (
        "pac.transfer_curve(source, target, methods=tune, model=pac.Module(net), **short)"
    ),
    "pac.transfer_curve(source, target, methods=tune, surrogates='a.safetensors', **short)": (
        "pac.transfer_curve(source, target, methods=tune, surrogates=[surrogate], **short)"
    ),
    "pac.samples_saved(curve, 'PAC', 9.0)": "pac.samples_saved(curve, 'PAC', 9.0, against=['fine-tune'])",
    "pac.samples_saved('results', 'PAC', 9.0, against='fine-tune')": (
        "pac.samples_saved(curve, 'PAC', 9.0, against=('fine-tune',))"
    ),
    "pac.samples_needed('results/curve.nc', 'PAC', 9.0)": "pac.samples_needed(curve, 'PAC', 9.0)",
    "pac.summarise('results')": "pac.summarise(curve)",
    "pac.plot_curve('results', methods='PAC')": "pac.plot_curve(curve, methods=['PAC'])",
    "pac.plot_savings('results', methods='PAC', against='fine-tune')": (
        "pac.plot_savings(curve, methods=['PAC'], against=['fine-tune'])"
    ),
    "pac.plot_fields(x[:2], x[:2])": "pac.plot_fields(x[:2], {'prediction': x[:2]})",
    "pac.plot_fields(x[:2], {f'method {i}': x[:2] for i in range(13)})": "pac.plot_fields(x[:2], {'method': x[:2]})",
    "pac.plot_samples('source.h5', (x, y))": "pac.plot_samples(source, pac.Dataset.from_arrays(x, y))",
    "pac.fit(surrogate.model, [plan], [(x, y)], seeds=[0], steps=2, learning_rate=0.1)[0].diverged": "None",
}

DATA = "must be a Dataset, the path of a data file, or two arrays (x, y), got"
MODEL = "model must be pac.MLP(...), pac.CNN(...) or a torch.nn.Module, got"
SURROGATE = "surrogate must be a Surrogate or the path of a saved one, got"
METHOD = "method must be a method such as pac.PAC(), its name, or a sequence of them, got"
CURVE = "curve must be what transfer_curve gives"
WHOLE = "must be a whole number of at least 0, got"
FIELDS = "plot_fields draws fields, arrays (sample, x) or (sample, x, y), got"

REFUSED = {
    # data
    "pac.pretrain(x)": f"data {DATA} an array of shape (40, 3): Dataset.from_arrays(x, y) makes one",
    "pac.pretrain(None)": f"data {DATA} None",
    "pac.pretrain((source, target))": "x must be an array or a dictionary of arrays, got a Dataset: pass data.x",
    "pac.pretrain((x, y, x))": f"data {DATA} a tuple of 3",
    "pac.pretrain(pac.Dataset)": f"data {DATA} the class Dataset",
    "pac.pretrain(surrogate)": f"data {DATA} a Surrogate",
    "pac.pretrain('nothing.h5')": "nothing.h5: a data file is required here, but there is none: check the path",
    "pac.pretrain((Table(), y))": "pass the columns by name",
    "pac.pretrain(source, valid=1.2)": "fraction of the samples that is held out, at least 0 and below 1, got 1.2",
    "pac.pretrain(source, valid=True)": "valid must be validation samples, or the fraction",
    "pac.pretrain(source, valid='0.2')": "0.2: a data file is required here, but there is none: check the path",
    "pac.transfer(surrogate, x)": f"data {DATA} an array of shape (40, 3)",
    "pac.transfer(surrogate, target, source)": "pass other arguments by name, as in source=..., method=...",
    "pac.transfer(surrogate, target, pac.PAC())": "got a Dataset and a PAC: pass other arguments by name",
    "pac.transfer(surrogate, x, pac.PAC())": "and a PAC: pass other arguments by name",
    "pac.transfer(surrogate, target, source=surrogate)": f"source {DATA} a Surrogate",
    "pac.plot_samples(source, None)": f"target {DATA} None",
    "pac.simulation_costs(None, target)": f"source {DATA} None",
    "pac.transfer_curve(surrogate, target, methods=tune, **short)": f"source {DATA} a Surrogate",
    "pac.transfer_curve((x, y), (x, y), methods=tune, **short)": "the source needs a test split: Dataset.from_arrays(",
    "pac.Dataset(x, y)": "a Dataset is made by Dataset.from_arrays(x, y), or by open_dataset(path) of a file",
    "pac.Dataset.from_arrays(x, y, scaling='log')": "must be a dictionary by variable, as scaling={'output': 'log'}, got 'log'",
    "pac.Dataset.from_arrays(x, y, units='K')": "units must be a dictionary by variable, as units={'output': 'K'}, got 'K'",
    "pac.Dataset.from_arrays(x, y, axes=('x',))": "axes must be a dictionary by variable, as axes={'output': ('x',)}",
    "pac.Dataset.from_arrays(x, y, axes={'input': 3})": "the axes of input must be names, such as ('time', 'x'), got 3",
    "pac.Dataset.from_arrays(x, y, units={'output': 3})": "the unit of a variable must be texts, got 'output' and 3",
    "pac.Dataset.from_arrays(x, y, scaling={'nothing': 'log'})": "scaling must name variables (input, output), got nothing",
    "target.regrid('source.h5')": "regrid takes the Dataset or the Surrogate whose grid is wanted, got 'source.h5'",
    "pac.Dataset.from_arrays(x, y, bounds=1)": "the bounds of output must be two numbers, the lower one first",
    "pac.Dataset.from_arrays(x, y, bounds={'output': (1, 0)})": "with None for an open side, such as (0, 1) or (0, None), got",
    "pac.Dataset.from_arrays(x, y, bounds={'input': (0, 1)})": "bounds must name variables (output), got input",
    "pac.Dataset.from_arrays(x, 0 * y + 2, bounds=(0, 1))": "output must lie within its bounds, 0 to 1, it is 2.0 at sample 0",
    "pac.Dataset.from_arrays(x, y, attributes='heat')": "must be a dictionary, such as {'headline': 'rel_l2'}, got 'heat'",
    "pac.Dataset.from_arrays(x, y, test='0.2')": "test must be a number, got '0.2'",
    "pac.Dataset.from_arrays(x, y, seed=None)": f"seed {WHOLE} None",
    "pac.Dataset.from_arrays({1: x}, y)": "the name and the unit of a variable must be texts, got 1",
    "pac.Dataset.from_arrays('source.h5', y)": "input must hold real numbers, got 'source.h5'",
    "pac.Dataset.from_arrays(x, gap)": "output must be finite, it is nan at sample 3, component 1: repair or drop this sample",
    "pac.Dataset.from_arrays(x, gap, missing='fill')": "missing must be None, 'drop' or 'mask', got 'fill'",
    "pac.Dataset.from_arrays(gap, y, missing='mask')": "input must be finite, it is nan at sample 3, component 1: repair",
    "pac.Dataset.from_arrays(x, np.nan * y, missing='drop')": "at least 1 sample without a missing number is required",
    "pac.pretrain(pac.Dataset.from_arrays(x, gap, missing='mask'))": "data must have all outputs of every sample, some of",
    "pac.Dataset.from_arrays(x, gap[:, 1])": "output must be finite, it is nan at sample 3: repair or drop this sample",
    "pac.Dataset.from_arrays(x, gap, axes={'output': 'x'})": "output must be finite, it is nan at sample 3, x 1: repair",
    "pac.Dataset.from_arrays(x, gap.reshape(40, 1, 2))": "at sample 3, component (0, 1): repair",
    "pac.Dataset.from_arrays(x, np.ma.masked_invalid(gap))": "missing (masked) at sample 3, component 1: repair",
    "source.subset('a', 4)": "draw must be a whole number, got 'a'",
    "source.has_split('tests')": "a split is one of train, valid, test, got 'tests'",
    # models
    "pac.pretrain(source, model='ResNet')": f"{MODEL} 'ResNet'",
    "pac.pretrain(source, model=(8, 8))": f"{MODEL} a tuple of 2: (8, 8)",
    "pac.pretrain(source, model=nn.Linear)": f"{MODEL} the class Linear",
    "pac.pretrain(source, model=pac.PAC())": f"{MODEL} a PAC",
    "pac.pretrain(source, model=nn.Sequential(nn.Linear(2, 1)))": "Sequential does not take inputs of shape (sample, 3)",
    "pac.pretrain(source, model=nn.Sequential(nn.Linear(3, 1), nn.Dropout()))": "use GroupNorm or LayerNorm, or no dropout",
    "pac.MLP(hidden='64')": "hidden must be a whole number or several such as (128, 128), got '64'",
    "pac.MLP(hidden=(64.5,))": "hidden must be a whole number or several such as (128, 128), got 64.5",
    "pac.MLP(hidden=None)": "hidden must be a whole number or several such as (128, 128), got None",
    "pac.MLP(64, 64)": "unknown activation 64: choose from gelu, relu, silu, tanh",
    "pac.MLP(activation=['gelu'])": "unknown activation a list of 1: ('gelu'): choose from gelu",
    "pac.CNN(kernel=(3, 3))": "kernel must be a whole number such as 3, got a tuple of 2: (3, 3)",
    "pac.CNN(padding=['zero'])": "unknown padding a list of 1: ('zero'): choose from periodic",
    "pac.Module(nn.Linear)": "Module wraps a torch.nn.Module, as in pac.Module(Mine()), got the class Linear",
    # numbers
    "pac.pretrain(source, steps='100')": f"steps {WHOLE} '100'",
    "pac.pretrain(source, steps=2.5)": f"steps {WHOLE} 2.5",
    "pac.pretrain(source, seed='a', steps=2)": f"seed {WHOLE} 'a'",
    "pac.pretrain(source, batch_size=None, steps=2)": "batch_size must be a whole number of at least 1, got None",
    "pac.pretrain(source, learning_rate='1e-3', steps=2)": "learning_rate must be a number, got '1e-3'",
    "pac.pretrain(source, device=None, steps=2)": "device 'None' is not available: use 'auto' or 'cpu'",
    "pac.pretrain(source, device='meta', steps=2)": "device 'meta' is not supported: use 'auto', 'cpu' or 'cuda'",
    "pac.transfer(surrogate, target, method='L2', steps='10')": "steps must be a whole number such as 1000, got '10'",
    "pac.transfer(surrogate, target, method='L2', folds=2.5)": "folds must be a whole number such as 5, got 2.5",
    "pac.transfer(surrogate, target, method='L2', intervals='no')": "intervals must be True or False, got 'no'",
    "surrogate.predict(x, batch_size='8')": "batch_size must be a whole number of at least 1, got '8'",
    "tuned.predict_interval(x, level='0.9')": "level must be a number, got '0.9'",
    "tuned.optimise('many')": "batch_size must be a whole number of at least 1, got 'many'",
    "tuned.optimise(tolerance='small')": "tolerance must be a number, got 'small'",
    "pac.next_samples(surrogate, None, x, None)": f"k {WHOLE} None",
    "pac.next_samples(surrogate, None, x, 3, noise='a')": "noise must be a number, got 'a'",
    "pac.plot_samples(source, target, samples='3')": f"samples {WHOLE} '3'",
    # surrogates and paths
    "pac.transfer(source, target)": f"{SURROGATE} a Dataset: pac.pretrain(source) makes one",
    "pac.transfer(pac.MLP(), target)": f"{SURROGATE} an MLP",
    "pac.transfer('nothing.safetensors', target)": "nothing.safetensors does not exist",
    "pac.next_samples(source, None, x, 3)": f"{SURROGATE} a Dataset",
    "pac.prune_and_allocate(source, surrogate)": f"{SURROGATE} a Dataset",
    "pac.Surrogate.load(surrogate)": "path must be the path of a file or folder, got a Surrogate",
    "surrogate.save(None)": "path must be the path of a file or folder, got None",
    "surrogate.save('.')": "the path of a file is required, this is a folder: add a name",
    "pac.open_dataset(source)": "path must be the path of a file or folder, got a Dataset",
    "pac.open_curve(curve)": "path must be the path of a file or folder, got a Dataset",
    "surrogate.predict((x, y))": "x must be one array (sample, ...), got a tuple of 2",
    "surrogate.predict(None)": "x must hold real numbers, got None",
    # methods
    "pac.transfer(surrogate, target, method='Magic')": "unknown method 'Magic': choose from auto, SourceUnchanged",
    "pac.transfer(surrogate, target, method=['auto', 'PAC'], source=source)": "auto is itself a choice: give it alone",
    "pac.transfer(surrogate, target, method={'PAC': pac.PAC()}, source=source)": f"{METHOD} a dict of PAC",
    "pac.transfer(surrogate, target, method=None)": f"{METHOD} None",
    "pac.transfer_curve(source, target, methods=None, **short)": f"{METHOD} None",
    "pac.transfer_curve(source, target, methods=['PAC', pac.PAC(sparsity=0.5)], **short)": (
        "each method needs a name of its own, got PAC twice: give a dictionary by name"
    ),
    "pac.transfer_curve(source, target, methods=tune, **{**short, 'sizes': '4'})": f"sizes {WHOLE} '4'",
    "pac.transfer_curve(source, target, methods=tune, **{**short, 'seeds': [0.5]})": f"seeds {WHOLE} 0.5",
    "pac.transfer_curve(source, target, methods=tune, surrogates=[pac.MLP()], **short)": f"{SURROGATE} an MLP",
    "pac.transfer_curve(source, target, methods=tune, out=3, **short)": "out must be the path of a file or folder, got 3",
    "pac.PAC(sparsity='0.8')": "sparsity must be a number such as 0.8, got '0.8'",
    "pac.PAC(strength=[0.02, 0.2])": "strength must be a number such as 0.02, got a list of 2: (0.02, 0.2): pac.grid makes",
    "pac.FineTune(learning_rate=None)": "learning_rate must be a number such as 0.001, got None",
    "pac.LoRA(rank='4')": "rank must be a whole number such as 4, got '4'",
    "pac.PAC(exempt=3)": "exempt must be a name or several, got 3",
    "pac.Surgical(block=0)": "block must be a text such as 'first', got 0",
    "pac.Auto(trained='yes')": "trained must be True or False, got 'yes'",
    "pac.grid(pac.PAC(), sparsity=(0.8,))": "a method's class or name is needed, such as pac.PAC or 'PAC', got a PAC",
    "pac.grid(pac.PAC, sparsty=(0.8,))": "PAC has no sparsty; it takes",
    "pac.prune_and_allocate(surrogate, source, sparsty=0.5)": "Allocate has no sparsty; it takes",
    # curves and figures
    "pac.samples_saved(None, 'PAC', 0.2)": f"{CURVE}, with its dimensions approach, size and seed, or the path of a",
    "pac.plot_curve(curve['rel_l2'])": f"{CURVE}",
    "pac.summarise(curve, 'mse')": "metric must be one of the curve's, rel_l2",
    "pac.samples_saved(curve, None, 0.2)": "the curve has the methods fine-tune, PAC, got None",
    "pac.samples_saved(curve, 'PAC', '0.2')": "error must be a number, got '0.2'",
    "pac.samples_saved(curve, 'PAC', 0.2, against=())": "a saving is measured against a reference: name one by against=",
    "pac.samples_saved(curve, 'PAC', 0.2, against='scratch')": "the curve has the methods fine-tune, PAC, got 'scratch'",
    "pac.samples_saved(curve, 'PAC', 0.2, resamples=2.5)": f"resamples {WHOLE} 2.5",
    "pac.break_even(curve, 'PAC', 0.2, source_samples='3', source_cost=1, target_cost=2)": (
        "source_samples must be a number, got '3'"
    ),
    "pac.plot_curve(curve, methods=['Magic'])": "the curve has the methods fine-tune, PAC, got 'Magic'",
    "pac.plot_curve(curve, ax=3)": "ax must be axes of Matplotlib, as plt.subplots()[1] gives them, got 3",
    "pac.plot_fields(y[:3, 0], {'PAC': y[:3, 0]})": f"{FIELDS} an array of shape (3,): pac.plot_samples draws tables",
    "pac.plot_fields(target.test, {'PAC': target.test.y})": f"{FIELDS} an array of shape (8, 1): pac.plot_samples draws tables",
    "pac.plot_fields(Table(), {'PAC': x})": f"{FIELDS} a Table of shape (40, 3): pac.plot_samples draws tables",
    "pac.plot_fields(x[:2], {'PAC': x[:1]})": "predictions must have the shape of the truth, (2, 3), got (1, 3) as PAC",
    "pac.plot_fields(x[:2], {})": "predictions must be one array or more, by label, as {'PAC': adapted.predict(x)}, got none",
    "pac.plot_fields(x[:2], {'PAC': x[:2]}, x=x[0, :2])": "x must hold the 3 coordinates of the points, got an",
    # plans
    "pac.make_plan(surrogate)": "weights must be tensors by name, such as surrogate.weights, got a Surrogate",
    "pac.make_plan(surrogate.weights, trainable='readout')": "trainable must be given by the name of each weight",
    "pac.make_plan(surrogate.weights, strength='a')": "strength must be a number, got 'a'",
    "pac.fit(surrogate, [plan], [source], seeds=[0], steps=2, learning_rate=0.1)": "fit trains a torch.nn.Module, such as",
    "pac.fit(surrogate.model, plan, source, seeds=0, steps=2, learning_rate=0.1)": "fit takes lists, with an entry for each",
    "pac.fit(surrogate.model, [pac.PAC()], [source], seeds=[0], steps=2, learning_rate=0.1)": "fit follows Plans, as make_plan",
    "pac.fit(surrogate.model, [plan], [source], seeds=[0], steps=2, learning_rate='a')": "must be a number, got 'a'",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING],
        input=json.dumps(WORKS | dict.fromkeys(REFUSED)),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path_factory.mktemp("calls"),
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def environment():
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("call", WORKS)
def test_an_unambiguous_call_is_the_same_as_written_in_full(answers, call):
    assert answers[call] == ["works", True]


@pytest.mark.parametrize("call", REFUSED)
def test_any_other_mistake_is_reported_in_one_line_with_the_remedy(answers, call):
    kind, message = answers[call]
    assert kind == "one line", message
    assert REFUSED[call] in message
