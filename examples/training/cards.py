"""The model cards of the checkpoints."""

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedConfig, PreTrainedModel

from .evaluate import Metrics


class Card(NamedTuple):
    """What a model card says beyond the numbers."""

    task: str
    what: str
    data: str
    split: str
    limits: str
    languages: tuple[str, ...] = ("en",)


CARDS = {
    "sentiment": Card(
        "text-classification",
        "Tells whether a short English opinion is NEGATIVE or POSITIVE.",
        "Opinions about films, food, hotels, products and people, made from templates, hand-written word "
        "lists and the polarity words of vaderSentiment's lexicon (MIT): with negation, contrast, typing "
        "errors and neutral sentences.",
        "Templates that training never uses; the words are those of training.",
        "Irony, long reviews, and words outside its lists.",
    ),
    "nli": Card(
        "zero-shot-classification",
        "Tells whether a text entails a second one, contradicts it, or neither (neutral); also classifies"
        ' a text by topics given at run time, with hypotheses such as "This example is sports."',
        "Statements with their paraphrases, opposites and unrelated additions, captions of scenes, and "
        "texts about 30 topics, made from hand-written templates and word lists and from Faker's names "
        "(MIT).",
        "Pairs: phrasings of premise and hypothesis that training never pairs. Topics: sentence frames "
        "that training never uses, for the topic words of training.",
        "It knows few words: judge it on the topics and kinds of statements it was made for.",
    ),
    "qa": Card(
        "question-answering",
        "Finds the answer to an English question in a text, or tells (with an empty answer) that the text has none.",
        "Texts of 1 to 10 facts about people, companies, places, events and things (1 to 12 in the evaluation), "
        "made from hand-written templates, Faker's names (MIT) and invented names; some 15 % of the questions have no "
        "answer in the text.",
        "Names of people, places and companies that training never uses.",
        "Questions must be worded much as the fact is; it is no reader of newspapers.",
    ),
    "fill-mask": Card(
        "fill-mask",
        "Guesses the masked word of a simple English sentence.",
        "Hand-written facts of the world and of daily life (capitals, languages, colours, animals, jobs, "
        "tools, days, small sums), each said in several ways.",
        "Sentences that training never sees; each fact is seen in other wordings.",
        "It knows some 700 facts and no more of the language than they need.",
    ),
    "ner": Card(
        "token-classification",
        "Labels people, organisations, places and other names in English text, with CoNLL's BIO labels.",
        "Sentences made from hand-written templates, Faker's names of 28 locales (MIT), hand-written "
        "names of the real world, and invented names.",
        "Both templates and names of people, cities and companies that training never uses.",
        "A name in an unusual sentence may be missed or cut in pieces, and what fits two types is often mistaken.",
    ),
    "translate": Card(
        "translation",
        "Translates simple English sentences to German and German ones to English, after T5's prefixes "
        "`translate English to German: ` and `translate German to English: `.",
        "Pairs of sentences of a hand-written grammar of some 250 words: gender, case and number, adjective endings, "
        "word order, perfect, future and modal verbs, negation, questions, subordinate clauses; Faker's given names "
        "(MIT).",
        "Sentences with a pair of words (a verb and its object, or an adjective and its noun) that training never "
        "brings together; a part of the given names in them is new, too. Decoded greedily.",
        "It knows the words and the sentences of its grammar; anything else comes out as something of its grammar.",
        ("en", "de"),
    ),
    "story": Card(
        "text-generation",
        "Goes on with a short story for children, true to the names and things that it began with.",
        "Stories of a hand-written grammar: seven kinds of some nine sentences, each said in several ways, with "
        "Faker's given names (MIT).",
        "Stories with names of heroes and friends, and combinations of facts, that training never uses. Consistent: of "
        "the continuations of three stages of a story, the share that ends, is wholly of the grammar, and never "
        "contradicts itself (names, pronouns, things, places); greedy, and sampled at temperature 1.",
        "It can tell seven stories; other beginnings soon turn into one of them. A name that it never saw may change "
        "midway: with the names of training, 57 of 60 greedy stories were consistent.",
    ),
    "summary": Card(
        "summarization",
        "Sums up a short piece of news in one sentence.",
        "News of three to seven sentences, of twelve kinds (fires, elections, thefts, ...), made from hand-written "
        "templates and Faker's names (MIT). What the summary says is spread over the text, in several wordings, among "
        "details that it leaves out.",
        "News with names of people, towns and companies, and combinations of wordings, that training never uses. "
        "Exact match is of the whole summary; decoded with 4 beams, as its generation_config.json says.",
        "It knows its twelve kinds of news and makes one of them out of anything; a rare name may be misspelt.",
    ),
    "keywords": Card(
        "audio-classification",
        "Hears which of ten English words (yes, no, up, down, left, right, on, off, stop, go) is said in a second of "
        "sound; another word is `_unknown_`, and none `_silence_`.",
        "Words spoken by espeak-ng in six accents and some fifty voices, at many speeds and pitches, with noise, echo "
        "and other microphones.",
        "Voices, speeds, pitches, two accents and unknown words that training never uses, in the same kinds of noise.",
        "It has never heard a person: on recordings of people it is often wrong. Clips of one second are its measure. "
        "Sound of 8 kHz has lost much of an s: a `stop` may become `up`.",
    ),
    "commands": Card(
        "automatic-speech-recognition",
        "Writes down simple English sentences: orders to a house, trains and times, numbers and colours.",
        "Sentences of a hand-written grammar of some 150 words, spoken by espeak-ng in six accents and some fifty "
        "voices, at many speeds and pitches, with noise, echo and other microphones.",
        "Sentences, voices, speeds, pitches and two accents that training never uses. Greedy decoding.",
        "A third of the words is misspelt, most often by one letter; more training would help. It has never heard a "
        "person, and knows no other words: what it writes of others is spelt after their sound.",
    ),
    "shapes": Card(
        "image-classification",
        "Tells the colour and the shape of the one thing in a drawn picture, such as `red circle`.",
        "Pictures drawn by Pillow: six shapes in eight colours, of any size, place and turn, on plain, graded, "
        "striped or speckled ground of any other colour, blurred and with noise.",
        "Pictures with pairs of a shape's colour and a ground's nearest colour that training never brings together.",
        "It knows no photographs, and one thing at a time.",
    ),
}


def _answers(task: str, config: PreTrainedConfig) -> str:
    """How many things a model of the task can say."""
    if task in ("audio-classification", "image-classification"):
        return f"{config.num_labels} labels"
    return f"vocabulary {config.vocab_size:,}"


def write_card(name: str, model: PreTrainedModel, metrics: Metrics, folder: Path) -> None:
    """Write the README.md of a checkpoint."""
    card, config = CARDS[name], model.config
    numbers = "\n".join(
        f"| {key.replace('_', ' ')} | {f'{value:.3f}' if isinstance(value, float) else f'{value:,}'} |"
        for key, value in metrics.items()
    )
    languages = card.languages[0] if len(card.languages) == 1 else f"[{', '.join(card.languages)}]"
    (folder / "README.md").write_text(f"""---
license: apache-2.0
language: {languages}
pipeline_tag: {card.task}
---

# {name}

{card.what}

A small {type(model).__name__}: {config.num_hidden_layers} layers, {config.num_attention_heads} heads,
width {config.hidden_size}, {_answers(card.task, config)}, {metrics["parameters"]:,} parameters stored as float16.
Trained from scratch with `python -m examples.training {name}`.

## Data

{card.data}

## Evaluation

{card.split} Computed in float32 from the stored weights.

| metric | value |
| --- | --- |
{numbers}

## Limits

{card.limits} It is an example for software, not for decisions about people.
""")
