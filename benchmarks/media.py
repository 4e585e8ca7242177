"""Speech and vision against their peers: real sizes with random weights, 2 threads.

``python -m benchmarks.media`` merges its rows into results/media.json and puts the tables into README.md;
``--cases vit`` measures one case again, ``--quick`` tries everything on small models and writes nothing, ``--prepare``
only exports and converts, ``--table`` only makes the tables. The peers need ``make .venv-peers/ready``.

Every contender is a process of its own. In a cell they take turns; a turn is a call, from samples to texts or from a
picture to its label, or as many as fit into a fifth of a second. Answers are compared with torch's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import PAUSE_S, merge, read
from .peers import media_inputs
from .peers.media_agreement import agreement, agrees
from .peers.media_models import MODELS, TOKENIZER
from .peers.media_table import insert
from .peers.media_worker import MEDIA, NEW_TOKENS, THREADS
from .peers.preparation import FOLDER, converted, prepare
from .peers.process import Worker

REFERENCE = "torch fp32"
LEAST_S = 0.2
_TRANSFORMERS = ("torchless", "torch")
_SPEECH = (*_TRANSFORMERS, "openvino", "ctranslate2")


@dataclass(frozen=True)
class Cell:
    """One call.

    Attributes:
        work: a name of what a contender's module does.
        input: what it is given, in words.
        batch: clips or pictures.
        seconds: of each clip; 0 for a picture.
        without: contenders that are left out.
    """

    work: str
    input: str
    batch: int = 1
    seconds: int = 0
    without: tuple[str, ...] = ()

    def path(self) -> Path:
        """Where its inputs are, which are made once."""
        suffix = "jpg" if "JPEG" in self.input else "npy"
        path = FOLDER / "media-inputs" / f"{self.work}-{self.seconds}-{self.batch}.{suffix}"
        if not path.is_file():
            media_inputs.write(self.work, self.batch, self.seconds, path)
        return path


@dataclass(frozen=True)
class Case:
    """A model of ``media_models``.

    Attributes:
        contenders: without the precision.
        cells: from small to large, as the memory of a row is the most that its process has held until then.
        quick: those for small models.
    """

    contenders: tuple[str, ...]
    cells: tuple[Cell, ...]
    quick: tuple[Cell, ...]


def _clips(seconds: int, batch: int, *without: str) -> Cell:
    return Cell("speech", f"{seconds} s", batch, seconds, without)


_CTC = (_clips(10, 1), _clips(10, 4), _clips(30, 1), _clips(30, 4))
_WHISPER = (_clips(30, 1), _clips(30, 4, "faster-whisper"))  # which reads one recording after the other
_VIT = (Cell("logits", "224 x 224 pixels"), Cell("label", "640 x 480 JPEG"), Cell("logits", "224 x 224 pixels", 8))
_FEATURES = (Cell("log-mel", "30 s", 1, 30), Cell("pixels", "640 x 480 JPEG"))
_GENERATING = Case((*_TRANSFORMERS, "ctranslate2", "faster-whisper", "onnx-asr"), _WHISPER, _WHISPER)
CASES = {
    # CTranslate2 knows only the layer norms of the large models.
    "wav2vec2": Case((*_TRANSFORMERS, "openvino"), _CTC, (_clips(1, 1), _clips(2, 3))),
    "wav2vec2-layer-norm": Case(_SPEECH, _CTC, (_clips(1, 1), _clips(2, 3))),
    "whisper-tiny": _GENERATING,
    "whisper-base": _GENERATING,
    "vit": Case((*_TRANSFORMERS, "openvino"), _VIT, _VIT),
    "features": Case((*_TRANSFORMERS, "numpy", "faster-whisper"), _FEATURES, _FEATURES),
}


def main() -> None:
    """Measure and write, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--contenders", nargs="+", choices=MEDIA.contenders, default=list(MEDIA.contenders))
    parser.add_argument("--repeats", type=int, default=7, help="turns of a contender in a cell, at most")
    parser.add_argument("--budget", type=float, default=60, help="seconds for a cell, twice that before its third turn")
    parser.add_argument("--quick", action="store_true", help="small models, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the tables again")
    arguments = parser.parse_args()
    for case in [] if arguments.table else arguments.cases:
        if case.startswith("whisper") and not (TOKENIZER / "tokenizer.json").is_file():
            print(f"{case} is left out: its tokenizer is not in {TOKENIZER}")
            continue
        contenders = [name for name in arguments.contenders if name.split()[0] in CASES[case].contenders]
        prepare(case, contenders, small=arguments.quick, suite=MEDIA)
        if not arguments.prepare:
            measure(case, contenders, arguments)
    if not arguments.quick and not arguments.prepare:
        print(insert(read("media")["rows"]))


def measure(case: str, contenders: list[str], arguments: argparse.Namespace) -> None:
    """Measure every cell of a case, its contenders' processes side by side."""
    with ExitStack() as stack:
        workers, versions, works = {}, {}, {}
        for contender in contenders:
            one = Worker(contender, *converted(case, contender, small=arguments.quick), suite=MEDIA)
            workers[contender] = stack.enter_context(one)
            loaded = one.ask("load")
            versions[MEDIA.contenders[contender].engine], works[contender] = loaded["versions"], loaded["works"]
        for cell in CASES[case].quick if arguments.quick else CASES[case].cells:
            able = {
                name: one
                for name, one in workers.items()
                if cell.work in works[name] and name.split()[0] not in cell.without
            }
            rows = measure_cell(case, cell, able, arguments.repeats, arguments.budget)
            print(*rows, sep="\n", flush=True)
            if not arguments.quick:
                environments = {**read("media").get("environments", {}), **versions}
                keys = ("case", "work", "input", "batch", "contender")
                merge("media", rows, keys, threads=THREADS, new_tokens=NEW_TOKENS, environments=environments)


def measure_cell(
    case: str, cell: Cell, workers: Mapping[str, Worker], repeats: int, budget: float
) -> list[dict[str, Any]]:
    """A row per contender: medians over its turns."""
    agreeing = _agreements(case, cell, {name: _run(one, cell, 0) for name, one in workers.items()})
    times: dict[str, list[float]] = {contender: [] for contender in workers}
    start = time.perf_counter()
    for turn in range(repeats):
        if turn > 1 and time.perf_counter() - start > (budget if turn > 2 else 2 * budget):
            break
        for contender, one in workers.items():
            times[contender].append(_run(one, cell, LEAST_S)["seconds"])
    rows = []
    for contender, one in workers.items():
        seconds = statistics.median(times[contender])
        row = {
            **{"case": case, "work": cell.work, "input": cell.input, "batch": cell.batch, "contender": contender},
            **{"turns": len(times[contender]), "ms": round(1e3 * seconds, 2)},
            **{"peak_mib": round(one.ask("memory")["peak"]), "agreement": agreeing.get(contender)},
        }
        rows.append({**row, "realtime": round(cell.batch * cell.seconds / seconds, 1)} if cell.seconds else row)
    return rows


def _run(one: Worker, cell: Cell, least: float) -> dict[str, Any]:
    """One turn, when the others' threads no longer spin."""
    time.sleep(PAUSE_S)
    return one.ask("run", work=cell.work, inputs=str(cell.path()), least=least)


def _agreements(case: str, cell: Cell, answers: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """How well each agrees with torch; nothing where torch was left out."""
    if REFERENCE not in answers:
        return {}
    generated, reference = case.startswith("whisper"), answers[REFERENCE]
    found = {name: agreement(cell.work, generated, answer, reference) for name, answer in answers.items()}
    for name, number in found.items():
        if name.endswith("fp32") and not agrees(cell.work, generated, number, reference):
            raise SystemExit(f"{name} agrees with torch only to {number} in {cell}; its time would mean nothing")
    return found


if __name__ == "__main__":
    main()
