"""Tables of the measurements of `simulation_speed`: each record is a row, each column is a function of the record."""

from collections.abc import Callable
from statistics import median

from shared.measurement import Record
from shared.tables import markdown_table

Columns = dict[str, Callable[[Record], str]]


def record_table(records: list[Record], columns: Columns) -> str:
    return markdown_table(list(columns), [[cell(record) for cell in columns.values()] for record in records])


def spread(values: list[float], digits: int = 1) -> str:
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def grid(record: Record) -> str:
    return f"{record['equation']}, {' x '.join(map(str, record['points']))}"


def rate(samples: int, seconds: list[float]) -> str:
    return f"{samples / median(seconds):.3g}"


def step(seconds: list[float], steps: int) -> str:
    return f"{1e3 * median(seconds) / steps:.3g}"


def error(record: Record, kind: str) -> str:
    return " / ".join(f"{found[kind]:.1e}" for found in record["errors"].values())


SCIPY: Columns = {
    "system": lambda record: record["system"],
    "SciPy's method, tolerance": lambda record: f"{record['method']}, {record['tolerance']:.0e}",
    "threads": lambda record: str(record["threads"]),
    "ours [samples/s]": lambda record: rate(record["samples"]["ours"], record["seconds"]["ours"]),
    "SciPy [samples/s]": lambda record: rate(record["samples"]["SciPy"], record["seconds"]["SciPy"]),
    "ratio": lambda record: spread(record["ratios"]),
    "largest error, ours / SciPy": lambda record: error(record, "largest"),
    "relative L2 error, ours / SciPy": lambda record: error(record, "relative"),
}
EXPONAX: Columns = {
    "equation": grid,
    "precision": lambda record: record["precision"],
    "threads": lambda record: str(record["threads"]),
    "ours [ms a step]": lambda record: step(record["seconds"]["ours"], record["steps"]),
    "exponax [ms a step]": lambda record: step(record["seconds"]["exponax"], record["steps"]),
    "ratio": lambda record: spread(record["ratios"], 2),
    "largest error, ours / exponax": lambda record: error(record, "largest"),
    "relative L2 error, ours / exponax": lambda record: error(record, "relative"),
    "exponax compiles [s]": lambda record: f"{record['compile_seconds']:.1f}",
    "busy cores, ours / exponax": lambda record: " / ".join(f"{cores:.1f}" for cores in record["cores"].values()),
}
DEVICE: Columns = {
    "equation": grid,
    "precision": lambda record: record["precision"],
    "rows": lambda record: str(record["samples"]),
    "samples/s": lambda record: rate(record["samples"], record["seconds"]),
    "ms a step": lambda record: step(record["seconds"], record["steps"]),
    "traffic of a step [GB]": lambda record: f"{record['bytes_per_step'] / 1e9:.2f}",
    "fraction of copy bandwidth": lambda record: spread(record["fraction_of_copy"], 2),
    "largest error": lambda record: error(record, "largest"),
    "relative L2 error": lambda record: error(record, "relative"),
}
