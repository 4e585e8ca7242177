"""What ``import torchless`` costs beside its three dependencies, and a process from start to first answer.

``python -m benchmarks.footprint BUNDLE CHECKPOINT`` writes results/footprint.json; both for text classification.
Each measurement is a fresh process, the ways taking turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from .measure import write

_PROBE = """
import json, resource, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
import numpy, tokenizers, onnxruntime
start, before, modules = time.perf_counter(), resident(), len(sys.modules)
import torchless
print(json.dumps({"ms": 1e3 * (time.perf_counter() - start), "MiB": resident() - before,
                  "modules": len(sys.modules) - modules}))
"""
_ANSWER = """
import json, resource, sys, time
from torchless import pipeline
pipeline("text-classification", sys.argv[1], threads=2)("I love it")
print(json.dumps({"MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "modules": len(sys.modules)}))
"""
_PEER = """
import json, resource, sys, torch
from transformers import pipeline
torch.set_num_threads(2)
pipeline("text-classification", sys.argv[1], device="cpu", dtype=torch.float32)("I love it")
print(json.dumps({"MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "modules": len(sys.modules)}))
"""


def main() -> None:
    """Measure import and first answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("checkpoint", type=Path, help="the checkpoint it was made from, for the peer")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    programs = {
        "import torchless, beside its dependencies": (_PROBE, arguments.bundle),
        "first answer, torchless": (_ANSWER, arguments.bundle),
        "first answer, transformers": (_PEER, arguments.checkpoint),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for repeat in range(arguments.repeats + 1):
        for name, (program, argument) in programs.items():
            result = _run(program, argument)
            if repeat:
                found[name].append(result)
    rows = []
    for name, results in found.items():
        medians = {key: round(statistics.median(result[key] for result in results), 1) for key in results[0]}
        rows.append({"what": name, **medians})
        print(rows[-1])
    print(write("footprint", rows, threads=2))


def _run(program: str, argument: Path) -> dict[str, float]:
    timed = (
        "import subprocess, sys, time; start = time.perf_counter(); "
        "out = subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True, capture_output=True).stdout; "
        "print(time.perf_counter() - start); sys.stdout.buffer.write(out)"
    )
    output = subprocess.run(
        [sys.executable, "-c", timed, program, str(argument)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    result: dict[str, float] = json.loads(output[1])
    return {"process_s": float(output[0]), **result}


if __name__ == "__main__":
    main()
