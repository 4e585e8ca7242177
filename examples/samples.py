"""The shipped checkpoints: where they lie, and a few inputs for each whose answers anybody can judge."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKPOINTS = Path(__file__).parent / "checkpoints"
INPUTS = Path(__file__).parent / "inputs"


@dataclass(frozen=True)
class Sample:
    """A task shown with a shipped checkpoint.

    Attributes:
        task: the pipeline's task.
        checkpoint: folder name under ``examples/checkpoints``.
        inputs: what the pipeline is called with, one by one; paths are of ``examples/inputs``.
        options: options of the pipeline.
    """

    task: str
    checkpoint: str
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


SAMPLES = (
    Sample(
        "text-classification",
        "sentiment",
        ("I love this movie, it is wonderful!", "The food was cold and the waiter was rude.", "It was not bad at all."),
    ),
    Sample(
        "text-classification",
        "nli",
        (
            {"text": "A man is playing a guitar on the stage.", "text_pair": "A person is playing an instrument."},
            {"text": "A man is playing a guitar on the stage.", "text_pair": "Nobody is playing an instrument."},
            {"text": "A man is playing a guitar on the stage.", "text_pair": "The man is famous."},
        ),
    ),
    Sample(
        "zero-shot-classification",
        "nli",
        ("The team scored twice in the second half and won the cup.", "Add the onions and fry them in butter."),
        {"candidate_labels": ["sports", "politics", "food"]},
    ),
    Sample(
        "question-answering",
        "qa",
        (
            {"question": "Where does Anna live?", "context": "My name is Anna Schmidt and I live in Berlin."},
            {
                "question": "Who wrote the report?",
                "context": "The report was written by Maria Lopez in 2019 and reviewed by Tom.",
            },
            {
                "question": "What is the name of the repository?",
                "context": "The name of the repository is huggingface/transformers.",
            },
        ),
    ),
    Sample("fill-mask", "fill-mask", ("Paris is the <mask> of France.", "A <mask> says meow."), {"top_k": 3}),
    Sample(
        "token-classification",
        "ner",
        (
            "Hugging Face Inc. is a company based in New York City.",
            "Angela Merkel met Emmanuel Macron in Paris on Monday.",
        ),
        {"aggregation_strategy": "simple"},
    ),
    Sample(
        "text-generation",
        "story",
        (
            "Once upon a time there was a girl named Amelia. Her favourite toy was a red kite.",
            "There was a little boy called Tom. One Monday he wanted to make pancakes for his grandmother.",
            "Grace was a brave girl. Her brother could swim, and Grace wanted to learn it, too.",
        ),
        {"do_sample": False, "max_new_tokens": 200},
    ),
    Sample(
        "summarization",
        "summary",
        (
            "On Friday there was a fire in a hotel in Brighton. It took three hours to put out the flames. The fire "
            "injured two people. The cause was an old heater, as the fire service said. Julia Carter, the mayor, "
            "thanked the firefighters.",
            "The people of Milford chose a new mayor on Sunday. The votes were counted until midnight. 63 percent "
            "voted for Emma Clark. Martin Wood came second. The first thing that Emma Clark wants to do is to plant "
            "more trees.",
            "Thieves broke into a villa in Oxford on Monday. They needed only nine minutes. A woman was arrested at "
            "the airport. A gold ring is missing.",
        ),
    ),
    Sample(
        "translation_en_to_de",
        "translate",
        (
            "The old woman bought three red apples yesterday.",
            "My sister does not read these long letters.",
            "I know that Anna will give the child a new book.",
            "Every morning she drinks hot coffee in the kitchen.",
        ),
    ),
    Sample(
        "translation_de_to_en",
        "translate",
        (
            "Der kleine Junge hat den Hund nicht gesehen.",
            "Die Kinder sind müde, weil sie im Park gespielt haben.",
            "Warum weint das Mädchen vor der Schule?",
        ),
    ),
    Sample(
        "audio-classification",
        "keywords",
        tuple(INPUTS / f"word-{word}.wav" for word in ("yes", "left", "no", "banana")),
        {"top_k": 2},
    ),
    Sample(
        "automatic-speech-recognition",
        "commands",
        tuple(INPUTS / f"sentence-{number}.wav" for number in (1, 2, 3)),
    ),
    Sample("automatic-speech-recognition", "commands", (INPUTS / "sentence-3.wav",), {"return_timestamps": "word"}),
    Sample(
        "image-classification",
        "shapes",
        tuple(INPUTS / f"{thing}.png" for thing in ("red-circle", "yellow-star", "blue-cross", "orange-ring")),
        {"top_k": 2},
    ),
)


def expected() -> dict[str, str]:
    """What is said or seen in each file of ``examples/inputs``."""
    content: dict[str, str] = json.loads((INPUTS / "expected.json").read_text(encoding="utf-8"))
    return content


def metrics(checkpoint: str) -> dict[str, Any]:
    """The held-out numbers that were written down when the checkpoint was trained."""
    content: dict[str, Any] = json.loads((CHECKPOINTS / checkpoint / "metrics.json").read_text(encoding="utf-8"))
    return content
