"""Tokenizers that transformers only has in Python, made small here, against their frozen forms."""

import json
import random
import shutil
from pathlib import Path

import pytest
import sentencepiece
import transformers
from tokenizers import Tokenizer as Library
from tokenizers import models

from torchless import ExportError, OptionError, Tokenizer, VerificationError
from torchless.export import tokenizer as freezing
from torchless.export.tokenizer_json import decimal, save

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")]

NAMES = ("input_ids", "attention_mask")
FRENCH = "le chat noir dort sur la table – un chien blanc mange dans le jardin — où il fait beau l'été, c'est 12 fois"
ENGLISH = "the black cat sleeps on the table – a white dog eats in the garden where it is fine, that's 34 times & more"
TEXTS = [
    "le chat dort", "LE CHAT – dort — ", "  un   chien\n\tblanc ", "où ? été!", "ж жы ☕☕ 中文",
    "</s> le <pad>chat<unk>", "▁le▁▁chat▁", "the dog & more", "&&", ">>en<< le chat", ">>xx<< le chat", ">>xx<<",
    ">>en<<le", ">> le <<", "ﬁn ½",
    "\ufffe le \uffff chat",
]  # fmt: skip


def train(path: Path, text: str, kind: str, **options: object) -> sentencepiece.SentencePieceProcessor:
    words = text.split()
    draw = random.Random(len(text))
    sentences = [" ".join(draw.sample(words, 6)) for _ in range(300)]
    size = 400 if "byte_fallback" in options else 90
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences), model_prefix=str(path.with_suffix("")), vocab_size=size,
        model_type=kind, hard_vocab_limit=False, minloglevel=2, **options,
    )  # fmt: skip
    shutil.move(path.with_suffix(".model"), path)
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def pieces(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    return [model.IdToPiece(index) for index in range(model.GetPieceSize()) if not model.IsControl(index)]


def marian(folder: Path, *, separate: bool = False, left_out: tuple[str, ...] = ("–",), **options: object):
    folder.mkdir(parents=True)
    source = pieces(train(folder / "source.spm", FRENCH, "unigram", **options))
    target = pieces(train(folder / "target.spm", ENGLISH, "unigram", **options))
    more = ["</s>", "<unk>", ">>en<<", "☕☕", "ж"]
    known = [*more, *source] if separate else [*more, *source, *target]
    kept = [piece for piece in dict.fromkeys(known) if not any(mark in piece for mark in left_out)]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate([*kept, "<pad>"])}))
    settings = {"separate_vocabs": separate, "source_lang": "fr", "target_lang": "en"}
    if separate:
        other = dict.fromkeys(["</s>", "<unk>", *target])
        numbered = {piece: index for index, piece in enumerate(other)}
        (folder / "target_vocab.json").write_text(json.dumps({**numbered, "<pad>": len(kept)}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return transformers.MarianTokenizer.from_pretrained(folder)


def many_to_many(folder: Path, kind: str):
    folder.mkdir(parents=True)
    vocabulary = pieces(train(folder / "sentencepiece.bpe.model", FRENCH, kind))
    numbered = ["<s>", "<pad>", "</s>", "<unk>", *sorted(vocabulary, reverse=True)]
    kept = [piece for piece in dict.fromkeys(numbered) if piece != "▁le"]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(kept)}))
    return transformers.M2M100Tokenizer.from_pretrained(folder)


def ctrl(folder: Path):
    folder.mkdir(parents=True)
    merges = ["t h", "th e</w>", "a n", "an d</w>", "a t</w>", "c at</w>", "o n", "on e</w>", "b\u00a0 c", "@ @</w>"]
    vocabulary = [
        "the",
        "th@@",
        "and",
        "an@@",
        "cat",
        "on@@",
        "one",
        "",
        "t@@",
        "h@@",
        "e",
        "e@@",
        "a@@",
        "a",
        "n@@",
        "c@@",
    ]
    vocabulary += ["n", "d", "d@@", "@@", "@@@", "\n", "Links", "<unk>"]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return transformers.CTRLTokenizer.from_pretrained(folder)


def frozen(original, folder: Path) -> Tokenizer:
    folder.mkdir()
    freezing.freeze(original, folder, NAMES)
    return Tokenizer(folder)


def check(original, made: Tokenizer, texts=TEXTS) -> None:
    for text in texts:
        assert made.encode([text], truncation=None)[0].ids == original(text)["input_ids"], text
    known = sorted(original.get_vocab().values())
    draw = random.Random(1)
    for _ in range(300):
        ids = [draw.choice(known) for _ in range(draw.randrange(1, 12))]
        for skip in (False, True):
            assert made.decode(ids, skip_special_tokens=skip) == original.decode(ids, skip_special_tokens=skip), ids


def test_marian(tmp_path: Path) -> None:
    original = marian(tmp_path / "checkpoint")
    made = frozen(original, tmp_path / "bundle")
    check(original, made)
    assert len(made) == len(original) < made.backend.get_vocab_size()  # the pieces that vocab.json lacks
    # A dash is a piece of the model and missing in the vocabulary: one unknown token each, and none for the model.
    unknown = original.unk_token_id
    assert made.encode(["–"])[0].ids == [unknown, original.eos_token_id]
    assert made.encode(["––"])[0].ids.count(unknown) == 2
    # A run of unknown characters is looked up as one piece.
    assert made.encode(["☕☕ ☕ ж жж"])[0].ids.count(unknown) == 2
    assert made.id("☕☕") in made.encode(["☕☕"])[0].ids
    assert made.encode([">>en<< le"])[0].ids[0] == original.get_vocab()[">>en<<"]


def test_marian_cleans_up_where_it_says_so(tmp_path: Path) -> None:
    original = marian(tmp_path / "checkpoint")
    original.clean_up_tokenization_spaces = True
    made = frozen(original, tmp_path / "bundle")
    ids = original("c'est, le chat , été").input_ids
    assert made.decode(ids) == original.decode(ids)


def test_marian_with_two_vocabularies(tmp_path: Path) -> None:
    original = marian(tmp_path / "checkpoint", separate=True, left_out=())
    made = frozen(original, tmp_path / "bundle")
    for text in TEXTS:
        assert made.encode([text], truncation=None)[0].ids == original(text)["input_ids"], text
    ids = original(text_target="the black cat")["input_ids"]
    assert made.decode(ids, skip_special_tokens=True) == "the black cat"
    assert made.decode(ids) == original.decode(ids)
    assert [made.token(identifier) for identifier in ids] == original.convert_ids_to_tokens(ids)
    assert made.id("▁the") == original.target_encoder["▁the"] != original.get_vocab().get("▁the")
    assert (tmp_path / "bundle" / "target_tokenizer.json").is_file()


def test_marian_with_special_tokens_of_two_ids(tmp_path: Path) -> None:
    original = marian(tmp_path / "checkpoint", separate=True)
    original.target_encoder["</s>"] = 5
    with pytest.raises(ExportError, match="another id in each of the two vocabularies"):
        freezing.freeze(original, tmp_path, NAMES)


def test_pieces_of_bytes_are_refused(tmp_path: Path) -> None:
    original = marian(tmp_path / "checkpoint", byte_fallback=True)
    with pytest.raises(ExportError, match=r"source\.spm has .* bytes"):
        freezing.freeze(original, tmp_path, NAMES)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_m2m100(tmp_path: Path, kind: str) -> None:
    original = many_to_many(tmp_path / "checkpoint", kind)
    made = frozen(original, tmp_path / "bundle")
    check(original, made)
    original.src_lang = "fr"
    assert made.encode(["le chat"], src_lang="fr")[0].ids == original("le chat")["input_ids"]
    assert made.encode(["le chat"])[0].ids[0] == made.language_id("en") == original.get_lang_id("en")
    assert "zu" in made.languages
    with pytest.raises(OptionError, match="unknown language 'xx'"):
        made.language_id("xx")


def test_models_of_other_kinds_are_refused(tmp_path: Path) -> None:
    original = many_to_many(tmp_path / "checkpoint", "unigram")
    train(tmp_path / "checkpoint" / "sentencepiece.bpe.model", FRENCH, "char")
    with pytest.raises(ExportError, match="neither a unigram nor a byte-pair model"):
        freezing.freeze(original, tmp_path, NAMES)


def test_ctrl(tmp_path: Path) -> None:
    original = ctrl(tmp_path / "checkpoint")
    made = frozen(original, tmp_path / "bundle")
    texts = [
        "the cat and one",
        "thethe cathe\n one  \n x",
        "at @@ @ @@@ t",
        "\x1cthe\x85and\u00a0cat\n\n",
        "a\n",
        "<unk>the",
        "Links",
    ]
    check(original, made, [*TEXTS, *texts])
    assert made.encode(["the cat"])[0].ids == [0, 4]
    assert [made.token(0), made.token(1), made.id("th@@"), made.id("the")] == ["the", "th@@", 1, 0]
    assert made.id("at") is None  # merges make it, the vocabulary lacks it
    assert made.encode(["at"])[0].ids == [original.unk_token_id]
    assert (made.decode([1, 0]), made.decode([0, 1]), made.decode([1])) == ("ththe", "the th@@", "th@@")


def test_added_tokens(tmp_path: Path) -> None:
    original = ctrl(tmp_path / "checkpoint")
    original.add_tokens(["<ent>"])
    original.add_special_tokens({"pad_token": "<pad>"})
    made = frozen(original, tmp_path / "bundle")
    check(original, made, ["the <ent>cat", "<ent> <pad>", "the<pad>at"])
    assert (made.id("<ent>"), made.token(made.ids["pad"])) == (original.convert_tokens_to_ids("<ent>"), "<pad>")


@pytest.mark.parametrize("name", ["MBartTokenizer", "MBart50Tokenizer", "NllbTokenizer"])
def test_languages(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    train(folder / "sentencepiece.bpe.model", FRENCH, "bpe" if name == "NllbTokenizer" else "unigram")
    codes = ["eng_Latn", "fra_Latn"] if name == "NllbTokenizer" else ["en_XX", "fr_XX"]
    config = {"tokenizer_class": name, "extra_special_tokens": codes if name == "NllbTokenizer" else []}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text('{"model_type": "mbart"}')
    original = transformers.AutoTokenizer.from_pretrained(folder)
    made = frozen(original, tmp_path / "bundle")
    assert set(codes) <= set(made.languages)
    assert made.encode(["le chat"])[0].ids == original("le chat")["input_ids"]
    for code in codes:
        original.src_lang = code
        (encoding,) = made.encode(["le chat"], src_lang=code)
        assert encoding.ids == original("le chat")["input_ids"]
        assert made.language_id(code) == original.convert_tokens_to_ids(code) in encoding.ids
        assert sum(encoding.special_tokens_mask) == 2


def test_decoding_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_decoder(original) -> Library:
        backend = Library.from_str(original.backend_tokenizer.to_str())
        backend.decoder = None
        return backend

    shutil.copytree(marian(tmp_path / "made").spm_files[0].rsplit("/", 1)[0], tmp_path / "t5")
    (tmp_path / "t5" / "source.spm").rename(tmp_path / "t5" / "spiece.model")
    original = transformers.T5Tokenizer.from_pretrained(tmp_path / "t5", extra_ids=0)
    monkeypatch.setattr(freezing, "_backend", without_decoder)
    with pytest.raises(VerificationError, match="decodes"):
        freezing.freeze(original, tmp_path, NAMES)


def test_chat_templates_lie_in_the_bundle(tmp_path: Path) -> None:
    original = ctrl(tmp_path / "checkpoint")
    original.chat_template = "{% for m in messages %}{{ m.content }}|{% endfor %}"
    made = frozen(original, tmp_path / "one")
    assert made.apply_chat_template([{"role": "user", "content": "the"}]) == "the|"
    assert (tmp_path / "one" / "chat_template.jinja").is_file()
    original.chat_template = {"default": "one {{ unk_token }}", "tool_use": "two"}
    made = frozen(original, tmp_path / "two")
    assert made.chat_templates == original.chat_template
    assert made.apply_chat_template([{"role": "user", "content": "the"}]) == "one <unk>"
    assert [path.name for path in (tmp_path / "two").iterdir() if path.is_dir()] == []  # what is listed is a file
    reloaded = transformers.CTRLTokenizer.from_pretrained(tmp_path / "two")
    assert reloaded.chat_template == original.chat_template


def test_scores_are_read_back(tmp_path: Path) -> None:
    draw = random.Random(0)
    scores = [0.0, -2.0122928619384766, -1e4, *(-(10 ** draw.uniform(-3, 2)) for _ in range(2000))]
    backend = Library(models.Unigram([(str(index), score) for index, score in enumerate(scores)], unk_id=0))
    save(backend, tmp_path / "tokenizer.json")
    written = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    read = json.loads(Library.from_file(str(tmp_path / "tokenizer.json")).to_str())["model"]["vocab"]
    plain = json.loads(Library.from_str(backend.to_str()).to_str())["model"]["vocab"]
    lost = sum(score != again for score, (_, again) in zip(scores, read, strict=True))
    assert lost < len(scores) / 100 < sum(score != again for score, (_, again) in zip(scores, plain, strict=True))
    assert max(abs(score - again) for score, (_, again) in zip(scores, written, strict=True)) < 1e-13


@pytest.mark.parametrize("score", [0.0, -1.0, -10000.0, -0.5, 1e-05, -3.25])
def test_short_decimals_stay_as_they_are(score: float) -> None:
    assert float(decimal(score)) == score
