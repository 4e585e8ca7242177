"""Write a checkpoint: ``python -m benchmarks.peers.checkpoint MODULE MODEL FOLDER [--small]``, by a suite's module."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Let the module write one of its models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=import_module)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    if asked.model not in asked.module.MODELS:
        parser.error(f"{asked.model} is none of {', '.join(asked.module.MODELS)}")
    asked.module.write(asked.model, asked.folder, small=asked.small)


if __name__ == "__main__":
    main()
