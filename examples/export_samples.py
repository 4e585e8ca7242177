"""Export the shipped checkpoints: ``python -m examples.export_samples FOLDER`` (needs the export extra)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from torchless.export import export

from .samples import CHECKPOINTS


def main() -> None:
    """Export every folder of ``examples/checkpoints`` to a folder of the same name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    for checkpoint in sorted(path.parent for path in CHECKPOINTS.glob("*/config.json")):
        start = time.perf_counter()
        bundle = export(str(checkpoint), output / checkpoint.name, overwrite=True)
        print(f"exported {checkpoint.name:10} to {bundle} in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
