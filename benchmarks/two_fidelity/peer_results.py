"""The results of emukit and SMT: read where they are known, else measured by a Python environment that has both."""

import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from shared.files import write_json
from shared.provenance import origin
from two_fidelity.comparison import PEERS, Result
from two_fidelity.problems import Draw

SCRIPT = Path(__file__).with_name("peers.py")
STORED = Path(__file__).parents[1] / "results" / "classics" / "peers.json"


class PeerResults:
    """Errors and seconds of emukit and SMT by function and draw.

    Args:
        path: JSON file to which new results are added; those of the repository are read too.
        python: the interpreter of an environment with both packages; None measures nothing.
    """

    def __init__(self, path: Path, python: Path | None = None) -> None:
        self.path, self.python = path, python
        self.stored, self.own = _read(STORED), _read(path)

    def of(self, function: str, number: int, draw: Draw) -> list[Result]:
        """Return the results of both for a draw, or an empty list if they are not known and cannot be measured.

        Raises:
            ValueError: if the interpreter cannot be run or lacks a package.
        """
        digest = draw.digest()
        known = (content["draws"].get(function, {}).get(str(number), {}) for content in (self.own, self.stored))
        entry = next((entry for entry in known if entry.get("digest") == digest), None)
        if entry is None and self.python is not None:
            entry = self._measure(function, number, draw, digest)
        if entry is None:
            return []
        return [Result(function, number, name, entry[name].get("error", math.nan), entry[name]["seconds"]) for name in PEERS]

    def _measure(self, function: str, number: int, draw: Draw, digest: str) -> dict[str, Any]:
        """Run the script of the peers on a draw, and write what it found."""
        with tempfile.TemporaryDirectory() as folder:
            arrays, answers = Path(folder) / "draw.npz", Path(folder) / "answers.json"
            np.savez(arrays, **draw.unit())  # type: ignore[arg-type]  # allow_pickle is none of the names
            command = [str(self.python), str(SCRIPT), str(arrays), str(answers)]
            required = "--peers must be the Python of an environment with emukit, GPy and smt"
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as fault:
                raise ValueError(f"{required}, which {self.python} is not: {fault.strerror}") from fault
            if done.returncode or not answers.exists():
                lines = done.stderr.strip().splitlines() or ["it reported nothing"]
                raise ValueError(f"{required}, which {self.python} is not: {lines[-1]}")
            found = json.loads(answers.read_text(encoding="utf-8"))
        entry: dict[str, Any] = {"digest": digest}
        for name in PEERS:
            answer = found[name]
            outcome = (
                {"failed": answer["failed"]} if "failed" in answer else {"error": draw.error(np.array(answer["prediction"]))}
            )
            entry[name] = outcome | {"seconds": round(answer["seconds"], 2)}
        provenance = origin()
        command = provenance["command"].replace(str(self.python), "PYTHON")  # whose path says nothing elsewhere
        self.own["config"] = provenance | {"command": command, "versions": found["versions"]}
        self.own["draws"].setdefault(function, {})[str(number)] = entry
        write_json(self.path, self.own)
        return entry


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"draws": {}}
