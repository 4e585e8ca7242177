"""Speech recognition with CTC graphs made by hand: texts, times, chunks, batches and mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.factories import edit_json, save_graph
from torchless import Bundle, pipeline
from torchless.errors import BundleError, BundleNotFoundError, InputError, OptionError, TaskError
from torchless.session import Session
from torchless.speech.chunks import Clip
from torchless.speech.ctc import CtcRecognizer
from torchless.speech.ctc_frames import Frames
from torchless.speech.options import SpeechOptions

from .ctc_bundle import HOP, RATE, make_ctc, spoken

HELLO = "__aab_||_c_cb_"
HELLO_TEXT = "ab ccb"


@pytest.fixture
def recognizer(tmp_path: Path) -> CtcRecognizer:
    return CtcRecognizer(Bundle.open(make_ctc(tmp_path / "bundle")))


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the batches that ran."""
    found: list[tuple[int, ...]] = []
    run = Session.run

    def spy(self: Session, feeds: Any, outputs: Any = None) -> Any:
        found.append(feeds["input_values"].shape)
        return run(self, feeds, outputs)

    monkeypatch.setattr(Session, "run", spy)
    return found


def recognize(recognizer: CtcRecognizer, *texts: str, batch_size: int | None = None, **options: Any) -> list[Any]:
    clips = [Clip(spoken(text)) for text in texts]
    return list(recognizer.recognize(clips, SpeechOptions(**options), batch_size))


def test_text(recognizer: CtcRecognizer) -> None:
    assert recognize(recognizer, HELLO) == [{"text": HELLO_TEXT}]


@pytest.mark.parametrize("silence", ["_", "____", "||||", "_|_|"])
def test_nothing_said(silence: str, recognizer: CtcRecognizer) -> None:
    assert recognize(recognizer, silence) == [{"text": ""}]
    assert recognize(recognizer, silence, return_timestamps="word") == [{"text": "", "chunks": []}]


@pytest.mark.parametrize("beam_width", [None, 1, 8])
def test_times_of_characters(beam_width: int | None, recognizer: CtcRecognizer) -> None:
    (answer,) = recognize(recognizer, "_aab_b|", return_timestamps="char", beam_width=beam_width)
    assert answer == {
        "text": "abb",
        "chunks": [
            {"text": "a", "timestamp": (0.04, 0.12)},
            {"text": "b", "timestamp": (0.12, 0.16)},
            {"text": "b", "timestamp": (0.2, 0.24)},
            {"text": " ", "timestamp": (0.24, 0.28)},
        ],
    }
    assert all(type(time) is float for chunk in answer["chunks"] for time in chunk["timestamp"])


@pytest.mark.parametrize("beam_width", [None, 8])
def test_times_of_words(beam_width: int | None, recognizer: CtcRecognizer) -> None:
    (answer,) = recognize(recognizer, HELLO, return_timestamps="word", beam_width=beam_width)
    words = [{"text": "ab", "timestamp": (0.08, 0.2)}, {"text": "ccb", "timestamp": (0.36, 0.52)}]
    assert answer == {"text": HELLO_TEXT, "chunks": words}


@pytest.mark.parametrize("beam_width", [1, 8])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_chunks_join_without_a_trace(batch_size: int | None, beam_width: int, recognizer: CtcRecognizer) -> None:
    text = HELLO * 9
    whole = recognize(recognizer, text, return_timestamps="char")
    for length, stride in ((0.4, None), (0.4, 0), (0.24, (0.08, 0.04)), (100, 2)):
        options = {"chunk_length_s": length, "stride_length_s": stride, "beam_width": beam_width}
        found = recognize(recognizer, text, batch_size=batch_size, return_timestamps="char", **options)
        assert found == whole


def test_a_letter_over_the_joint_of_two_chunks_is_one(recognizer: CtcRecognizer) -> None:
    assert recognize(recognizer, "aaaaaaaa", chunk_length_s=4 * HOP / RATE, stride_length_s=0) == [{"text": "a"}]


def test_a_last_chunk_too_short_for_a_frame(recognizer: CtcRecognizer) -> None:
    clip = Clip(np.append(spoken("abca"), np.float32([2, 2])))
    options = SpeechOptions(chunk_length_s=2 * HOP / RATE, stride_length_s=0)
    assert list(recognizer.recognize([clip], options, None)) == [{"text": "abca"}]


def test_context_of_a_clip_is_not_written_down(recognizer: CtcRecognizer) -> None:
    clips = [Clip(spoken("abcab"), (2 * HOP, HOP)), Clip(spoken("abc")), Clip(spoken("abc"), (0, 3 * HOP))]
    found = list(recognizer.recognize(clips, SpeechOptions(return_timestamps="char"), None))
    assert [answer["text"] for answer in found] == ["ca", "abc", ""]
    assert found[0]["chunks"][0] == {"text": "c", "timestamp": (0.0, 0.04)}


def test_only_clips_of_one_length_run_together(recognizer: CtcRecognizer, shapes: list[tuple[int, ...]]) -> None:
    """A group normalization would hear the padding."""
    found = recognize(recognizer, "ab", "abc", "ba", "a", "cab", "bc")
    assert [answer["text"] for answer in found] == ["ab", "abc", "ba", "a", "cab", "bc"]
    assert sorted(shapes) == [(1, 4), (2, 12), (3, 8)]


def test_clips_of_like_length_are_padded_where_a_mask_hides_it(tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
    """Behind its end a clip is masked, and the frames there are not written down: they would say "a"."""
    recognizer = CtcRecognizer(Bundle.open(make_ctc(tmp_path, masked=True, vocab=("a", "b", "c", "|", "<pad>"))))
    texts = ["b" * 20, "c" * 19, "b" * 4, "bc" * 9 + "b"]
    clips = [Clip(np.repeat(np.float32(["abc".index(letter) for letter in text]), HOP)) for text in texts]
    found = [answer["text"] for answer in recognizer.recognize(clips, SpeechOptions(), None)]
    assert found == ["b", "c", "b", "bc" * 9 + "b"]
    assert sorted(shapes) == [(1, 16), (3, 80)]


def test_a_batch_size_is_kept(recognizer: CtcRecognizer, shapes: list[tuple[int, ...]]) -> None:
    assert len(recognize(recognizer, *["ab"] * 7, batch_size=3)) == 7
    assert [rows for rows, _ in shapes] == [3, 3, 1]


def test_a_graph_that_wants_a_mask_gets_one(tmp_path: Path) -> None:
    folder = make_ctc(tmp_path, masked=True)
    edit_json(folder / "preprocessor_config.json", return_attention_mask=False)
    assert recognize(CtcRecognizer(Bundle.open(folder)), "ab", "c") == [{"text": "ab"}, {"text": "c"}]


def test_clips_are_read_as_they_are_answered(recognizer: CtcRecognizer) -> None:
    read = 0

    def live() -> Iterator[Clip]:
        nonlocal read
        while True:
            read += 1
            yield Clip(spoken("ab"))

    answers = recognizer.recognize(live(), SpeechOptions(), 1)
    for count in (1, 2, 3):
        assert next(answers) == {"text": "ab"}
        assert read == count


def test_many_clips_in_order(recognizer: CtcRecognizer) -> None:
    texts = ["abc"[: index % 3 + 1] + "|b" * (index // 7) for index in range(100)]
    found = recognize(recognizer, *texts)
    assert [answer["text"] for answer in found] == [text.replace("|", " ") for text in texts]


def test_a_beam_says_what_is_likelier_in_sum(tmp_path: Path) -> None:
    """Between the blank and "a" in each frame, nearer to the blank: no single alignment beats two blanks."""
    recognizer = CtcRecognizer(Bundle.open(make_ctc(tmp_path, vocab=("<pad>", "a"))))
    clip = Clip(np.full(2 * HOP, 0.49, dtype=np.float32))
    assert list(recognizer.recognize([clip], SpeechOptions(), None)) == [{"text": ""}]
    assert list(recognizer.recognize([clip], SpeechOptions(beam_width=8), None)) == [{"text": "a"}]


@pytest.mark.parametrize("beam_width", [1, 8])
def test_tokens_that_are_called_the_same_are_one(beam_width: int, tmp_path: Path) -> None:
    none = {"bos_token": None, "eos_token": None, "unk_token": None}
    again = {"added_tokens_decoder": {"5": {"content": "a"}}}
    recognizer = CtcRecognizer(Bundle.open(make_ctc(tmp_path, tokenizer=none | again)))
    assert recognize(recognizer, "a?ab", beam_width=beam_width) == [{"text": "ab"}]


def test_a_clip_too_short_to_hear_says_how_long_it_must_be(recognizer: CtcRecognizer) -> None:
    with pytest.raises(InputError, match=r"a clip of 3 samples is too short: the model needs 4 \(0.04 s\)"):
        list(recognizer.recognize([Clip(np.zeros(3, dtype=np.float32))], SpeechOptions(), None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"return_timestamps": True}, "'char' or 'word', not True"),
        ({"chunk_length_s": 1, "stride_length_s": 0.6}, "chunk_length_s must exceed"),
        ({"hotwords": ["ab"]}, "hotwords"),
        ({"beam_width": 0}, "beam_width"),
        ({"language": "de"}, "language"),
        ({"num_beams": 4}, "num_beams"),
    ],
)
def test_options_that_a_ctc_model_has_not(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    recognize = pipeline("automatic-speech-recognition", make_ctc(tmp_path))
    with pytest.raises(OptionError, match=message):
        recognize(spoken("ab"), **options)


def test_phonemes_have_no_words(tmp_path: Path) -> None:
    recognize = pipeline("asr", make_ctc(tmp_path, tokenizer={"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}))
    assert recognize(spoken("ab_b"))["text"] == "a b b"
    with pytest.raises(OptionError, match="return_timestamps='char'"):
        recognize(spoken("ab"), return_timestamps="word")


def test_a_folder_of_another_tool(tmp_path: Path) -> None:
    """As Optimum lays one out: the graph beside the files of the checkpoint, and no manifest."""
    recognize = pipeline(None, make_ctc(tmp_path, place="model.onnx"))
    assert recognize.task == "automatic-speech-recognition"
    assert recognize([spoken(HELLO), spoken("b")]) == [{"text": HELLO_TEXT}, {"text": "b"}]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vocab": None}, BundleNotFoundError, r"no vocab\.json"),
        ({"conv_stride": None}, BundleError, "must have conv_stride"),
        ({"conv_kernel": [4, 4]}, BundleError, "2 sizes as conv_kernel and 1"),
        ({"conv_kernel": [0]}, BundleError, "must have conv_kernel"),
    ],
)
def test_bundles_that_lack_something(change: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        CtcRecognizer(Bundle.open(make_ctc(tmp_path, **change)))


def test_a_graph_of_another_task(tmp_path: Path) -> None:
    folder = make_ctc(tmp_path)
    text = "(float[batch, samples] input_values) => (float[batch, samples] logits) { logits = Identity(input_values) }"
    save_graph(folder / "onnx" / "model.onnx", text)
    with pytest.raises(TaskError, match=r"needs a graph with the output logits \(batch, frames, vocab\)"):
        CtcRecognizer(Bundle.open(folder))


def test_a_vocabulary_larger_than_the_graph(tmp_path: Path) -> None:
    recognizer = CtcRecognizer(Bundle.open(make_ctc(tmp_path, vocab=("a", "b", "<pad>"), width=2)))
    with pytest.raises(BundleError, match="the blank is token 2, and the graph has logits of 2 tokens"):
        list(recognizer.recognize([Clip(spoken("a", ("a", "b")))], SpeechOptions(), None))


WAV2VEC2 = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}


def test_frames() -> None:
    frames = Frames.of(WAV2VEC2)
    assert (frames.ratio, frames.minimum) == (320, 400)
    assert [frames.count(samples) for samples in (0, 399, 400, 719, 720, 16000, 480000)] == [0, 0, 1, 1, 2, 49, 1499]


@pytest.mark.parametrize(
    ("config", "padded"),
    [
        ({}, False),
        ({"feat_extract_norm": "group"}, False),
        ({"feat_extract_norm": "layer"}, True),
        ({"feat_extract_norm": "layer", "add_adapter": False, "conv_pos_batch_norm": False}, True),
        ({"feat_extract_norm": "layer", "add_adapter": True}, False),
        ({"feat_extract_norm": "layer", "conv_pos_batch_norm": True}, False),
        ({"feat_extract_norm": "layer", "conv_pos_kernel_size": 19}, False),  # data2vec-audio
        ({"feat_extract_norm": "layer", "conv_depthwise_kernel_size": 31}, False),  # conformers
        ({"feat_extract_norm": "layer", "squeeze_factor": 2}, False),  # SEW
    ],
)
def test_which_models_may_be_padded(config: dict[str, Any], padded: bool) -> None:
    assert Frames.of(WAV2VEC2 | config).padded is padded
