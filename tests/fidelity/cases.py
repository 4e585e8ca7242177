"""Inputs and options on which torchless is held against transformers' pipelines.

Used by the tests, and by :mod:`tests.fidelity.record` in the environment of the reference; so it imports neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHECKPOINTS = Path(__file__).resolve().parents[2] / "examples" / "checkpoints"
RECORDED = Path(__file__).with_name("recorded")

TEXTS = {
    "empty": "",
    "one token": "good",
    "space": "   ",
    "sentence": "We are very happy to show you the library.",
    "negation": "The food was cold, and I would not recommend the place to anyone!",
    "emoji": "I love it 🤗🎉, 10/10 👩‍👩‍👧‍👦 would do it again 🇩🇪",
    "accents": "Zürich's café is très naïve; Αθήνα, Москва and Łódź are cities",
    "combining": "Cafe\u0301 Mu\u0308nchen and cafe\u0301s",
    "cjk": "東京は日本の首都です。北京是中国的首都。 Seoul 서울",
    "right to left": "مرحبا بالعالم and שלום עולם",
    "control": "tab\tnewline\nzero\u200bwidth\u00a0space\x07bell \ufffd",
    "special": "a [SEP] b [CLS] c [MASK] d <mask> e </s>",
    "long word": "x" * 120 + " is a word",
    "punctuation": "well -- \"quoted\" (and bracketed) ... isn't it? #1 @home $5.00 50% a/b c_d",
    "newlines": "First line.\n\nSecond line, after an empty one.\r\nThird.",
}  # fmt: skip
LONG = {
    "512 tokens": "the film was good and the actors were great , " * 46,
    "5000 tokens": "the film was good but the end was not so great , " * 420,
}

NER_TEXTS = {
    "docs": "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO,\n"
    "therefore very close to the Manhattan Bridge which is visible from the window.",
    "people": "Angela Merkel met Emmanuel Macron in Paris on Monday, and Jean-Claude O'Neill-Müller in Saint-Étienne.",
    "none": "there is nothing to be found here, at all.",
    "adjacent": "Berlin Paris London John Mary Google Microsoft",
    "unknown": "王小明 lives in 北京 and works for 🤗 Inc.",
    "subwords": "Wolfeschlegelsteinhausenbergerdorff visited Llanfairpwllgwyngyll with McDonald's and AT&T.",
    "hyphens": "The Anglo-French firm Rolls-Royce/Airbus (U.K.) hired D'Artagnan-Smith in mid-2019.",
}
NER_LONG = " ".join(
    f"{name} of {firm} flew from {start} to {end} to meet the board."
    for name, firm, start, end in [
        ("Anna Schmidt", "Siemens AG", "Munich", "New York City"),
        ("Pierre Dubois", "Renault", "Lyon", "Saint Petersburg"),
        ("Maria García", "Banco Santander", "Madrid", "Rio de Janeiro"),
        ("John O'Brien", "Guinness Ltd.", "Dublin", "Los Angeles"),
        ("Kenji Watanabe", "Toyota Motor Corporation", "Nagoya", "Johannesburg"),
    ]
    * 4
)
NER_WORDS = [
    ["Anna", "Schmidt", "lives", "in", "New", "York", "City", "."],
    ["Jean-Claude", "works", "at", "AT&T", "Inc.", "in", "Zürich"],
    ["one"],
]
NER_INPUTS: dict[str, Any] = {
    **TEXTS,
    **NER_TEXTS,
    "long": NER_LONG,
    **{f"words {index}": words for index, words in enumerate(NER_WORDS)},
}
NER_STRATEGIES = ("none", "simple", "first", "average", "max")
NER_IGNORE: tuple[list[str], ...] = ([], ["O", "I-LOC", "LOC"])

QA_CONTEXTS = {
    "docs": "\nExtractive Question Answering is the task of extracting an answer from a text given a question. An "
    "example of a\nquestion answering dataset is the SQuAD dataset, which is entirely based on that task. If you would "
    "like to fine-tune\na model on a SQuAD task, you may leverage the "
    "examples/pytorch/question-answering/run_squad.py script.\n",
    "short": "HuggingFace was founded in Paris.",
    "repository": "The name of the repository is huggingface/transformers",
    "people": "Anna Schmidt lives in Berlin and works for Siemens. Her brother Tom moved to Zürich in 2014, where he "
    "sells 1,500 books a year. Their mother, Eva-Maria, was born in São Paulo.",
    "emoji": "The 🤗 library has 32+ models 🎉, and the café serves Crème brûlée to José.",
    "word": "Paris",
    "long": " ".join(
        f"{name} lives in {city} and has worked as a {job} since {year}."
        for name, city, job, year in zip(
            ["Anna", "Bob", "Carla", "David", "Eve", "Frank", "Gina", "Hugo", "Ida", "Jack"] * 9,
            ["Berlin", "Paris", "Rome", "Oslo", "Lima", "Cairo", "Tokyo"] * 13,
            ["baker", "teacher", "pilot", "nurse", "farmer", "judge"] * 15,
            map(str, range(1930, 2020)),
            strict=False,
        )
    ),
}
QA_QUESTIONS = (
    "Where does Anna live?",
    "Who moved to Zürich?",
    "What is the name of the repository?",
    "How many books does he sell?",
    "Where was HuggingFace founded ?",
    "?",
)
QA_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"top_k": 3},
    {"top_k": 5, "align_to_words": False},
    {"handle_impossible_answer": True},
    {"top_k": 4, "handle_impossible_answer": True, "max_answer_len": 3},
    {"max_seq_len": 64, "doc_stride": 16},
    {"max_seq_len": 100, "doc_stride": 40, "top_k": 3, "handle_impossible_answer": True},
    {"max_seq_len": 48, "doc_stride": 0, "max_answer_len": 30, "top_k": 2},
)
# Seeds of the noise added to a checkpoint's weights: None is the checkpoint as it is, the others answer at random,
# so that sub-words of one word disagree and the best spans are anywhere.
NOISE: tuple[int | None, ...] = (None, 1)


def perturb(model: Any, seed: int | None) -> None:
    """Add seeded noise to the weights of a torch model; the same in every environment."""
    if seed is None:
        return
    import numpy as np
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = rng.standard_normal(tuple(parameter.shape), dtype=np.float32)
            parameter.add_(torch.from_numpy(noise * 0.15))
