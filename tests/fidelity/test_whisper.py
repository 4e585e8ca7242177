"""Whisper against recorded answers of transformers 4.57.6: the same texts, segments and words at the same times."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from torchless import Bundle, pipeline
from torchless.speech.whisper_settings import WhisperSettings
from torchless.speech.whisper_text import Heard, Transcript, WhisperVocabulary

from . import cases, whisper_cases

pytestmark = pytest.mark.export

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "tokenizers" / "whisper"


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    from torchless.export import export

    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "bundle-whisper"
    with FileLock(shared / "bundle-whisper.lock"):
        if not folder.exists():
            checkpoint = shared / "checkpoint-whisper"
            checkpoint.mkdir(exist_ok=True)
            export(str(whisper_cases.save(checkpoint)), folder)
    return folder


def recorded(call: int) -> list[dict[str, Any]]:
    content = json.loads(Path(cases.RECORDED, "whisper.json").read_text(encoding="utf-8"))
    return [case for case in content["cases"] if case["call"] == call]


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(whisper_cases.compact(answer)))
    return found


@pytest.mark.parametrize("call", range(len(whisper_cases.CALLS)))
def test_one_by_one(call: int, whisper: Path) -> None:
    sounds, options, generation = whisper_cases.CALLS[call]
    transcribe = pipeline("automatic-speech-recognition", whisper)
    found = recorded(call)
    assert [case["sound"] for case in found] == list(sounds)
    for case in found:
        answer = transcribe(whisper_cases.sound(case["sound"]), generate_kwargs=generation, **options)
        assert plain(answer) == case["answer"], case["sound"]


@pytest.mark.parametrize("call", [0, 7, 10, 20])
def test_side_by_side(call: int, whisper: Path) -> None:
    sounds, options, generation = whisper_cases.CALLS[call]
    transcribe = pipeline("automatic-speech-recognition", whisper, batch_size=4, **options)
    answers = transcribe([whisper_cases.sound(name) for name in sounds], **generation)
    assert list(map(plain, answers)) == [case["answer"] for case in recorded(call)]


def reference(kind: str, folder: Path) -> Any:
    """The checkpoint's tokenizer as transformers reads it."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(REAL if kind == "real" else folder)


def whole(tokenizer: Any, token: int) -> bool:
    return "\ufffd" not in tokenizer.decode([token])


def outputs(tokenizer: Any, first: int, rng: np.random.Generator) -> tuple[list[Heard], list[dict[str, Any]]]:
    """What may be heard in overlapping chunks or alone: texts, timestamps, and whatever else a model may write."""
    text = "Hello, world! I'm here - \"quoted\" (and) don't, well? 東京は日本の首都です。 über schön 🤗 ¿Qué?"
    # Where a text is cut in a character, versions of transformers differ.
    words = [token for token in tokenizer(text, add_special_tokens=False).input_ids if whole(tokenizer, token)]
    strided = rng.random() < 0.6
    heard, given, tokens = [], [], []
    count = int(rng.integers(1, 4))
    for place in range(count):
        tokens = tokens[-int(rng.integers(0, 9)) :] if tokens and rng.random() < 0.7 else []
        time = int(rng.integers(0, 60))
        for _ in range(rng.integers(0, 6)):
            tokens += [first + time] if rng.random() < 0.8 else []
            begin = int(rng.integers(0, len(words)))
            tokens += words[begin : begin + int(rng.integers(0, 9))]
            time = min(1500, time + int(rng.integers(0, 400)))
            tokens += [first + time] if rng.random() < 0.85 else []
        times = np.cumsum(rng.choice([0, 0.02, 0.4], len(tokens))).astype(np.float32)
        stride = (30.0, 5.0 * (place > 0), 5.0 * (place < count - 1)) if strided else None
        heard.append(Heard(list(tokens), times.tolist(), stride, "english"))
        extra = {"stride": stride} if strided else {}
        given.append({"tokens": np.array([tokens], dtype=np.int64), "token_timestamps": times[None], **extra})
    return heard, given


@pytest.mark.parametrize("kind", ["made", "real"])
def test_transcripts_of_anything(kind: str, whisper: Path, tmp_path: Path) -> None:
    if kind == "real" and not REAL.is_dir():
        pytest.skip("the published tokenizer is not there")
    bundle = Bundle.open(whisper)
    settings = WhisperSettings.read(bundle)
    tokenizer = reference(kind, whisper.parent / "checkpoint-whisper")
    tokenizer.clean_up_tokenization_spaces = False
    if kind == "real":
        for name in ("config.json", "generation_config.json", "preprocessor_config.json"):
            (tmp_path / name).write_bytes((whisper / name).read_bytes())
        (tmp_path / "tokenizer.json").write_bytes((REAL / "tokenizer.json").read_bytes())
        (tmp_path / "onnx").mkdir()
        for name in ("encoder_model.onnx", "decoder_model.onnx"):
            (tmp_path / "onnx" / name).symlink_to(whisper / "onnx" / name)
        bundle = Bundle.open(tmp_path)
    vocabulary = WhisperVocabulary(bundle, settings)
    vocabulary.end = tokenizer.eos_token_id
    vocabulary._clean_up = False  # transformers 5 cleans up no byte-pair encodings any more
    rng = np.random.default_rng(4)
    for _ in range(120):
        heard, given = outputs(tokenizer, vocabulary.timestamps_from, rng)
        for timestamps in (None, True, "word"):
            text, more = tokenizer._decode_asr(
                [dict(one) for one in given], return_timestamps=timestamps, return_language=False, time_precision=0.02
            )
            transcript = Transcript(vocabulary, timestamps, False, 0.02, 1500)
            for one in heard:
                transcript.add(one)
            assert transcript.result() == {"text": text, **more}


def test_words_of_a_language_without_spaces(whisper: Path) -> None:
    from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

    from torchless.speech.whisper_words import split_words

    tokenizer = reference("made", whisper.parent / "checkpoint-whisper")
    tokens = tokenizer("東京は「日本」です。 well, 今日 (über) 🤗!", add_special_tokens=False).input_ids
    for language in ("japanese", "german"):
        words, _, places = _combine_tokens_into_words(tokenizer, tokens, language)
        found = split_words(tokens, tokenizer.decode, tokenizer.eos_token_id, language)
        assert [(word.text, word.places) for word in found] == list(zip(words, places, strict=True))


def test_the_language_that_was_found_out_is_told(whisper: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    transcribe = pipeline("automatic-speech-recognition", whisper, num_beams=1)
    names = {"en": "english", "de": "german", "zh": "chinese", "ja": "japanese"}
    model = WhisperForConditionalGeneration.from_pretrained(whisper.parent / "checkpoint-whisper")
    for name in ("second", "window"):
        sound = whisper_cases.sound(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch

            features = transcribe.bundle.feature_extractor([sound])["input_features"]
            (token,) = model.detect_language(torch.from_numpy(features)).tolist()
        code = next(token_.strip("<|>") for token_, place in whisper_cases.ids().items() if place == token)
        answer = transcribe(sound, return_language=True)
        assert [chunk["language"] for chunk in answer["chunks"]] == [names[code]]
