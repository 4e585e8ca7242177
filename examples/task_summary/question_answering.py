"""Find the answer in a text: ``python -m examples.task_summary.question_answering [--hub]``."""

from __future__ import annotations

from torchless import Bundle, pipeline

from .models import open_bundle

CONTEXT = "The name of the repository is huggingface/transformers. The company was founded in Paris."
QUESTIONS = ["What is the name of the repository?", "Where was the company founded?"]


def with_pipeline(bundle: Bundle) -> None:
    """Long contexts are cut into windows; the scores are probabilities."""
    answer = pipeline("question-answering", bundle)
    for question, found in zip(QUESTIONS, answer(question=QUESTIONS, context=CONTEXT), strict=True):
        print(f"{question} {found['answer']!r}, score {found['score']:.4f}, {found['start']}-{found['end']}")


def with_parts(bundle: Bundle) -> None:
    """The most likely start and end, without the pipeline's checks."""
    for question in QUESTIONS:
        batch = bundle.tokenizer([(question, CONTEXT)], truncation="only_second")
        outputs = bundle.session("model").run(batch)
        first, last = (int(outputs[name][0].argmax()) for name in ("start_logits", "end_logits"))
        offsets = batch.offsets[0]
        print(f"{question} {CONTEXT[offsets[first][0] : offsets[last][1]]!r}")


if __name__ == "__main__":
    opened = open_bundle("question_answering")
    with_pipeline(opened)
    with_parts(opened)
