"""Interleaved timing, and what has to be known to read a result: versions, hardware, command."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PAUSE_S = 0.3
RESULTS = Path(__file__).with_name("results")
PACKAGES = ("torchless", "numpy", "onnxruntime", "tokenizers", "torch", "transformers")


def interleaved(calls: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 2) -> dict[str, float]:
    """Median seconds of each call, the calls taking turns so that all meet the same state of the machine.

    Between calls there is a pause: worker threads go on spinning for a while after a call, and would take the next
    one's processors.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(warmup + repeats):
        for name, call in calls.items():
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            call()
            if repeat >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def write(name: str, rows: list[dict[str, Any]], **notes: Any) -> Path:
    """Write results/<name>.json: rows with versions, hardware and the command that made them.

    A row that does not say on which machine and day it was measured was measured here, today.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    head = {"date": time.strftime("%Y-%m-%d"), "hardware": hardware()}
    content = {
        "command": " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
        **head,
        "versions": {"python": platform.python_version(), **versions()},
        **notes,
        "rows": stamped(rows, head),
    }
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def read(name: str) -> dict[str, Any]:
    """What results/<name>.json holds, its rows with machine and date; no rows where it is not there."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return {"rows": []}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {**content, "rows": stamped(content["rows"], content)}


def merge(name: str, rows: list[dict[str, Any]], keys: tuple[str, ...], **notes: Any) -> Path:
    """Write results/<name>.json with these rows in the place of those that have the same keys; the others stay.

    The versions of the contenders' environments stay too, where these rows have none of their own.
    """
    before = read(name)
    anew = {tuple(row[key] for key in keys) for row in rows}
    kept = [row for row in before["rows"] if tuple(row[key] for key in keys) not in anew]
    if "environments" in notes:
        notes["environments"] = {**before.get("environments", {}), **notes["environments"]}
    return write(name, kept + rows, **notes)


def read_here(name: str) -> list[dict[str, Any]]:
    """The rows of results/<name>.json that were measured on this machine."""
    here = machine(hardware())
    return [row for row in read(name)["rows"] if row["machine"] == here]


def stamped(rows: Iterable[dict[str, Any]], head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows with the ``"machine"`` and ``"date"`` of a file's head, where they have none of their own."""
    return [{**row, "machine": row.get("machine", machine(head["hardware"])), "date": row.get("date", head["date"])}
            for row in rows]  # fmt: skip


def machine(hardware: Mapping[str, Any]) -> str:
    """A machine in a few words: its processor, the instructions that matter here, and its CPUs.

    Example:
        >>> machine({"processor": "AMD EPYC", "flags": ["avx2", "avx512_vnni"], "cpus": 2})
        'AMD EPYC (avx2, avx512_vnni), 2 CPUs'
    """
    flags = f" ({', '.join(hardware['flags'])})" if hardware.get("flags") else ""
    return f"{hardware['processor']}{flags}, {hardware['cpus']} CPUs"


def hardware() -> dict[str, Any]:
    """Processor name, instruction sets that matter here, and CPUs of this process."""
    from torchless import processor  # which the environments of the peers do not have, and versions() must not need

    known = processor.flags() or ()
    wanted = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp") if flag in known]
    return {"processor": processor.name(), "flags": wanted, "cpus": os.cpu_count()}


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
