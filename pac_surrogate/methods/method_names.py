"""Names of the transfer methods, which the command line, `method="PAC"` and `pac.grid("PAC", ...)` accept.

They are in a module of their own, so that the command line's help need not import torch.
"""

COMMON = ("SourceUnchanged", "Scratch", "LinearCorrection", "FineTune", "LinearProbe", "L2", "L2SP", "PackNet", "PAC")
METHODS = (
    *COMMON,
    *("LastLayerRidge", "LPFT", "Surgical", "LoRA", "ScaleShift", "ATL", "EWC", "DELTA", "LwF", "BSS"),
    *("DeltaNetwork", "InputAugmentation", "MFNN", "GP", "CoKriging", "SparseTransfer", "Ticket"),
)


def resolve_name(name: str) -> str:
    """Return the name of a method's class, or "auto"; case, spaces and hyphens are ignored: "fine-tune" is FineTune.

    Raises:
        ValueError: if no method has this name.
    """
    known = {_letters(own): own for own in ("auto", *METHODS)}
    if _letters(name) not in known:
        raise ValueError(f"unknown method {name!r}: choose from auto, {', '.join(METHODS)}")
    return known[_letters(name)]


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
