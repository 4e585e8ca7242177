"""Reading, hearing and seeing against peers: real sizes with random weights, fp32 and int8, 2 threads.

``python -m benchmarks.recognition`` merges its rows into results/recognition.json and puts the tables into README.md;
``--cases vit`` measures one case again, ``--quick`` tries everything on small models and writes nothing, ``--prepare``
only exports and converts, ``--table`` only makes the tables, ``--repeat-check`` measures again, says how far ratios are
from those that are written, and writes nothing. The peers need ``make .venv-peers/ready``.

Every contender is a process of its own. Those of a precision run side by side, and take turns in a cell; a turn is a
call, from ids to tags, from samples to texts or from a picture to its label, or as many as fit into a fifth of a
second. Answers are compared with torch's.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import PAUSE_S, merge, read, read_here
from .peers import recognition_inputs
from .peers.preparation import FOLDER, converted, prepare
from .peers.process import Worker
from .peers.recognition_agreement import agreements
from .peers.recognition_models import MODELS, TOKENIZER
from .peers.recognition_table import insert
from .peers.recognition_worker import NEW_TOKENS, RECOGNITION, THREADS
from .peers.worker import families
from .repeat import check

REFERENCE = "torch fp32"
LEAST_S = 0.2
KEYS = ("case", "work", "input", "batch", "contender")
_TRANSFORMERS = ("torchless", "torch")
_ENCODERS = (*_TRANSFORMERS, "torch-compile", "openvino", "optimum")
_FULL = ("fp32",)
_DYNAMIC = ("fp32", "int8")
_ALL = ("fp32", "int8", "int8-static")


@dataclass(frozen=True)
class Cell:
    """One call.

    Attributes:
        work: a name of what a contender's module does.
        input: what it is given, in words.
        batch: texts, clips or pictures.
        seconds: of each clip; 0 for the others.
        tokens: of each text; 0 for the others.
        without: contenders that are left out.
    """

    work: str
    input: str
    batch: int = 1
    seconds: int = 0
    tokens: int = 0
    without: tuple[str, ...] = ()

    def path(self) -> Path:
        """Where its inputs are, which are made once."""
        suffix = "jpg" if "JPEG" in self.input else "npy"
        path = FOLDER / "recognition-inputs" / f"{self.work}-{self.seconds or self.tokens}-{self.batch}.{suffix}"
        if not path.is_file():
            recognition_inputs.write(self.work, self.batch, self.seconds or self.tokens, path)
        return path


@dataclass(frozen=True)
class Case:
    """A model of ``recognition_models``.

    Attributes:
        engines: contenders without the precision.
        precisions: that are measured.
        cells: from small to large, as the memory of a row is the most that its process has held until then.
        quick: those for small models.
    """

    engines: tuple[str, ...]
    precisions: tuple[str, ...]
    cells: tuple[Cell, ...]
    quick: tuple[Cell, ...]

    def contenders(self, among: Iterable[str]) -> list[str]:
        """Those of the names that take part."""
        return [name for name in among if name.split()[0] in self.engines and name.split()[1] in self.precisions]


def _clips(seconds: int, batch: int, *without: str) -> Cell:
    return Cell("speech", f"{seconds} s", batch, seconds, without=without)


def _texts(batch: int, tokens: int) -> Cell:
    return Cell("tags", f"{tokens} tokens", batch, tokens=tokens)


_BERT = (_texts(1, 16), _texts(1, 128), _texts(1, 384), _texts(8, 128))
_CTC = (_clips(10, 1), _clips(10, 4), _clips(30, 1), _clips(30, 4))
_CLIPS = (_clips(1, 1), _clips(2, 3))
_WHISPER = (_clips(30, 1), _clips(30, 4, "faster-whisper"))  # which reads one recording after the other
_VIT = (Cell("logits", "224 x 224 pixels"), Cell("label", "640 x 480 JPEG"), Cell("logits", "224 x 224 pixels", 8))
_FEATURES = (Cell("log-mel", "30 s", 1, 30), Cell("pixels", "640 x 480 JPEG"))
_GENERATING = Case(
    (*_TRANSFORMERS, "torch-compile", "openvino", "ctranslate2", "faster-whisper", "onnx-asr"),
    _DYNAMIC,
    _WHISPER,
    _WHISPER,
)
CASES = {
    "bert": Case((*_ENCODERS, "ctranslate2"), _ALL, _BERT, (_texts(1, 16), _texts(3, 32))),
    # CTranslate2 knows only the layer norms of the large models.
    "wav2vec2": Case(_ENCODERS, _ALL, _CTC, _CLIPS),
    "wav2vec2-layer-norm": Case((*_ENCODERS, "ctranslate2"), _ALL, _CTC, _CLIPS),
    "whisper-tiny": _GENERATING,
    "whisper-base": _GENERATING,
    "vit": Case(_ENCODERS, _ALL, _VIT, _VIT),
    "features": Case((*_TRANSFORMERS, "numpy", "faster-whisper"), _FULL, _FEATURES, _FEATURES),
}


def main(arguments: list[str] | None = None) -> None:
    """Measure and write, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--contenders", nargs="+", choices=RECOGNITION.contenders, default=list(RECOGNITION.contenders))
    parser.add_argument("--batches", nargs="+", type=int, help="only cells of these batches")
    parser.add_argument("--inputs", nargs="+", help="only cells with these inputs, such as '16 tokens' or '10 s'")
    parser.add_argument("--repeats", type=int, default=7, help="turns of a contender in a cell, at most")
    parser.add_argument("--budget", type=float, default=60, help="seconds for a cell, twice that before its third turn")
    parser.add_argument("--quick", action="store_true", help="small models, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the tables again")
    parser.add_argument("--repeat-check", action="store_true", help="compare with what is written, write nothing")
    asked = parser.parse_args(arguments)
    again: list[dict[str, Any]] = []
    for case in [] if asked.table else asked.cases:
        if case.startswith("whisper") and not (TOKENIZER / "tokenizer.json").is_file():
            print(f"{case} is left out: its tokenizer is not in {TOKENIZER}")
            continue
        contenders = CASES[case].contenders(asked.contenders)
        prepare(case, contenders, small=asked.quick, suite=RECOGNITION)
        if not asked.prepare:
            again += measure(case, contenders, asked)
    if asked.repeat_check:
        check(read_here("recognition"), again, KEYS, ("ms",))
    elif not asked.quick and not asked.prepare:
        print(insert(read("recognition")["rows"]))


def measure(case: str, contenders: list[str], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every cell of a case, family by family: a table compares no others, and all would not fit in memory."""
    rows: list[dict[str, Any]] = []
    reference: dict[Cell, dict[str, Any]] = {}
    found = families(contenders, RECOGNITION.contenders)
    for family in sorted(found, key=lambda names: REFERENCE not in names):
        rows += _measure_family(case, family, reference, asked)
    return rows


def _measure_family(
    case: str, contenders: list[str], reference: dict[Cell, dict[str, Any]], asked: argparse.Namespace
) -> list[dict[str, Any]]:
    """Their processes side by side. What torch answers is put into ``reference``, or was before."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        workers, versions, works = {}, {}, {}
        for contender in contenders:
            one = Worker(contender, *converted(case, contender, small=asked.quick), suite=RECOGNITION)
            workers[contender] = stack.enter_context(one)
            loaded = one.ask("load")
            versions[RECOGNITION.contenders[contender].engine], works[contender] = loaded["versions"], loaded["works"]
        for cell in CASES[case].quick if asked.quick else CASES[case].cells:
            if cell.batch not in (asked.batches or [cell.batch]) or cell.input not in (asked.inputs or [cell.input]):
                continue
            able = {
                name: one
                for name, one in workers.items()
                if cell.work in works[name] and name.split()[0] not in cell.without
            }
            found = measure_cell(case, cell, able, reference, asked.repeats, asked.budget)
            print(*found, sep="\n", flush=True)
            rows += found
            if not asked.quick and not asked.repeat_check:
                merge("recognition", found, KEYS, threads=THREADS, new_tokens=NEW_TOKENS, environments=versions)
    return rows


def measure_cell(
    case: str,
    cell: Cell,
    workers: Mapping[str, Worker],
    reference: dict[Cell, dict[str, Any]],
    repeats: int,
    budget: float,
) -> list[dict[str, Any]]:
    """A row per contender: medians over its turns."""
    answers = {name: _run(one, cell, 0) for name, one in workers.items()}
    if REFERENCE in answers:
        reference[cell] = _kept(answers[REFERENCE], cell)
    agreeing = agreements(cell.work, case.startswith("whisper"), answers, reference.get(cell))
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
            **{"peak_mib": round(one.ask("memory")["peak"]), **agreeing.get(contender, {})},
        }
        rows.append({**row, "realtime": round(cell.batch * cell.seconds / seconds, 1)} if cell.seconds else row)
    return rows


def _run(one: Worker, cell: Cell, least: float) -> dict[str, Any]:
    """One turn, when the others' threads no longer spin."""
    time.sleep(PAUSE_S)
    return one.ask("run", work=cell.work, inputs=str(cell.path()), least=least)


def _kept(answer: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """An answer whose array the process will not write over."""
    if "array" not in answer:
        return answer
    copy = cell.path().with_suffix(".torch.npy")
    return {**answer, "array": str(shutil.copyfile(answer["array"], copy))}


if __name__ == "__main__":
    main()
