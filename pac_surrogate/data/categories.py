"""Categories: a column of texts becomes an input for each of its texts, which is 1 or 0."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from pac_surrogate.data.names import split_unit
from pac_surrogate.files import Variable
from pac_surrogate.utilities.display import listed

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 50  # of a column of texts; names or numbers of samples have more
FEW_ROWS = 5  # rows that may have a category each
NUMBER = re.compile(r"[+\-\u2212]?[.,]?\d")  # how a number begins, perhaps with a typographic minus
AS_NUMBERS = "write 1.5 for 1,5 and 1500 for 1,500, units in the label only, and dates as a number of days"


def texts_of(column: "pd.Series[Any]") -> Shaped[np.ndarray, " row"]:
    """Return the entries of a column as texts without blanks around them, empty where an entry is missing.

    A whole number has no decimals, because pandas reads a column of whole numbers with gaps as 1.0, 2.0, ...
    """
    import pandas as pd

    places, different = pd.factorize(column.to_numpy(dtype=object))  # -1 where missing, which is the last text
    texts = [str(int(one) if isinstance(one, float) and one.is_integer() else one).strip() for one in different]
    return np.array([*texts, ""], dtype=object)[places]


def categories_of(label: str, column: "pd.Series[Any]") -> list[str]:
    """Return the different texts of a column, in the order of a Categorical of pandas, else in that of the alphabet.

    Raises:
        ValueError: if they are too many, or look like numbers or names of samples; a Categorical may hold what it likes.
    """
    import pandas as pd

    present = [text for text in texts_of(column) if text]
    chosen = isinstance(column.dtype, pd.CategoricalDtype)
    found = list(dict.fromkeys(texts_of(pd.Series(column.cat.categories)))) if chosen else sorted(set(present))
    if not found:
        raise ValueError(f"{label} must hold numbers or categories, all of its entries are blank: leave the column out")
    if len(found) > MOST_CATEGORIES:
        raise ValueError(
            f"{label} holds {len(found)} different texts, at most {MOST_CATEGORIES} can be categories: "
            "leave the column out, or number them"
        )
    if not chosen and all(NUMBER.match(text) for text in found):
        raise ValueError(
            f"{label} must hold numbers, or categories that begin with a letter, it holds texts such as {present[0]!r}: "
            f"{AS_NUMBERS}"
        )
    if not chosen and len(found) == len(present) > FEW_ROWS:
        raise ValueError(
            f"{label} must hold categories, which occur in several rows, each of its {len(present)} texts occurs once, as "
            "names of samples do: leave the column out"
        )
    return found


def known_categories(label: str, labels: Sequence[str], variables: Sequence[Variable]) -> list[str]:
    """Return the categories of the variables that are read from a column of these labels; none if it is a variable itself."""
    name, names = split_unit(label)[0], [v.name for v in variables]
    if name in names or label in names:
        return []
    return [one.removeprefix(f"{name}=") for one in names if one.startswith(f"{name}=") and one not in labels]


def check_categories(table: "pd.DataFrame", variables: Sequence[Variable]) -> None:
    """Refuse categories that the variables do not have: all of them would be 0.

    Raises:
        ValueError: if there are any; the message names the first.
    """
    labels = list(table.columns)
    for label in labels:
        if known := known_categories(label, labels, variables):
            strange = sorted(set(texts_of(table[label])) - {"", *known})
            if strange:
                raise ValueError(
                    f"{label} must be one of {listed(sorted(known))}, got {strange[0]!r}: correct it, or leave these rows out"
                )
