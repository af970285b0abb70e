"""Docstrings as reStructuredText: in this project they are plain text with indented equations and names between backticks."""

import inspect
import itertools
import re
from typing import Any

import pac_surrogate as pac

SECTIONS = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Warns|Example|Examples|Note|Notes|References):$")
COLON = "\ue000"  # a character that no docstring has
LONGEST_DEFAULT = 40  # characters of a default value in a signature
# Classes outside pac.__all__ that public calls return or accept. Objects of the first group are made by the library alone.
RETURNED = (
    "pac_surrogate.Dataset",
    "pac_surrogate.Surrogate",
    "pac_surrogate.files.variables.Coordinate",
    "pac_surrogate.intervals.bands.Interval",
    "pac_surrogate.surrogates.optimised.Optimised",
    "pac_surrogate.engines.timing.Measurement",
    "pac_surrogate.predictors.choice.Choice",
    "pac_surrogate.predictors.choice.CandidateError",
    "pac_surrogate.predictors.network.Network",
    "pac_surrogate.predictors.fold_fits.Folds",
    "pac_surrogate.data.scaling.Scaling",
    "pac_surrogate.data.scaling.Columns",
    "pac_surrogate.data.undefined_metrics.LeftOutWarning",
    "pac_surrogate.curves.savings.SamplesNeeded",
    "pac_surrogate.curves.savings.SamplesSaved",
    "pac_surrogate.curves.costs.BreakEven",
    "pac_surrogate.solvers.runs.Fit",
    "pac_surrogate.methods.case.Case",
    "pac_surrogate.methods.method.Method",
    "pac_surrogate.methods.method.Outcome",
    "pac_surrogate.Plan",
    "pac_surrogate.plan.FunctionalRegulariser",
    "pac_surrogate.plan.Reparametrisation",
    "pac_surrogate.DatasetError",
    "simulators.ensemble.Ensemble",
    "simulators.heat.heat_equation.Heat",
    "simulators.waves.wave_equation.Wave",
    "simulators.water.shallow_water.ShallowWater",
    "simulators.porous.darcy.Flow",
)
ACCEPTED = (
    "pac_surrogate.files.variables.Variable",
    "pac_surrogate.data.undefined_metrics.UndefinedMetricError",
    "pac_surrogate.perturbation.Perturbation",
    "pac_surrogate.methods.case.Budget",
    "pac_surrogate.methods.method.NotApplicableError",
    "pac_surrogate.methods.problems.Measure",
    "pac_surrogate.methods.problems.Train",
    "pac_surrogate.sklearn.TransferRegressor",
    "simulators.ensemble.Pair",
    "simulators.ensemble.Side",
    "simulators.numerics.step_error.LostSolutionError",
    "simulators.periodic.semilinear.SemilinearPDE",
)
OTHERS = {full.rpartition(".")[2]: full for full in (*RETURNED, *ACCEPTED) if full.count(".") > 1}


def as_restructured_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place: indented blocks become literal, and no character of the prose is markup.

    The sections Args, Attributes, Returns, Raises and Warns are left to napoleon.
    """
    changed: list[str] = []
    section = literal = False
    own = set(inspect.signature(obj).parameters) if what in ("function", "method") else set()
    own |= set(getattr(obj, "__annotations__", ())) if what == "class" else set()
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if line and not indented:
            section, literal = bool(SECTIONS.match(line)), False
        if indented and not section:
            if not literal:
                changed += ["", *_directive(lines[number:]), ""]
                literal = True
            changed.append(line)
        else:
            if line.startswith(("Source:", "Sources:")) and changed and changed[-1]:
                changed.append("")  # a paragraph of its own
            changed.append(escaped(line, own | {name.rpartition(".")[2]}))
    if what in ("property", "attribute") and changed:
        # Napoleon would take what stands before a colon as the type.
        changed[0] = changed[0].replace(": ", f"{COLON} ")
    lines[:] = changed


def restore_colons(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change back, after napoleon, what `as_restructured_text` has hidden from it."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def _directive(lines: list[str]) -> list[str]:
    """Return the directive for the indented lines that come first: a program, or equations, whose long lines are broken."""
    block = itertools.takewhile(lambda line: not line or line.startswith("    "), lines)
    text = "\n".join(line[4:] for line in block)
    if re.search(r"^(class|with|grid)\b", text):
        return [".. code-block:: python"]
    return [".. code-block:: text", "    :class: equation"]


def escaped(line: str, own: set[str]) -> str:
    """Escape the characters of a line that reStructuredText would read as markup; names between backticks become code or links.

    Args:
        line: a line of a docstring.
        own: names that mean the object itself or its parameters, which are not links.
    """
    pieces = []
    for piece in re.split(r"(`[^`]*`)", line):
        name = piece.strip("`")
        target = None if re.split(r"[.(]", name)[0] in own else _target(name)
        if not piece.startswith("`"):
            pieces.append(re.sub(r"(\*|\||_(?=\W|$)|\\)", r"\\\1", piece))
        else:
            pieces.append(f":py:obj:`{name} <{target}>`" if target else f"``{name}``")
    return "".join(pieces)


def _target(name: str) -> str | None:
    """Return the full name under which the reference describes a class or function, or its member; None if it does not."""
    name = re.sub(r"\(.*\)$", "", name)  # of a call
    first, _, member = name.partition(".")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)?", name):
        return None
    if first in pac.__all__:
        known = not member or hasattr(getattr(pac, first), member)
        return f"pac_surrogate.{name}" if known else None
    return OTHERS.get(name)


def readable_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, result: str | None
) -> Any:
    """Shorten long default values, and leave out the signatures of classes that users do not call."""
    if name in RETURNED:
        return "", None
    if what in ("class", "exception") and name.startswith("simulators.periodic."):
        return "", None  # ranges from which a pair draws; a solver takes the numbers of its call
    if not signature or what not in ("class", "exception", "function", "method"):
        return None
    parameters = inspect.signature(obj).parameters
    for parameter in parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else repr(parameter.default)
        if len(default) > LONGEST_DEFAULT:
            signature = signature.replace(f"{parameter.name}={default}", f"{parameter.name}=(...)")
    return re.sub(r"<factory>|<function .*?>+", "...", signature), result
