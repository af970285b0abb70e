"""Pairs of functions of a few numbers."""

from simulators.ensemble import Difficulty, make_pair
from simulators.tables.friedman import Friedman
from simulators.tables.multi_fidelity import MultiFidelity

FIDELITIES: dict[str, tuple[str, Difficulty]] = {
    "forrester": ("Forrester's function of one variable", "hard"),
    "branin": ("Branin's function of two variables with a hardly correlated cheap version", "hard"),
    "currin": ("Currin's function of two variables", "easy"),
    "park_a": ("Park's first function of four variables", "easy"),
    "park_b": ("Park's second function of four variables", "hard"),
    "borehole": ("flow through a borehole, eight variables", "moderate"),
    "hartmann": ("Hartmann's function of six variables", "hard"),
    "piston": ("cycle time of a piston, seven variables", "hard"),
    "circuit": ("voltage of a push-pull circuit, six variables", "hard"),
    "wing": ("weight of a light aircraft's wing, ten variables", "hard"),
}
FRIEDMAN: dict[int, Difficulty] = {0: "easy", 1: "moderate", 2: "hard", 4: "hard", 8: "hard"}
TABLES = (
    *(
        make_pair(
            name,
            f"{title}: low-fidelity formula, then high-fidelity",
            "fidelity",
            difficulty,
            MultiFidelity(name, "low", "sobol"),
            MultiFidelity(name, "high", "sobol"),
            headline="rmse_std",
        )
        for name, (title, difficulty) in FIDELITIES.items()
    ),
    *(
        make_pair(
            f"friedman_{dissimilarity}",
            f"Friedman #1 with noise 1, from a source whose coefficients differ by d = {dissimilarity}",
            "parameter",
            difficulty,
            Friedman(float(dissimilarity), task_seed=5),
            Friedman(),
            headline="rmse_std",
            counts=(10_000, 500, 9_500),
            noise=(1.0, 1.0),
        )
        for dissimilarity, difficulty in FRIEDMAN.items()
    ),
    make_pair(
        "friedman_shuffled",
        "Friedman #1 with noise 1, from a source that depends on the other five features",
        "negative",
        "hard",
        Friedman(relevant=(10, 9, 8, 7, 6)),
        Friedman(),
        headline="rmse_std",
        counts=(10_000, 500, 9_500),
        noise=(1.0, 1.0),
    ),
)
