"""Record what pipelines of transformers 4.57.6 answer that version 5 no longer has, or has changed.

Run by ``make fixtures``, in an environment of its own (tests/fidelity/requirements.txt), on the shipped checkpoints.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from . import cases, record_ctc, record_images, record_whisper


def main() -> None:
    """Write the files of recorded/, but that of audio: torchaudio has a recipe of its own."""
    cases.RECORDED.mkdir(exist_ok=True)
    for task, checkpoint, answers in (
        ("question-answering", "qa", question_answering),
        ("token-classification", "ner", token_classification),
    ):
        recorded: list[dict[str, Any]] = []
        for seed in cases.NOISE:
            pipeline = load(task, checkpoint, seed)
            recorded += [{"noise": seed, **row} for row in answers(pipeline)]
        write(task, recorded, checkpoint=checkpoint)
    write("generation", list(generation()))
    write("ctc", list(record_ctc.rows()))
    write("whisper", list(record_whisper.recorded()))
    record_images.main()


def write(name: str, recorded: list[dict[str, Any]], **more: Any) -> None:
    """Write one file of recorded answers."""
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    path = cases.RECORDED / f"{name}.json"
    content = {"recipe": "make fixtures", "versions": versions, **more, "cases": recorded}
    path.write_text(compact(content), encoding="utf-8")
    print(f"{path}: {len(recorded)} answers")


def load(task: str, checkpoint: str, seed: int | None) -> Any:
    """The reference pipeline on a shipped checkpoint, in float32."""
    pipeline = transformers.pipeline(task, str(cases.CHECKPOINTS / checkpoint), dtype=torch.float32, device="cpu")
    cases.perturb(pipeline.model, seed)
    return pipeline


def question_answering(pipeline: Any) -> Iterator[dict[str, Any]]:
    """Every question to every context with every set of options."""
    for name, context in cases.QA_CONTEXTS.items():
        for question in cases.QA_QUESTIONS:
            for options in cases.QA_OPTIONS:
                answers = pipeline(question=question, context=context, **options)
                yield {"context": name, "question": question, "options": options, "answers": answers}


def token_classification(pipeline: Any) -> Iterator[dict[str, Any]]:
    """Every text with every strategy; other labels ignored; windows over the long one; lists of words."""
    for strategy in cases.NER_STRATEGIES:
        chosen = {"aggregation_strategy": strategy}
        words = {**chosen, "is_split_into_words": True}
        calls: list[tuple[str, dict[str, Any]]] = [
            *((name, chosen) for name in (*cases.TEXTS, *cases.NER_TEXTS)),
            *(("docs", {**chosen, "ignore_labels": labels}) for labels in cases.NER_IGNORE),
            *(("long", {**chosen, "stride": stride}) for stride in (0, 64) if strategy != "none"),
            *((f"words {index}", {**words, "delimiter": joint}) for index in range(3) for joint in (" ", "--")),
        ]
        for name, options in calls:
            answers = pipeline(cases.NER_INPUTS[name], **options)
            yield {"input": name, "options": options, "answers": answers[0] if name.startswith("words") else answers}


def generation() -> Iterator[dict[str, Any]]:
    """Every input with every set of options, for each task of each checkpoint that generates."""
    for checkpoint, task, inputs, choices in cases.GENERATION:
        for seed in cases.NOISE:
            pipeline = load(task, checkpoint, seed)
            # Cleaned up, the text of byte-pair encodings would lose spaces; over-long texts are cut as torchless does.
            always = {"clean_up_tokenization_spaces": False}
            if task != "text-generation":
                always["truncation"] = True
            for options in choices:
                for name, text in inputs.items():
                    row = {"checkpoint": checkpoint, "task": task, "noise": seed, "input": name, "options": options}
                    yield {**row, "answers": plain(pipeline(text, **always, **options))}


def plain(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers without tensors."""
    return [{key: part.tolist() if hasattr(part, "tolist") else part for key, part in one.items()} for one in answers]


def compact(content: dict[str, Any]) -> str:
    """JSON with one case on a line; scores to 6 digits."""
    rows = [json.dumps(rounded(case), ensure_ascii=False) for case in content.pop("cases")]
    head = json.dumps(content, indent=1)[:-2]
    return f'{head},\n "cases": [\n' + ",\n".join(rows) + "\n]}\n"


def rounded(value: Any) -> Any:
    """The same in plain Python, with floats rounded."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
