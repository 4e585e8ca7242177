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
STORIES = {
    "opening": "Once upon a time there was a girl named Amelia. Her favourite toy was a red kite.",
    "cut": "There was a little boy called Tom. One Monday he wanted to",
    "one word": "Grace",
    "space": "One day she ",
    "empty": "",
    "unknown": "Zürich 🤗 東京",
    "special": "</s> and <s> she",
    "newline": "He was sad.\nThen",
}
NEWS = {
    "fire": "On Friday there was a fire in a hotel in Brighton. It took three hours to put out the flames. The fire "
    "injured two people. The cause was an old heater, as the fire service said.",
    "vote": "The people of Milford chose a new mayor on Sunday. The votes were counted until midnight. 63 percent "
    "voted for Emma Clark. Martin Wood came second.",
    "theft": "Thieves broke into a villa in Oxford on Monday. A gold ring is missing.",
    "short": "Snow fell.",
    "empty": "",
    "unknown": "Zürich 🤗 東京 -- naïve café.",
    "long": "On Monday a bus hit a tree in Oxford. Nobody was hurt. The police said that the road was wet. " * 16,
}
ENGLISH = {
    "apples": "The old woman bought three red apples yesterday.",
    "question": "Why does your brother not want to help the neighbour?",
    "clause": "I know that Anna will give the child a new book.",
    "word": "dog",
    "empty": "",
    "unknown": "Zürich 🤗 東京!",
    "long": "Every morning she drinks hot coffee in the kitchen. " * 12,
}
GERMAN = {
    "dog": "Der kleine Junge hat den Hund nicht gesehen.",
    "clause": "Morgen werden wir meinen Onkel besuchen, weil er müde ist.",
    "word": "Äpfel",
}
_GREEDY: dict[str, Any] = {"do_sample": False}
_SHORT = {**_GREEDY, "max_new_tokens": 24}
_STORY_OPTIONS: tuple[dict[str, Any], ...] = (
    {**_GREEDY, "max_length": 60},
    _SHORT,
    {**_SHORT, "return_full_text": False},
    {**_SHORT, "num_beams": 3, "num_return_sequences": 2},
    {**_SHORT, "num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "min_new_tokens": 20},
    {**_SHORT, "return_tensors": True},
    {**_SHORT, "prefix": "One day. "},
    {**_SHORT, "repetition_penalty": 1.4, "no_repeat_ngram_size": 3},
    {**_SHORT, "skip_special_tokens": False, "add_special_tokens": False},
)
_SUMMARY_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 1},
    {"max_length": 12, "min_length": 5},
    {"max_new_tokens": 12, "num_beams": 3, "num_return_sequences": 3},
    {"min_length": 20, "max_length": 30, "no_repeat_ngram_size": 2, "length_penalty": 0.8, "early_stopping": "never"},
    {"return_tensors": True, "early_stopping": False, "encoder_no_repeat_ngram_size": 3},
)
_TRANSLATION_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 1, "return_tensors": True},
    {"num_beams": 5, "num_return_sequences": 2, "max_new_tokens": 20},
    {"max_length": 10, "length_penalty": 0.0, "repetition_penalty": 1.3},
)
# Checkpoint, name of the task, inputs, options.
GENERATION: tuple[tuple[str, str, dict[str, str], tuple[dict[str, Any], ...]], ...] = (
    ("story", "text-generation", STORIES, _STORY_OPTIONS),
    ("summary", "summarization", NEWS, _SUMMARY_OPTIONS),
    ("summary", "text2text-generation", NEWS, _SUMMARY_OPTIONS[:2]),
    ("translate", "translation_en_to_de", ENGLISH, _TRANSLATION_OPTIONS),
    ("translate", "translation_de_to_en", GERMAN, _TRANSLATION_OPTIONS),
    ("translate", "translation", ENGLISH, _TRANSLATION_OPTIONS[:1]),
    ("translate", "text2text-generation", ENGLISH, _TRANSLATION_OPTIONS[:2]),
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
