"""The speech recognition pipeline around a Whisper-shaped model whose texts stand in a table."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.speech.whisper_bundle import RATE, make_whisper
from torchless import pipeline
from torchless.errors import BundleError, InputError, OptionError

WORDS = (" one", " two", " drei", "一")
# After each token what comes; a window has one segment of 0.6 s, then nothing until its end.
SAYS = {
    "<|startoftranscript|>": {"<|en|>": 2.0, "<|de|>": 0.0, "<|zh|>": -9.0},
    "<|en|>": {"<|notimestamps|>": 0.0, "<|0.00|>": 0.0},
    "<|de|>": {"<|0.00|>": 0.0},
    "<|zh|>": {"<|0.00|>": 0.0},
    "<|transcribe|>": {"<|0.00|>": 0.0},
    "<|translate|>": {" drei": 0.0, "<|0.00|>": 0.0},
    "<|notimestamps|>": {" one": 0.0},
    "<|0.00|>": {" one": 0.0},
    " one": {" two": 0.0},
    " two": {",": 0.0},
    " drei": {"<|endoftext|>": 0.0},
    ",": {"<|endoftext|>": 0.0, "<|0.60|>": 5.0},
    "<|0.60|>": {"<|endoftext|>": 0.0},
}


def tone(*frequencies: float, seconds: float = 0.2, gain: float = 0.3) -> np.ndarray:
    time = np.arange(int(RATE * seconds)) / RATE
    return np.concatenate([gain * np.sin(2 * np.pi * one * time) for one in frequencies]).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bands = {"<|0.00|>": 0, " one": 1, " two": 2, ",": 2}
    return make_whisper(tmp_path, SAYS, words=WORDS, bands=bands)


def transcriber(folder: Path, **options: Any) -> Any:
    return pipeline("automatic-speech-recognition", folder, **options)


def test_text(folder: Path) -> None:
    assert transcriber(folder)(tone(300)) == {"text": " one two,"}


def test_segments(folder: Path) -> None:
    answer = transcriber(folder)(tone(300), return_timestamps=True)
    assert answer == {"text": " one two,", "chunks": [{"text": " one two,", "timestamp": (0.0, 0.6)}]}


def test_words_begin_where_their_tones_do(folder: Path) -> None:
    answer = transcriber(folder)(tone(300, 1000, 2500), return_timestamps="word")
    assert [chunk["text"] for chunk in answer["chunks"]] == [" one", " two,"]
    found = np.array([chunk["timestamp"] for chunk in answer["chunks"]])
    np.testing.assert_allclose(found[:, 0], [0.0, 0.2], atol=0.03)
    assert found[0, 1] == found[1, 0]


def test_a_language_is_found_out_told_and_given(tmp_path: Path) -> None:
    loud = make_whisper(tmp_path, SAYS, words=WORDS, loud={"<|de|>": 10.0})
    transcribe = transcriber(loud, return_language=True)
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.3
    assert transcribe(noise)["chunks"] == [{"text": " one two,", "language": "german"}]
    assert transcribe(np.zeros(RATE, dtype=np.float32))["chunks"][0]["language"] == "english"
    assert transcribe(noise, language="en")["chunks"][0]["language"] == "english"
    both = transcribe([noise, np.zeros(RATE, dtype=np.float32)])
    assert [answer["chunks"][0]["language"] for answer in both] == ["german", "english"]


def test_a_recording_longer_than_a_window(folder: Path) -> None:
    transcribe = transcriber(folder)
    sound = tone(*[300] * 12)  # 2.4 s: three windows
    with pytest.raises(InputError, match="more than 1 s"):
        transcribe(sound)
    answer = transcribe(sound, return_timestamps=True)
    assert [chunk["timestamp"] for chunk in answer["chunks"]] == [(0.0, 0.6), (1.0, 1.6), (2.0, 2.6)]
    chunks = transcribe(sound, chunk_length_s=1, stride_length_s=0.1)
    assert chunks["text"] == " one two,"  # all chunks say the same, and overlap


def test_recordings_of_any_kind_in_order(folder: Path, tmp_path: Path) -> None:
    transcribe = transcriber(folder, return_timestamps=True)
    sounds = [tone(300), tone(*[300] * 8), {"raw": tone(300), "sampling_rate": RATE}]
    answers = transcribe(iter(sounds))
    assert iter(answers) is answers
    assert [len(answer["chunks"]) for answer in answers] == [1, 2, 1]
    assert transcribe([]) == []


def test_a_live_window_hands_back_what_came_with_it(folder: Path) -> None:
    window = {"raw": tone(300), "sampling_rate": RATE, "stride": (160, 0), "partial": True}
    (answer,) = transcriber(folder, batch_size=1)(iter([window]))
    assert answer == {"text": " one two,", "partial": [True]}
    assert "stride" in window  # the input is not changed
    with pytest.raises(InputError, match="stride must be two"):
        transcriber(folder)({**window, "stride": 3})


def test_silence_and_the_shortest_recording(folder: Path) -> None:
    transcribe = transcriber(folder)
    assert transcribe(np.zeros(RATE, dtype=np.float32))["text"] == " one two,"
    for timestamps in (None, True, "word"):
        assert transcribe(np.zeros(1, dtype=np.float32), return_timestamps=timestamps)["text"] == " one two,"
    with pytest.raises(InputError):
        transcribe(np.zeros(0, dtype=np.float32))
    with pytest.raises(InputError):
        transcribe(np.full(RATE, np.nan, dtype=np.float32))


def test_a_task_and_a_prompt(folder: Path) -> None:
    transcribe = transcriber(folder)
    assert transcribe(tone(300), task="transcribe", language="de")["text"] == " one two,"
    assert transcribe(tone(300), prompt="a b", generate_kwargs={"num_beams": 2})["text"] == " one two,"
    with pytest.raises(OptionError, match="special token"):
        transcribe(tone(300), prompt="a <|en|> b")
    with pytest.raises((OptionError, InputError), match=r"positions|no room"):
        transcribe(tone(300), prompt="a much too long prompt")


def test_a_failed_window_is_tried_again_and_skipped_where_it_is_silent(tmp_path: Path) -> None:
    says = {**SAYS, "<|0.00|>": {" one": 0.0, " drei": -0.1}}
    says["<|startoftranscript|>"] = {"<|en|>": 2.0, "<|nospeech|>": 1.0}
    transcribe = transcriber(make_whisper(tmp_path, says, words=WORDS), return_timestamps=True)
    sure = {"logprob_threshold": -5.0, "no_speech_threshold": 0.2}
    assert transcribe(tone(300), **sure)["text"] == " one two,"
    assert transcribe(tone(300), logprob_threshold=-0.01, no_speech_threshold=0.2) == {"text": "", "chunks": []}
    assert transcribe(tone(300), logprob_threshold=-0.01, no_speech_threshold=0.5)["text"] == " one two,"
    retried = {"temperature": (0.0, 1.0), "logprob_threshold": -0.01}
    texts = {transcribe(tone(300), seed=seed, **retried)["text"] for seed in range(12)}
    assert texts == {" one two,", " drei"}
    same = {transcribe(tone(300), seed=3, **retried)["text"] for _ in range(3)}
    assert len(same) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 4}, "beam_width is for CTC"),
        ({"return_timestamps": "char"}, "not of characters"),
        ({"return_timestamps": "sentence"}, "return_timestamps must be"),
        ({"language": "klingon"}, "no such language"),
        ({"language": "french"}, "does not know it"),
        ({"task": "summarize"}, "task must be"),
        ({"chunk_length_s": 2}, "more than the 1 s"),
        ({"chunk_length_s": -1}, "at least 0"),
        ({"stride_length_s": 0.1}, "no effect without"),
        ({"chunk_length_s": 1, "stride_length_s": 0.5}, "leave nothing"),
        ({"no_speech_threshold": 0.5}, "needs logprob_threshold"),
        ({"prompt_condition_type": "all-segments", "prompt": "a"}, "needs condition_on_prev_tokens"),
        ({"prompt_condition_type": "none"}, "must be one of"),
        ({"prompt": "a", "prompt_ids": [1]}, "give one of them"),
        ({"prompt_ids": [[1]]}, "must be token ids"),
        ({"num_return_sequences": 2, "num_beams": 2}, "a recording has one text"),
        ({"do_sample": True}, "contradicts temperature"),
        ({"temperature": "hot"}, "must be a finite number"),
        ({"temperature": []}, "not an empty list"),
        ({"top_p": 0.5}, "no effect without"),
        ({"num_segment_frames": 50}, "must be 100"),
        ({"generate_kwargs": {"langauge": "de"}}, "no generation option 'langauge'"),
        ({"generate_kwargs": {"language": "de"}, "language": "de"}, "given twice"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_options_that_cannot_be_met(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        transcriber(folder)(tone(300), **options)


@pytest.mark.parametrize(
    ("generation", "options", "message"),
    [
        ({"is_multilingual": False}, {"language": "en"}, "this one knows English"),
        ({"lang_to_id": None}, {"language": "en"}, "lang_to_id"),
        ({"task_to_id": None}, {"task": "translate"}, "task_to_id"),
        ({"alignment_heads": None}, {"return_timestamps": "word"}, "alignment_heads"),
        ({"no_timestamps_token_id": None}, {"return_timestamps": True}, "no_timestamps_token_id"),
    ],
)
def test_checkpoints_that_do_not_say_what_is_needed(
    tmp_path: Path, generation: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    folder = make_whisper(tmp_path, SAYS, words=WORDS, generation=generation)
    with pytest.raises(OptionError, match=message):
        transcriber(folder)(tone(300), **options)


def test_an_english_model(tmp_path: Path) -> None:
    says = {**SAYS, "<|startoftranscript|>": {"<|0.00|>": 0.0}}
    known = {"is_multilingual": False, "lang_to_id": None, "task_to_id": None}
    transcribe = transcriber(make_whisper(tmp_path, says, words=WORDS, generation=known))
    assert transcribe(tone(300)) == {"text": " one two,"}
    assert transcribe(tone(300), return_timestamps=True)["chunks"][0]["timestamp"] == (0.0, 0.6)


def test_first_tokens_of_old_checkpoints(tmp_path: Path) -> None:
    forced = {"forced_decoder_ids": [[1, None], [2, 266]]}
    folder = make_whisper(tmp_path, SAYS, words=WORDS, generation=forced)
    assert transcriber(folder)(tone(300))["text"] == " one two,"
    wrong = make_whisper(tmp_path, SAYS, words=WORDS, generation={"forced_decoder_ids": [[1, 262], [3, 266]]})
    with pytest.raises(OptionError, match="not numbered"):
        transcriber(wrong)(tone(300))


def test_a_configuration_that_is_no_whisper(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path, SAYS, words=WORDS, max_target_positions=None)
    with pytest.raises(BundleError, match="do not describe a Whisper model"):
        transcriber(folder)


def test_pickled(folder: Path) -> None:
    transcribe = pickle.loads(pickle.dumps(transcriber(folder, return_timestamps=True)))
    assert transcribe(tone(300))["chunks"][0]["timestamp"] == (0.0, 0.6)
