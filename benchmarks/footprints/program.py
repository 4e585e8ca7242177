"""What a fresh process does in an engine's environment; this file is run by its path and imports nothing of ours.

The command is a JSON object, the only argument. Answers are lines of JSON on standard output:

- ``{"do": "size", "of": ["torchless[cpu]"]}``: MiB of those distributions and of all that they need, and how many.
- ``{"do": "import", "after": [...], "modules": [...]}``: what imports cost beside those that come first.
- ``{"do": "answer", "engine": "torchless", "task": ..., "folder": ..., "input": ..., "options": {...}}``: one answer of
  the task's pipeline. A line goes out when the answer is there, and is timed by who reads it.
- ``{"do": "ragged", "folder": ..., "dtype": ..., "options": {...}, "calls": 1000}``: resident memory over calls of
  changing shapes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

THREADS = 2


def main() -> None:
    """Do what the argument says."""
    command = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    able: dict[str, Callable[..., Any]] = {"size": size, "import": imports, "answer": answer, "ragged": ragged}
    done = able[command.pop("do")](**command)
    print(json.dumps(done, default=float), file=answers, flush=True)


def size(of: list[str]) -> dict[str, float]:
    """MiB and number of distributions, with those that they need, each once."""
    from importlib import metadata

    from packaging.requirements import Requirement

    waiting, done = [Requirement(name) for name in of], set()
    files: dict[str, list[Any]] = {}
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if (name, frozenset(wanted.extras)) in done:
            continue
        done.add((name, frozenset(wanted.extras)))
        with contextlib.suppress(metadata.PackageNotFoundError):  # of another system, or replaced by another build
            found = metadata.distribution(wanted.name)
            files[name] = list(found.files or ())
            for line in found.requires or ():
                needed = Requirement(line)
                extras = wanted.extras or {""}
                if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                    waiting.append(needed)
    paths = {Path(str(file.locate())) for listed in files.values() for file in listed}
    return {"mib": sum(path.stat().st_size for path in paths if path.is_file()) / 2**20, "distributions": len(files)}


def imports(after: list[str], modules: list[str]) -> dict[str, float]:
    """Milliseconds, MiB and modules of imports."""
    for name in after:
        import_module(name)
    start, before, known = time.perf_counter(), resident(), len(sys.modules)
    for name in modules:
        import_module(name)
    return {
        "ms": 1e3 * (time.perf_counter() - start), "mib": resident() - before, "modules": len(sys.modules) - known,
    }  # fmt: skip


def answer(
    engine: str, task: str, folder: str, input: Any, options: dict[str, Any], optimum: str = ""
) -> dict[str, Any]:
    """The most memory, the modules, and the answer's texts."""
    if engine == "torchless":
        from torchless import pipeline

        found = pipeline(task, folder, threads=THREADS, **options)(input)
    else:
        torch, transformers = map(import_module, ("torch", "transformers"))
        torch.set_num_threads(THREADS)
        transformers.utils.logging.set_verbosity_error()
        model: Any = folder
        rest: dict[str, Any] = {}
        if engine == "optimum":
            model, rest = _optimum(optimum, folder)
        ask = transformers.pipeline(task, model=model, device="cpu", **rest)
        found = ask(_heard(input) if isinstance(input, str) and input.endswith(".wav") else input, **options)
    return {"peak_mib": peak(), "modules": len(sys.modules), "texts": _texts(found)}


def _optimum(model_class: str, folder: str) -> tuple[Any, dict[str, Any]]:
    """An exported model, and the parts that its pipeline does not find by itself."""
    onnxruntime, transformers, models = map(import_module, ("onnxruntime", "transformers", "optimum.onnxruntime"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    model = getattr(models, model_class).from_pretrained(folder, session_options=options)
    if not hasattr(model, "main_input_name"):  # ORTModelForCTC of optimum-onnx 0.1: its pipeline asks for it
        model.main_input_name = "input_values"
    if not (Path(folder) / "preprocessor_config.json").exists():
        return model, {"tokenizer": transformers.AutoTokenizer.from_pretrained(folder)}
    if "Image" in model_class:
        return model, {"image_processor": transformers.AutoImageProcessor.from_pretrained(folder)}
    parts: dict[str, Any] = {"feature_extractor": transformers.AutoFeatureExtractor.from_pretrained(folder)}
    if "CTC" in model_class:
        parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder)
    return model, parts


def _heard(path: str) -> dict[str, Any]:
    """A recording: transformers would read a path by ffmpeg."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    return {"raw": samples, "sampling_rate": rate}


def _texts(answer: Any) -> list[str]:
    """The texts of an answer, without scores, in a fixed order."""
    if isinstance(answer, dict):
        return [text for key in sorted(answer) for text in _texts(answer[key])]
    if isinstance(answer, (list, tuple)):
        return [text for part in answer for text in _texts(part)]
    return [answer] if isinstance(answer, str) else []


def ragged(folder: str, dtype: str, options: dict[str, Any], calls: int) -> dict[str, Any]:
    """Resident MiB after the load, a tenth of the calls and all, and seconds of processor time."""
    import numpy as np

    from torchless import Bundle

    session = Bundle.open(folder, dtype=dtype, threads=THREADS, session_options=options, optimized=False).session()
    rng, found = np.random.default_rng(0), [resident()]
    start = time.process_time()
    for call in range(1, calls + 1):
        session.run({"input_ids": rng.integers(5, 1000, (rng.integers(1, 5), rng.integers(4, 129)))})
        if call in (calls // 10, calls):
            found.append(resident())
    names = ("loaded_mib", "tenth_mib", "all_mib")
    return {**dict(zip(names, found, strict=True)), "peak_mib": peak(), "cpu_s": time.process_time() - start}


def resident() -> float:
    """MiB of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    """The most MiB that this process has held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
