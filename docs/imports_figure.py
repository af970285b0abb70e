"""The import diagram of a package, as the page on the architecture shows it: drawn from the source files that are there."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from imports import graph, layers
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

WIDTH = 6.8  # inches: at 100 dots per inch the figure has the width of a page's column
ROW = 0.72
BENDS = (0.0, 0.06, -0.06, 0.12, -0.12, 0.2, -0.2, 0.3, -0.3)
BOX = {"boxstyle": "round,pad=0.35", "facecolor": "#eef3f8", "edgecolor": "#5b7fa6", "linewidth": 0.8}


def reduced(parts: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without imports that a chain of other imports implies (its transitive reduction)."""
    below: dict[str, set[str]] = {}
    for row in layers(parts):
        for part in row:
            below[part] = parts[part].union(*(below[other] for other in parts[part]))
    return {part: {o for o in others if not any(o in below[third] for third in others)} for part, others in parts.items()}


def figure(package: Path) -> Figure:
    """Draw the parts of a package in rows: each part imports from lower rows alone."""
    parts = graph(package)
    rows, arrows = layers(parts), reduced(parts)
    place = _places(rows, arrows)
    drawn, axes = plt.subplots(figsize=(WIDTH, ROW * len(rows)), dpi=100)
    axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5), position=(0, 0, 1, 1))
    axes.axis("off")
    texts = {name: axes.text(*xy, name, ha="center", va="center", fontsize=9, bbox=BOX, zorder=3) for name, xy in place.items()}
    drawn.canvas.draw()  # gives the boxes their extent
    boxes = {name: text.get_bbox_patch().get_window_extent().padded(3) for name, text in texts.items()}
    for part, others in arrows.items():
        for other in sorted(others):
            ends = [axes.transData.transform(place[name]) for name in (part, other)]
            axes.annotate(
                "",
                xy=place[other],
                xytext=place[part],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "#8a8a8a",
                    "linewidth": 0.9,
                    "shrinkA": 1,
                    "shrinkB": 1,
                    "patchA": texts[part].get_bbox_patch(),
                    "patchB": texts[other].get_bbox_patch(),
                    "connectionstyle": f"arc3,rad={_bend(*ends, [boxes[name] for name in boxes if name not in (part, other)])}",
                },
                zorder=1,
            )
    plt.close(drawn)  # a notebook would show a figure that is open a second time
    return drawn


def _bend(start: np.ndarray, end: np.ndarray, boxes: list[Bbox]) -> float:
    """Return the smallest bend with which an arrow misses all boxes, or the straight one if no bend does."""
    t = np.linspace(0, 1, 100)[:, None]
    (dx, dy), middle = end - start, (start + end) / 2
    for bend in BENDS:
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * (middle + bend * np.array([dy, -dx])) + t**2 * end
        if not any(box.count_contains(curve) for box in boxes):
            return bend
    return 0.0


def _places(rows: list[list[str]], arrows: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Place the parts of each row evenly, in the order of the mean position of the parts below that they import."""
    place: dict[str, tuple[float, float]] = {}
    for depth, row in enumerate(rows):

        def middle(part: str) -> float:
            below = [place[other][0] for other in arrows[part]]
            return sum(below) / len(below) if below else 0.5

        ordered = sorted(row, key=lambda part: (middle(part), part))
        for number, part in enumerate(ordered):
            place[part] = ((number + 0.5) / len(ordered), float(depth))
    return place
