"""Inputs of graphs, recorded while bundles answer texts, sounds, pictures or their references."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime import generation_factories, image_factories, test_audio_classification
from tests.runtime.factories import MASK, make_bundle, reference, write_manifest
from torchless import Bundle, InputError, OptionError, Session, TaskError, pipeline
from torchless.quantize.recording import RecordedBundle
from torchless.quantize.samples import Feeds, record
from torchless.quantize.sources import read_source, spread

WORDS = {"good": [1, 2], "bad": [2, 1], "day": [0, 0]}


def texts(folder: Path, task: str = "text-classification", **options: Any) -> Path:
    return make_bundle(folder / "bundle", task, WORDS, ["no", "yes"], **options)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def ids(folder: Path, *inputs: Any) -> list[list[int]]:
    return [encoding.ids for encoding in Bundle.open(folder).tokenizer.encode(list(inputs))]


def rows(feeds: Feeds, role: str = "model") -> list[list[int]]:
    """The tokens of all rows without their padding, sorted."""
    found = []
    for feed in feeds.by_role[role]:
        kept = zip(feed["input_ids"], feed["attention_mask"], strict=True)
        found += [tokens[mask == 1].tolist() for tokens, mask in kept]
    return sorted(found)


def test_lines_of_a_text(tmp_path: Path) -> None:
    """Eight at a time, the shorter ones padded; blank lines are none."""
    folder = texts(tmp_path)
    lines = ["good day", "bad", "day day day", "good", "day", "bad bad", "good bad day good", "day", "bad day", "day"]
    file = write(tmp_path / "texts.txt", "\n\n".join(lines) + "\n  \n")
    feeds = record(Bundle.open(folder), file)
    assert rows(feeds) == sorted(ids(folder, *lines))
    assert [feed["input_ids"].shape for feed in feeds.by_role["model"]] == [(8, 6), (2, 4)]
    assert feeds.provenance == {
        "kind": "text", "name": "texts.txt", "count": 10, "total": 10, "limit": 128,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_limit_is_spread_over_the_file(tmp_path: Path) -> None:
    folder = texts(tmp_path)
    file = write(tmp_path / "texts.txt", "\n".join(["good"] * 5 + ["bad"] * 5))
    feeds = record(Bundle.open(folder), file, limit=4)
    assert rows(feeds) == sorted(ids(folder, "good", "good", "bad", "bad"))
    assert (feeds.provenance["count"], feeds.provenance["total"], feeds.provenance["limit"]) == (4, 10, 4)
    assert [spread(list(range(5)), count) for count in (1, 2, 5, 9)] == [[0], [0, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


PAIR = ("good", "bad day")
TABLES = {
    "pairs.jsonl": "\n".join(json.dumps({"text": a, "text_pair": b, "label": "no"}) for a, b in (PAIR, ("bad", "")))
    + "\n",
    "pairs.json": json.dumps([{"text": "good", "text_pair": "bad day"}, {"text": "bad"}]),
    "pairs.csv": "label,text,text_pair\nno,good,bad day\nyes,bad,\n",
    "pairs.tsv": "text\ttext_pair\ngood\tbad day\nbad\t\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path: Path, name: str) -> None:
    folder = texts(tmp_path)
    feeds = record(Bundle.open(folder), write(tmp_path / name, TABLES[name]))
    assert rows(feeds) == sorted(ids(folder, PAIR, "bad"))
    assert feeds.provenance["name"] == name


def test_tokens_are_a_text(tmp_path: Path) -> None:
    folder = texts(tmp_path, "token-classification")
    file = write(tmp_path / "tags.jsonl", '{"tokens": ["good", "day"], "tags": ["O", "O"]}')
    assert rows(record(Bundle.open(folder), file)) == ids(folder, "good day")


def test_questions(tmp_path: Path) -> None:
    folder = texts(tmp_path, "question-answering")
    file = write(tmp_path / "questions.jsonl", '{"question": "good", "context": "bad day", "answers": []}')
    assert rows(record(Bundle.open(folder), file)) == ids(folder, ("good", "bad day"))


def test_a_mask_is_put_where_there_is_none(tmp_path: Path) -> None:
    folder = texts(tmp_path, "fill-mask")
    file = write(tmp_path / "texts.txt", "good bad day\n[MASK] day")
    found = rows(record(Bundle.open(folder), file))
    assert found == sorted(ids(folder, "good [MASK] day", "[MASK] day"))
    assert all(MASK in row for row in found)


def test_long_texts_are_cut_without_a_word(tmp_path: Path) -> None:
    """Warnings are errors in tests."""
    folder = texts(tmp_path, max_length=4)
    feeds = record(Bundle.open(folder), write(tmp_path / "texts.txt", "good day good day good day"))
    assert feeds.by_role["model"][0]["input_ids"].shape == (1, 4)


def test_references(tmp_path: Path) -> None:
    folder = texts(tmp_path)
    given = [reference(folder, [[2, 5, 3], [2, 6, 3]]), reference(folder, [[2, 7, 7, 3]])]
    write_manifest(folder, "text-classification", references=tuple(given))
    feeds = record(Bundle.open(folder), None)
    assert [feed["input_ids"].tolist() for feed in feeds.by_role["model"]] == [[[2, 5, 3], [2, 6, 3]], [[2, 7, 7, 3]]]
    assert {name: feeds.provenance[name] for name in ("kind", "name", "count", "total")} == {
        "kind": "references", "name": "torchless.json", "count": 2, "total": 2,
    }  # fmt: skip
    assert len(feeds.provenance["sha256"]) == 64


def test_steps_of_a_decoder(tmp_path: Path) -> None:
    """The prompt, the first two steps, and ever fewer later ones; the cache as it was before each call."""
    follow = {"a": {"b": 1.0}, "b": {"c": 1.0}, "c": {"a": 1.0}}
    folder = generation_factories.make_causal(tmp_path / "bundle", follow)
    feeds = record(Bundle.open(folder), write(tmp_path / "texts.txt", "ab\nabcab\n")).by_role["model"]
    letters = dict(zip("abc", generation_factories.ids("abc"), strict=True))
    assert [feed["input_ids"].shape for feed in feeds] == [(2, 5)] + [(2, 1)] * 4
    assert [feed["attention_mask"].shape[1] for feed in feeds] == [5, 6, 7, 9, 13]
    # The row of "abcab" goes on by c, a, b, ...: the first step reads c, the second a, then come the 4th and 8th.
    row = int(np.argmax(feeds[0]["attention_mask"].sum(axis=1)))
    assert [int(feed["input_ids"][row, 0]) for feed in feeds[1:]] == [letters[letter] for letter in "caca"]
    session = Bundle.open(folder).session("model")
    for feed in feeds:
        assert session.run(feed)["logits"].shape[0] == 2, "a recorded feed can be run again"
    past = [feed["past_key_values.0.key"] for feed in feeds]
    assert len({array.shape for array in past}) == 1


def test_cache_is_copied_before_it_is_overwritten(tmp_path: Path) -> None:
    """A graph that adds one to its cache: each call reads what the call before it wrote."""
    import onnx

    folder = generation_factories.make_causal(tmp_path / "bundle", {"a": {"a": 1.0}})
    path = folder / "onnx" / "model.onnx"
    model = onnx.load(path)
    for node in model.graph.node:
        if node.output[0].startswith("present.0.key"):
            node.op_type = "Add"
            node.input.append("unit")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "unit"))
    onnx.save(model, path)
    feeds = record(Bundle.open(folder), write(tmp_path / "texts.txt", "a")).by_role["model"]
    assert [feed["past_key_values.0.key"].max() for feed in feeds] == [0, 1, 2, 4, 8]


def test_encoder_and_decoder(tmp_path: Path) -> None:
    folder = generation_factories.make_seq2seq(
        tmp_path / "bundle", {"dog": {"Hund": 3.0}, "cat": {"Katze": 2.0}}, words=["the"]
    )
    feeds = record(Bundle.open(folder), write(tmp_path / "texts.txt", "the dog\nthe cat the dog"))
    assert set(feeds.by_role) == {"encoder_model", "decoder_model"}
    (encoded,) = feeds.by_role["encoder_model"]
    assert encoded["input_ids"].shape == (2, 5)
    assert encoded["attention_mask"].sum() == 8
    steps = feeds.by_role["decoder_model"]
    assert [step["input_ids"].shape for step in steps][:2] == [(2, 1), (2, 1)]
    cross = [step["past_key_values.0.encoder.value"] for step in steps]
    assert all(array is cross[0] for array in cross), "what stays the same is kept once"
    for step in steps:
        Bundle.open(folder).session("decoder_model").run(step)


def test_sounds(tmp_path: Path) -> None:
    """A file, a folder at any depth with other files in it, and a table; in batches of one length."""
    soundfile = pytest.importorskip("soundfile")
    folder = test_audio_classification.make_bundle(tmp_path / "bundle")
    clips = tmp_path / "clips"
    (clips / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "deep/b.flac", "c.WAV")):
        soundfile.write(clips / name, np.full(8 + 4 * (number == 2), 0.25 * (number + 1)), 16000)
    write(clips / "notes.txt", "none")
    write(tmp_path / "sounds.csv", "audio,label\nclips/deep/b.flac,loud\n")
    bundle = Bundle.open(folder)

    def heard(path: Path) -> list[list[float]]:
        feeds = record(bundle, path).by_role["model"]
        return sorted([[*row.round(2).tolist()[:1], len(row)] for feed in feeds for row in feed["input_values"]])

    assert heard(clips) == [[0.25, 8], [0.5, 8], [0.75, 12]]
    assert heard(clips / "c.WAV") == [[0.75, 12]]
    assert heard(tmp_path / "sounds.csv") == [[0.5, 8]]
    one = record(bundle, tmp_path / "sounds.csv").provenance
    soundfile.write(clips / "deep/b.flac", np.full(8, 0.1), 16000)
    assert one["sha256"] != record(bundle, tmp_path / "sounds.csv").provenance["sha256"], "of the sound, too"
    assert one["kind"] == "audio"


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    (tmp_path / "bundle" / "onnx").mkdir(parents=True)
    folder = image_factories.make_classifier(tmp_path / "bundle")
    shown = tmp_path / "shown"
    shown.mkdir()
    for number in range(10):
        image_factories.noise(9, 7, seed=number).save(shown / f"{number}.png")
    feeds = record(Bundle.open(folder), shown)
    assert [len(feed["pixel_values"]) for feed in feeds.by_role["model"]] == [8, 2]
    assert (feeds.provenance["kind"], feeds.provenance["count"]) == ("image", 10)
    processor = Bundle.open(folder).image_processor
    pixels = processor.pixels(image_factories.noise(9, 7, seed=9))
    np.testing.assert_array_equal(feeds.by_role["model"][1]["pixel_values"][1], pixels)


def test_float32_is_recorded_where_the_bundle_recommends_another(tmp_path: Path) -> None:
    folder = texts(tmp_path)
    (folder / "onnx" / "model_int8.onnx").write_bytes((folder / "onnx" / "model.onnx").read_bytes())
    write_manifest(folder, "text-classification", dtype={"cpu": "int8", "cuda": "int8"})
    bundle = Bundle.open(folder)
    assert (bundle.dtype(), RecordedBundle(bundle).dtype()) == ("int8", "fp32")


def test_memory_is_bounded(tmp_path: Path) -> None:
    """When it is full, nothing more is kept nor answered; the first call is kept in any case."""
    folder = texts(tmp_path)
    recorded = RecordedBundle(Bundle.open(folder), memory=1)
    answer = pipeline("text-classification", recorded)
    assert not recorded.full
    answer("good")
    answer("bad day")
    assert recorded.full
    assert len(recorded.by_role["model"]) == 1


def test_fewer_inputs_where_memory_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = texts(tmp_path)
    monkeypatch.setattr(RecordedBundle.__init__, "__defaults__", (100,))
    feeds = record(Bundle.open(folder), write(tmp_path / "texts.txt", "good\n" * 30))
    assert (feeds.provenance["count"], feeds.provenance["total"]) == (8, 30)


def test_sessions_answer_as_they_did(tmp_path: Path) -> None:
    """A recorded session is one, and what it keeps are copies."""
    folder = texts(tmp_path)
    recorded = RecordedBundle(Bundle.open(folder))
    session = recorded.session()
    assert isinstance(session, Session)
    assert recorded.session() is session
    feed = {"input_ids": np.array([[5, 6]]), "attention_mask": np.array([[1, 1]])}
    wanted = Bundle.open(folder).session().run(feed)["logits"]
    np.testing.assert_array_equal(session.run(feed)["logits"], wanted)
    feed["input_ids"][:] = 0
    assert recorded.by_role["model"][0]["input_ids"].tolist() == [[5, 6]]


def _no_texts(folder: Path) -> tuple[Path, Path]:
    return texts(folder), write(folder / "empty.txt", "\n \n")


def _sound_for_text(folder: Path) -> tuple[Path, Path]:
    return texts(folder), write(folder / "a.wav", "x")


def _folder_for_text(folder: Path) -> tuple[Path, Path]:
    return texts(folder), folder


def _bytes_for_text(folder: Path) -> tuple[Path, Path]:
    (folder / "a.bin").write_bytes(b"\xff\xfe\x00")
    return texts(folder), folder / "a.bin"


def _text_for_sound(folder: Path) -> tuple[Path, Path]:
    return test_audio_classification.make_bundle(folder / "bundle"), write(folder / "a.txt", "good")


def _pictures_for_sound(folder: Path) -> tuple[Path, Path]:
    (folder / "pictures").mkdir()
    image_factories.noise(4, 4).save(folder / "pictures" / "a.png")
    return test_audio_classification.make_bundle(folder / "bundle"), folder / "pictures"


def _lines_for_questions(folder: Path) -> tuple[Path, Path]:
    return texts(folder, "question-answering"), write(folder / "a.txt", "good")


def _missing(folder: Path) -> tuple[Path, Path]:
    return texts(folder), folder / "nowhere.txt"


MISTAKES = {
    _no_texts: "empty.txt holds no text",
    _sound_for_text: "for text-classification: expected a text file or a table of texts, not a.wav",
    _folder_for_text: "expected a text file or a table of texts, not a folder",
    _bytes_for_text: "a.bin is not UTF-8 text",
    _text_for_sound: "for audio-classification: expected a sound file .* with the field 'audio', not a.txt",
    _pictures_for_sound: "pictures holds no sound",
    _lines_for_questions: "fields 'question' and 'context', not a.txt",
    _missing: "no file or folder at .*nowhere.txt",
}


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.__name__)
def test_wrong_data(tmp_path: Path, case: Any) -> None:
    folder, source = case(tmp_path)
    with pytest.raises(OptionError, match=MISTAKES[case]):
        record(Bundle.open(folder), source)


def test_wrong_rows(tmp_path: Path) -> None:
    bundle = Bundle.open(texts(tmp_path))
    with pytest.raises(InputError, match=r"line 2 of .*'text' is missing"):
        record(bundle, write(tmp_path / "a.jsonl", '{"text": "good"}\n{"label": 1}'))
    with pytest.raises(InputError, match="holds no rows"):
        record(bundle, write(tmp_path / "b.csv", "text\n"))
    with pytest.raises(InputError, match="field 'audio' names a file that is not there"):
        read_source("audio-classification", write(tmp_path / "c.csv", "audio\nx.wav\n"), 3)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_wrong_limit(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(OptionError, match="limit must be a positive integer"):
        record(Bundle.open(texts(tmp_path)), None, limit=limit)


def test_no_references(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no recorded inputs: name a file"):
        record(Bundle.open(texts(tmp_path)), None)


def test_no_task(tmp_path: Path) -> None:
    bundle = Bundle.open(texts(tmp_path, architectures=["Unheard"]))
    with pytest.raises(TaskError, match="does not tell its task"):
        record(bundle, write(tmp_path / "texts.txt", "good"))
