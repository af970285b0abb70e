"""The setting of a run: what it compares, its budget, and the data and source surrogates that follow from them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pac_surrogate as pac
from pac_surrogate.curves.transfer_curve import PRETRAINING_RATE
from pac_surrogate.methods.case import Budget
from pac_surrogate.models import Architecture
from pac_surrogate.pretraining import pretrain_seeds
from pac_surrogate.runner import Solver
from pac_surrogate.surrogates.surrogate import Surrogate
from simulators.ensemble import Pair
from simulators.generate import generate
from simulators.pairs import find_pair


@dataclass(frozen=True)
class Spending:
    """Sizes, seeds and training budget of every method of a comparison."""

    sizes: tuple[int, ...] = (4, 8, 16, 32)
    seeds: int = 5
    samples: int | None = None
    pretrain_steps: int = 3000
    source_steps: int = 1000
    steps: int = 500
    folds: int = 2
    batch_size: int = 128

    @property
    def budget(self) -> Budget:
        """The budget of one adaptation."""
        return Budget(self.steps, self.source_steps, self.batch_size, self.folds)

    def of_curve(self) -> dict[str, Any]:
        """Return the arguments of `transfer_curve` that set sizes, seeds and budget."""
        return {name: value for name, value in asdict(self).items() if name != "samples"}

    def longer(self, sizes: tuple[int, ...] = ()) -> "Spending":
        """Return the same with more seeds and longer training, and other sizes if they are given."""
        return replace(
            self,
            sizes=sizes or self.sizes,
            seeds=10,
            pretrain_steps=10_000,
            source_steps=max(3000, 2 * self.source_steps),
            steps=2000,
        )


QUICK = Spending(sizes=(4, 8), seeds=2, samples=120, pretrain_steps=20, source_steps=20, steps=10)


def progress(line: str) -> None:
    """Print a line of progress at once, even from one of several parallel processes."""
    print(f"  {line}", flush=True)


@dataclass(frozen=True)
class Setting:
    """What a run compares, its budget, and where it reads and writes.

    Attributes:
        pairs, methods: names of the pairs and methods.
        spending: sizes, seeds and training budget of every method.
        data, out: folders of the data and of the results.
        device: device of PyTorch.
        figures: format of the figures: png, pdf or svg.
        model: architecture of the source networks; None is the small one of `model_of`.
        quick, full: whether the user gave --quick or --full.
        asked: sizes and seeds that the user gave; see `allow`.
        stored: folder with the data of pairs that are not generated, which then takes the place of `data`.
    """

    pairs: tuple[str, ...]
    methods: tuple[str, ...]
    spending: Spending
    data: Path
    out: Path
    device: str = "cpu"
    figures: str = "png"
    model: Architecture | None = None
    quick: bool = False
    full: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    stored: Path | None = None

    def allow(self, spending: Spending) -> "Setting":
        """Return the same setting with another spending, except for the sizes and seeds that the user gave."""
        return replace(self, spending=replace(spending, **self.asked))

    def described(self) -> dict[str, Any]:
        """Return the budget, and the model if one is named: results of another budget or model are computed again."""
        return asdict(self.spending) | ({} if self.model is None else {"model": repr(self.model)})

    def figure(self, name: str) -> Path:
        """Return the file of the figure with this name, which may begin with a folder."""
        return self.out / f"{name}.{self.figures}"

    def open(self, pair: str | Pair, say: Callable[[str], object] = progress) -> tuple[pac.Dataset, pac.Dataset]:
        """Return source and target data of a pair, or of that with a name, generated if they are missing.

        A small sample has its own folder. Stored data are opened as they are.
        """
        if self.stored is not None:
            name = pair if isinstance(pair, str) else pair.name
            source, target = (pac.open_dataset(self.stored / name / f"{side}.h5") for side in ("source", "target"))
            return source, target
        samples = self.spending.samples
        folder = self.data if samples is None else self.data / "quick"
        paths = generate(find_pair(pair) if isinstance(pair, str) else pair, folder, samples=samples, say=say)
        source, target = (pac.open_dataset(path) for path in paths.values())
        return source, target

    def pretrain(self, pair: str) -> tuple[pac.Dataset, pac.Dataset, list[Surrogate], Solver]:
        """Return source and target data, the source surrogates of all seeds, and the solver with the pair's finished stacks."""
        source, target = self.open(pair)
        solver = Solver(self.device, cache=self.out / pair / "stacks")
        return source, target, pretrain_sources(source, self.model_of(target), self.spending, solver), solver

    def model_of(self, target: pac.Dataset) -> Architecture:
        """Return the architecture of the source networks of a pair with this target."""
        return self.model or model_of(target)


def model_of(target: pac.Dataset) -> Architecture:
    """Return a small CNN for fields in two dimensions, and a small MLP for all other outputs."""
    two = all({"x", "y"} <= set(variable.axes) for variable in target.outputs)
    return pac.CNN(channels=8, blocks=1, levels=2, padding="zero") if two else pac.MLP(hidden=(64, 64))


def pretrain_sources(source: pac.Dataset, model: Architecture, spending: Spending, solver: Solver) -> list[Surrogate]:
    """Pretrain the source surrogates of all seeds, as `transfer_curve` does; with a common folder of stacks, only once."""
    return pretrain_seeds(
        source.train,
        model=model,
        seeds=range(spending.seeds),
        steps=spending.pretrain_steps,
        learning_rate=PRETRAINING_RATE,
        batch_size=spending.batch_size,
        valid=source.valid,
        solver=solver,
    )
