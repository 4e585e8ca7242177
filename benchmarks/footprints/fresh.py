"""Fresh processes in the environments of the engines."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.py")
OURS, PEERS = ROOT / ".venv-run/bin/python", ROOT / ".venv-peers/bin/python"
EMPTY = ROOT / "build/benchmarks/footprint/empty"
"""A folder without optimized graphs, so that none of the user's are used."""


def run(python: Path, command: Mapping[str, Any], cache: Path = EMPTY) -> dict[str, Any]:
    """Let a new process do what ``program.py`` can; ``"process_s"`` is the time from its start to its answer.

    Args:
        python: of the environment.
        command: what to do.
        cache: the folder of optimized graphs.

    Raises:
        SystemExit: it failed; the message has the end of what it printed.
    """
    EMPTY.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "TORCHLESS_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling anew each time is nobody's ordinary start
    log = EMPTY.with_name("program.log")
    with log.open("wb") as errors:
        start = time.perf_counter()
        with subprocess.Popen(
            # -P: this folder must not hide a package of the same name.
            [str(python), "-P", str(PROGRAM), json.dumps(command)],
            cwd=EMPTY, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process:  # fmt: skip
            line = process.stdout.readline() if process.stdout else ""
            seconds = time.perf_counter() - start
    if not line:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        raise SystemExit(f"{python} failed at {command}:\n{end}")
    answer: dict[str, Any] = json.loads(line)
    return {"process_s": seconds, **answer}


def medians(results: Iterable[Mapping[str, Any]], digits: int = 3) -> dict[str, float]:
    """The median of each number of the results."""
    listed = list(results)
    numbers = [key for key, value in listed[0].items() if isinstance(value, (int, float))]
    return {key: round(statistics.median(result[key] for result in listed), digits) for key in numbers}


def interleaved(ways: Mapping[str, Any], repeats: int, once: Any) -> dict[str, list[dict[str, Any]]]:
    """Results of each way, the ways taking turns; a first turn, which reads everything from the disk, is left out."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            result = once(way)
            if repeat:
                found[name].append(result)
    return found
