"""Train the example checkpoints: `python -m examples.training [NAME ...] [--output FOLDER]`."""

import argparse
import json
import time
from pathlib import Path

import torch

from .cards import write_card
from .checkpoint import load_companion, save
from .recipes import RECIPES

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def main() -> None:
    """Train, save, and evaluate what was saved."""
    parser = argparse.ArgumentParser(prog="python -m examples.training", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; all of them by default")
    parser.add_argument("--output", type=Path, default=CHECKPOINTS, help="the folder to write checkpoints into")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(RECIPES):
        parser.error(f"unknown checkpoint: {', '.join(sorted(unknown))}")
    for name in arguments.names or RECIPES:
        print(name, flush=True)
        folder, recipe, start = arguments.output / name, RECIPES[name], time.monotonic()
        model, companion = recipe.build()
        seconds = round(time.monotonic() - start)
        save(model, companion, folder)
        saved = type(model).from_pretrained(folder, dtype=torch.float32).eval()
        metrics = recipe.evaluate(saved, load_companion(folder))
        metrics |= {"parameters": saved.num_parameters(), "training_seconds": seconds}
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        write_card(name, saved, metrics, folder)
        print(f"  {metrics}", flush=True)


if __name__ == "__main__":
    main()
