"""Inputs that are made from a bundle alone: exactly as long as asked for, for every task."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.factories import make_bundle, write_tokenizer
from tests.runtime.generation_factories import make_causal, make_seq2seq
from tests.runtime.image_factories import make_classifier
from tests.runtime.speech.ctc_bundle import make_ctc
from tests.runtime.speech.whisper_bundle import make_whisper
from torchless import Bundle, Settings, Tokenizer, tasks
from torchless.bench import media, texts
from torchless.bench.job import Job
from torchless.bench.workload import Shape, Workload
from torchless.errors import InputError, OptionError
from torchless.pipelines import PIPELINES

WORDS = "this example is a day in the night . fine bread water stone tree bird".split()


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_task_has_a_kind(task: str, tmp_path: Path) -> None:
    workload = Workload(Bundle(make_causal(tmp_path, {"a": {"a": 1}})), task)
    assert (workload.kind == "text") == PIPELINES[task].reads_text
    assert workload.generates == hasattr(PIPELINES[task], "encoder_decoder")


def text_bundle(folder: Path, task: str) -> Bundle:
    width = 2 if task == "question-answering" else 3
    words = dict.fromkeys((*WORDS, "[MASK]"), (0.0,) * width)
    labels = ("contradiction", "neutral", "entailment") if task == "text-classification" else ()
    return Bundle(make_bundle(folder, task, words, labels, words=WORDS, max_length=64))


@pytest.mark.parametrize("length", [8, 9, 16, 33, 64])
@pytest.mark.parametrize("task", ["text-classification", "token-classification", "fill-mask", "feature-extraction"])
def test_texts_are_as_long_as_asked_for(tmp_path: Path, task: str, length: int) -> None:
    bundle = text_bundle(tmp_path, task)
    work = Workload(bundle, task).work(Shape(3, length=length))
    for batch in work.batches:
        assert len(batch) == 3
        rows = bundle.tokenizer.encode(batch, truncation=None)
        assert [len(row) for row in rows] == [length] * 3
        assert all(row.ids.count(bundle.tokenizer.ids["mask"]) == (task == "fill-mask") for row in rows)
        assert bundle.tokenizer.ids["unk"] not in {token for row in rows for token in row.ids}
    assert len({text for batch in work.batches for text in batch}) > 3
    assert (set(work.amounts), work.rows) == ({3 * length}, 1)


@pytest.mark.parametrize("length", [6, 8, 40, 64])
def test_questions(tmp_path: Path, length: int) -> None:
    bundle = text_bundle(tmp_path, "question-answering")
    work = Workload(bundle, "question-answering").work(Shape(2, length=length))
    for item in work.batches[0]:
        (row,) = bundle.tokenizer.encode([(item["question"], item["context"])], truncation=None)
        assert len(row) == length
    assert work.options == {"max_seq_len": length}


def test_candidates_make_rows_of_one_length(tmp_path: Path) -> None:
    bundle = text_bundle(tmp_path, "text-classification")
    work = Workload(bundle, "zero-shot-classification").work(Shape(2, length=20))
    labels = work.options["candidate_labels"]
    pairs = [(text, f"This example is {label}.") for text in work.batches[0] for label in labels]
    assert {len(row) for row in bundle.tokenizer.encode(pairs, truncation=None)} == {20}
    assert (work.rows, set(work.amounts)) == (len(labels), {2 * len(labels) * 20})


@pytest.mark.parametrize(("task", "length"), [("text-classification", 65), ("text-classification", 2)])
def test_lengths_that_the_model_has_no_room_for(tmp_path: Path, task: str, length: int) -> None:
    with pytest.raises(InputError, match=f"{length} tokens"):
        Workload(text_bundle(tmp_path, task), task).work(Shape(1, length=length))


def causal(folder: Path, **settings: Any) -> Bundle:
    return Bundle(make_causal(folder, {word: {"a": 1.0} for word in "abcdef"}, **settings))


def counted(job: Job) -> tuple[int, int, float | None]:
    call = job.open()()
    return call.tokens, len(call.token_ms), call.first_token_ms


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("task", ["text-generation", "summarization", "text2text-generation"])
def test_as_many_tokens_as_asked_for(tmp_path: Path, task: str, batch: int, beams: int) -> None:
    """Also where the model would end at once: what follows every token is the end."""
    followers = {word: {"</s>": 5.0, "b": 1.0} for word in ("<s>", *"abcdef")}
    make = make_causal if task == "text-generation" else make_seq2seq
    bundle = Bundle(make(tmp_path, followers))
    work = Workload(bundle, task).work(Shape(batch, length=9, new_tokens=7, beams=beams))
    job = Job(tmp_path, work.task, "auto", Settings(threads=1), batch, work.options, work.batches, work.amounts, beams)
    tokens, steps, first = counted(job)
    assert (tokens, steps) == (7 * batch, 6), "one batch, its steps not one by one"
    assert first is not None
    assert first > 0


def test_room_for_what_is_generated(tmp_path: Path) -> None:
    bundle = causal(tmp_path)
    bundle.tokenizer.max_length = 20
    workload = Workload(bundle, "text-generation")
    assert len(workload.work(Shape(1, length=12, new_tokens=8, beams=1)).batches[0]) == 1
    with pytest.raises(InputError, match="20 positions, of which 9 are for what follows"):
        workload.work(Shape(1, length=12, new_tokens=9, beams=1))
    assert Workload(bundle, "next-token").room(None) == 19


def test_sounds(tmp_path: Path) -> None:
    bundle = Bundle(make_ctc(tmp_path))
    workload = Workload(bundle, "automatic-speech-recognition")
    work = workload.work(Shape(2, seconds=1.5))
    rate = bundle.feature_extractor.sampling_rate
    assert [clip.shape for clip in work.batches[0]] == [(round(1.5 * rate),)] * 2
    assert not np.array_equal(*work.batches[0])
    assert (work.amounts, work.options) == ((3.0,), {})
    assert not workload.generates


def test_sound_beyond_whispers_window(tmp_path: Path) -> None:
    bundle = Bundle(make_whisper(tmp_path, {}))
    workload = Workload(bundle, "automatic-speech-recognition")
    assert workload.generates
    shape = Shape(1, seconds=1.0, new_tokens=4, beams=1)
    assert "return_timestamps" not in workload.work(shape).options
    longer = Shape(1, seconds=2.5, new_tokens=4, beams=1)
    assert workload.work(longer).options["return_timestamps"] is True
    for one in (shape, longer):
        work = workload.work(one)
        tokens, steps, first = counted(
            Job(tmp_path, work.task, "auto", Settings(threads=1), 1, work.options, work.batches, work.amounts)
        )
        assert tokens >= 4
        assert steps < tokens
        assert first is not None


def test_pictures(tmp_path: Path) -> None:
    bundle = Bundle(make_classifier(tmp_path))
    workload = Workload(bundle, "image-classification")
    shape = workload.complete(Shape(3))
    assert shape.size == (4, 6), "what the processor makes of a picture: (height, width)"
    assert [picture.shape for picture in workload.work(shape).batches[0]] == [(4, 6, 3)] * 3


def test_inputs_of_the_callers(tmp_path: Path) -> None:
    bundle = text_bundle(tmp_path, "text-classification")
    given = ["fine day", {"text": "a bird", "text_pair": "a tree"}, "water"]
    workload = Workload(bundle, "text-classification", given)
    shape = workload.complete(Shape(2))
    assert shape.length == round((4 + 7 + 3) / 3)
    work = workload.work(shape)
    assert work.batches == ([given[0], given[1]], [given[2], given[0]])
    assert work.amounts == (4 + 7, 3 + 4)


def test_what_is_cut_of_an_input_is_not_read(tmp_path: Path) -> None:
    workload = Workload(text_bundle(tmp_path, "text-classification"), "text-classification", ["fine day " * 1000])
    assert workload.limit is not None
    assert workload.complete(Shape(1)).length == workload.limit
    assert workload.work(Shape(1)).amounts == (workload.limit,)


def test_recordings_of_the_callers(tmp_path: Path) -> None:
    workload = Workload(Bundle(make_ctc(tmp_path)), "automatic-speech-recognition", [np.zeros(100), np.zeros(300)])
    assert workload.complete(Shape(1)).seconds == 2.0
    assert workload.work(workload.complete(Shape(4))).amounts == (8.0,)
    assert workload.work(workload.complete(Shape(1))).amounts == (1.0, 3.0)


def test_pictures_of_the_callers(tmp_path: Path) -> None:
    bundle = Bundle(make_classifier(tmp_path))
    same, other = np.zeros((8, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    assert Workload(bundle, "image-classification", [same, same]).complete(Shape(1)).size == (8, 9)
    assert Workload(bundle, "image-classification", [same, other]).complete(Shape(1)).size is None


def test_inputs_that_are_none(tmp_path: Path) -> None:
    bundle = text_bundle(tmp_path, "text-classification")
    with pytest.raises(OptionError, match="no inputs"):
        Workload(bundle, "text-classification", [])
    with pytest.raises(InputError, match="not int"):
        Workload(bundle, "text-classification", [3])


def test_a_vocabulary_of_characters(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    backend = Backend(models.WordLevel({"<unk>": 0, "a": 1, "b": 2, "c": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.save(str(tmp_path / "tokenizer.json"))
    words = texts.Words(Tokenizer(tmp_path))
    text = texts.exact(words.tokenizer, 12, lambda count: words.joined(count, random.Random(0)))
    assert len(text) == 12


def test_a_tokenizer_without_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no words of one token"):
        texts.Words(Tokenizer(write_tokenizer(tmp_path, [])))


def test_languages_of_a_translation(tmp_path: Path) -> None:
    pairs = {"translation_en_to_fr": {"prefix": "translate English to French: "}, "summarization": {}}
    bundle = Bundle(make_seq2seq(tmp_path, {"a": {"b": 1.0}}))
    bundle.config["task_specific_params"] = pairs
    work = Workload(bundle, "translation").work(Shape(1, length=6, new_tokens=2, beams=1))
    assert (work.options["src_lang"], work.options["tgt_lang"], work.options["prefix"]) == ("en", "fr", "")
    named = Workload(bundle, "translation_en_to_fr").work(Shape(1, length=6, new_tokens=2, beams=1))
    assert named.task == "translation_en_to_fr"
    assert "src_lang" not in named.options


def test_published_tokenizers(shared_data: Path) -> None:
    """Texts of exact lengths by the words of real vocabularies of each kind."""
    tried = 0
    for path in sorted((shared_data / "tokenizers").glob("*/tokenizer.json")):
        if path.parent.name not in ("bert-base-cased", "gpt2", "t5"):
            continue
        tokenizer = Tokenizer(path.parent)
        words, chance = texts.Words(tokenizer), random.Random(0)
        for length in (8, 500):
            text = texts.exact(tokenizer, length, lambda count, words=words, chance=chance: words.joined(count, chance))
            assert len(tokenizer.encode([text], truncation=None)[0]) == length, path
        tried += 1
    assert tried == 3


def test_a_sound_is_no_silence() -> None:
    samples = media.sound(0.5, 8000, 1)
    assert samples.dtype == np.float32
    assert samples.shape == (4000,)
    assert 0.01 < np.sqrt((samples**2).mean()) < 0.5
    assert np.abs(samples).max() < 1


def test_nothing_warns(tmp_path: Path) -> None:
    """Texts are not cut, options not idle."""
    bundle = text_bundle(tmp_path, "text-classification")
    work = Workload(bundle, "text-classification").work(Shape(2, length=64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Job(tmp_path, work.task, "auto", Settings(threads=1), 2, work.options, work.batches, work.amounts).open()()
