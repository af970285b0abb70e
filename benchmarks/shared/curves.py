"""The curves of many methods on many pairs, each of which is computed once and has a file of its own."""

import json
import time
from functools import partial
from pathlib import Path

import xarray as xr

import pac_surrogate as pac
from shared.candidates import CANDIDATES
from shared.pool import work_through
from shared.setting import Setting


def compute(setting: Setting, workers: int) -> list[str]:
    """Compute the missing curves and return a line for each that failed; a failure does not stop the others."""
    return work_through(partial(compute_pair, setting=setting), setting.pairs, workers)


def compute_pair(pair: str, setting: Setting) -> list[str]:
    """Compute the missing curves of a pair, one method at a time; return a line for each that failed."""
    spending, failures = setting.spending, []
    missing = [name for name in setting.methods if finished(pair, name, setting) is None]
    if not missing:
        return []
    began = time.perf_counter()
    source, target, surrogates, _ = setting.pretrain(pair)
    print(f"{pair}: data and {spending.seeds} sources in {time.perf_counter() - began:.0f} s", flush=True)
    for name in missing:
        began = time.perf_counter()
        try:
            candidates, budget = {name: CANDIDATES[name]}, spending.of_curve()
            curve = pac.transfer_curve(
                source, target, methods=candidates, surrogates=surrogates, device=setting.device, **budget
            )
        except ValueError as error:
            failures.append(f"{pair}, {name}: {error}")
            continue
        curve.attrs["setting"] = described(name, setting)
        curve.attrs["wall_seconds"] = time.perf_counter() - began
        pac.save_curve(curve, folder_of(pair, name, setting))
        middle, largest = pac.summarise(curve)["median"], spending.sizes[-1]
        found = float(middle.sel(size=largest).item())
        print(f"{pair}: {name} {found:.4f} at n = {largest}, {curve.attrs['wall_seconds']:.0f} s", flush=True)
    return failures


def folder_of(pair: str, name: str, setting: Setting) -> Path:
    """Return the folder of the curve of a method on a pair."""
    return setting.out / pair / name.replace(" ", "_").replace(",", "").replace("/", "_")


def described(name: str, setting: Setting) -> str:
    """Return what a finished curve depends on, as JSON; with another setting, the curve is computed again."""
    return json.dumps({"candidates": repr(CANDIDATES[name]), **setting.described()})


def finished(pair: str, name: str, setting: Setting) -> "xr.Dataset | None":
    """Return the finished curve of a method on a pair, or None if it is missing or has another setting."""
    folder = folder_of(pair, name, setting)
    if not (folder / "curve.nc").exists():
        return None
    curve = pac.open_curve(folder)
    return curve if curve.attrs.get("setting") == described(name, setting) else None
