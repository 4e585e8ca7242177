"""CTC models against recorded answers of transformers 4.57.6: the same chunks, texts and times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from torchless import pipeline
from torchless.session import Session
from torchless.speech.chunks import Chunk, ChunkSizes, Clip, cut, kept_frames
from torchless.speech.ctc_collapse import collapse
from torchless.speech.ctc_vocabulary import CtcVocabulary

from . import cases, ctc_cases

# What transformers' WavLM does to torch while it is traced.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")

CONTENT = json.loads((cases.RECORDED / "ctc.json").read_text(encoding="utf-8"))["cases"]
# One by one; as many as the recognizer likes; few.
BATCH_SIZES = (1, None, 3)


def recorded(kind: str) -> list[dict[str, Any]]:
    return [case for case in CONTENT if case["kind"] == kind]


@pytest.mark.parametrize("case", recorded("cut"), ids=lambda case: str(case["cut"]))
def test_chunks(case: dict[str, Any]) -> None:
    samples, *sizes = case["cut"]
    found = list(cut(Clip(np.arange(samples, dtype=np.float32)), ChunkSizes(*sizes)))
    assert [plain(chunk) for chunk in found] == case["chunks"]


def plain(chunk: Chunk) -> list[Any]:
    first, last = map(int, chunk.samples[[0, -1]])
    assert chunk.stride is not None
    return [first, last, [len(chunk.samples), *chunk.stride], chunk.last]


@pytest.mark.parametrize("case", recorded("rescaled"), ids=lambda case: str(case["of"]))
def test_strides_in_frames(case: dict[str, Any]) -> None:
    samples, left, right, ratio = case["of"]
    frames, first, last = case["stride"]
    assert kept_frames(samples, (left, right), ratio) == slice(first, frames - last)


@pytest.mark.parametrize("name", ctc_cases.VOCABULARIES)
def test_decoding(name: str, tmp_path: Path) -> None:
    ctc_cases.write_tokenizer(tmp_path, **ctc_cases.VOCABULARIES[name])
    vocabulary = CtcVocabulary(tmp_path)
    rows = ctc_cases.ids(name)
    found = [case for case in recorded("decoded") if case["vocabulary"] == name]
    assert len(found) == len(rows) == 10
    for case, ids in zip(found, rows, strict=True):
        assert vocabulary.blank == case["blank"]
        width = max(*ids, vocabulary.blank) + 1
        characters = vocabulary.characters(collapse(vocabulary.distinct(width)[ids], vocabulary.blank))
        assert vocabulary.text(characters) == case["text"], case
        assert list(map(list, characters)) == case["chars"], case
        if case["words"] is not None:
            assert list(map(list, vocabulary.words(characters))) == case["words"], case


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Path]:
    """The bundle of a seeded checkpoint, exported when first asked for."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def exported(name: str) -> Path:
        from torchless.export import export

        folder = shared / f"ctc-{name}"
        with FileLock(shared / f"ctc-{name}.lock"):
            if not folder.exists():
                export(str(ctc_cases.save(name, shared / f"ctc-checkpoint-{name}")), folder)
        return folder

    return exported


@pytest.mark.export
@pytest.mark.parametrize("name", ctc_cases.CHECKPOINTS)
def test_answers(name: str, bundle: Callable[[str], Path]) -> None:
    recognize = pipeline(None, bundle(name))
    found = [case for case in recorded("answer") if case["checkpoint"] == name and "stride" not in case]
    assert len(found) == len(ctc_cases.OPTIONS) * len(ctc_cases.SOUNDS)
    for case in found:
        answer = recognize(ctc_cases.sound(case["sound"]), **case["options"])
        assert ctc_cases.compact(answer) == expected(case), case


@pytest.mark.export
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("name", ctc_cases.CHECKPOINTS)
def test_answers_to_a_list(name: str, batch_size: int | None, bundle: Callable[[str], Path]) -> None:
    """Clips of all lengths together, cut or not, say what each says alone."""
    recognize = pipeline(None, bundle(name), batch_size=batch_size)
    answers = [case for case in recorded("answer") if case["checkpoint"] == name and "stride" not in case]
    for options in ctc_cases.OPTIONS[2:5]:
        found = [case for case in answers if case["options"] == options]
        sounds = [ctc_cases.sound(case["sound"]) for case in found]
        for case, answer in zip(found, recognize(sounds, **options), strict=True):
            assert ctc_cases.compact(answer) == expected(case), case


@pytest.mark.export
@pytest.mark.parametrize("name", ctc_cases.CHECKPOINTS)
def test_clips_of_like_length(name: str, bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """They run together where the checkpoint knows padding, one by one where not, and say what each says alone."""
    rows = []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda *args: (rows.append(len(args[1]["input_values"])), run(*args))[1])
    recognize = pipeline(None, bundle(name))
    whole = ctc_cases.sound("long")
    clips = [whole[start : start + length] for start, length in ((0, 16000), (16000, 15200), (40000, 15777))]
    alone = [recognize(clip, return_timestamps="char") for clip in clips]
    rows.clear()
    assert recognize(clips, return_timestamps="char") == alone
    assert rows == ([3] if ctc_cases.CHECKPOINTS[name]["extractor"]["return_attention_mask"] else [1, 1, 1])


@pytest.mark.export
@pytest.mark.parametrize("name", ctc_cases.CHECKPOINTS)
def test_clips_with_a_stride(name: str, bundle: Callable[[str], Path]) -> None:
    recognize = pipeline(None, bundle(name))
    found = [case for case in recorded("answer") if case["checkpoint"] == name and "stride" in case]
    assert len(found) == len(ctc_cases.STRIDES)
    for case in found:
        clip = {"raw": ctc_cases.sound(case["sound"]), "sampling_rate": ctc_cases.RATE, "stride": case["stride"]}
        assert ctc_cases.compact(recognize(clip, **case["options"])) == expected(case), case


@pytest.mark.export
@pytest.mark.parametrize("name", ctc_cases.CHECKPOINTS)
def test_a_beam_finds_what_is_likelier_than_the_best_path(name: str, bundle: Callable[[str], Path]) -> None:
    """The same search, over the logits as torch gives them."""
    import torch
    import transformers

    from torchless.speech.ctc_beam import PrefixBeamSearch, likely, log_softmax

    folder = bundle(name)
    vocabulary = CtcVocabulary(folder)
    checkpoint = folder.with_name(f"ctc-checkpoint-{name}")
    model = transformers.AutoModelForCTC.from_pretrained(checkpoint).eval()
    samples = ctc_cases.sound("short")
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.no_grad():
        logits = model(torch.from_numpy(normal[None])).logits[0].numpy()
    search = PrefixBeamSearch(20, vocabulary.blank)
    search.advance(likely(log_softmax(logits)))
    text = vocabulary.text(vocabulary.characters(search.best()))
    assert pipeline(None, folder)(samples, beam_width=20) == {"text": text}


def expected(case: dict[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("text", "chunks") if name in case}
