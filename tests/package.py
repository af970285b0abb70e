"""Build sdist and wheel, install the wheel in an empty environment and run the README's first example there: `make package`.

`python -m build` builds the wheel from the sdist, which shows that the sdist is complete. The example runs in an empty folder,
where no file of the repository can be imported by accident.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECK = """
import pac_surrogate, simulators
from pathlib import Path
for module in (pac_surrogate, simulators):
    assert "site-packages" in Path(module.__file__).parts, module.__file__
"""


def call(*command: str | Path, folder: Path) -> None:
    """Show a command and run it; it must succeed."""
    print(f"$ {' '.join(map(str, command))}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*map(str, command)], cwd=folder, env=environment, check=True)


def main() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[0]
    torch = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call(sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT, folder=folder)
        call(sys.executable, "-m", "venv", folder / "empty", folder=folder)
        python, work = folder / "empty" / "bin" / "python", folder / "work"
        work.mkdir()
        (work / "example.py").write_text(example, encoding="utf-8")
        # torch is installed first and on its own: given its version, pip takes the build that it is offered.
        call(python, "-m", "pip", "install", "--quiet", torch, folder=work)
        call(python, "-m", "pip", "install", "--quiet", *(folder / "dist").glob("*.whl"), folder=work)
        call(python, "-m", "pip", "check", folder=work)
        call(python, "-c", CHECK, folder=work)
        call(python, "example.py", folder=work)
        call(python.parent / "pac-surrogate", "--help", folder=work)
        call(python, "-m", "simulators", "list", folder=work)


if __name__ == "__main__":
    main()
