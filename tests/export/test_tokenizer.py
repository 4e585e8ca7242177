"""Freezing tokenizers: real vocabularies from before tokenizer.json, and damaged ones."""

import json
import shutil
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, models, normalizers

from tests.export import models as checkpoints
from torchless import ExportError, VerificationError
from torchless.export import tokenizer as freezing

pytestmark = pytest.mark.export

NAMES = ("input_ids", "attention_mask")

# Model type, folder of the shared data, and the files that a checkpoint would have.
REAL = [
    ("bert", "bert-base-cased", ["vocab.txt"]),
    ("bert", "bert-base-uncased", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]),
    ("distilbert", "bert-base-cased", ["vocab.txt"]),
    ("mpnet", "bert-base-uncased", ["vocab.txt"]),
    ("albert", "albert", ["spiece.model"]),
    ("xlnet", "xlnet-base-cased", ["spiece.model"]),
    ("t5", "t5", ["spiece.model"]),
    ("roberta", "roberta-base", ["vocab.json", "merges.txt"]),
    ("roberta", "roberta-base", ["tokenizer.json", "tokenizer_config.json"]),
    ("gpt2", "gpt2", ["vocab.json", "merges.txt"]),
]


def load(
    folder: Path, shared_data: Path, model_type: str, source: str, files: list[str]
) -> transformers.TokenizersBackend:
    folder.mkdir()
    for file in files:
        shutil.copy(shared_data / "tokenizers" / source / file, folder / file)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(("model_type", "source", "files"), REAL)
def test_real_vocabularies(tmp_path: Path, shared_data: Path, model_type: str, source: str, files: list[str]) -> None:
    original = load(tmp_path / "checkpoint", shared_data, model_type, source, files)
    (tmp_path / "bundle").mkdir()
    freezing.freeze(original, tmp_path / "bundle", NAMES)
    frozen = Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    reloaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    for text in ("The Café's 3rd naïve test…", "它是 a test 😀", "  spaced   out "):
        assert frozen.encode(text, "pair").ids == original(text, "pair")["input_ids"]
        assert reloaded(text, "pair")["input_ids"] == original(text, "pair")["input_ids"]


def test_lower_casing_is_kept(tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "checkpoint"
    load(folder, shared_data, "bert", "bert-base-cased", ["vocab.txt"])
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    original = transformers.AutoTokenizer.from_pretrained(folder)
    freezing.freeze(original, tmp_path, NAMES)
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("Hello").tokens == ["[CLS]", "Hello", "[SEP]"]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["do_lower_case"] is False


def test_config_for_the_runtime(tmp_path: Path) -> None:
    freezing.freeze(checkpoints.tokenizer_for("bert"), tmp_path, NAMES)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    special = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
    assert {name: config[f"{name}_token"] for name in special} == special
    assert config["model_max_length"] == 64
    assert (config["padding_side"], config["truncation_side"]) == ("right", "right")
    assert config["model_input_names"] == list(NAMES)
    assert config["clean_up_tokenization_spaces"] is False


def test_truncation_and_padding_are_dropped(tmp_path: Path) -> None:
    original = checkpoints.tokenizer_for("bert")
    original(["a", "the film"], padding=True, truncation=True, max_length=5)
    assert original.backend_tokenizer.truncation is not None
    freezing.freeze(original, tmp_path, NAMES)
    frozen = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert (frozen.truncation, frozen.padding) == (None, None)


def test_added_tokens(tmp_path: Path) -> None:
    original = checkpoints.tokenizer_for("bert")
    original.add_tokens(["<ent>", "New York"])
    freezing.freeze(original, tmp_path, NAMES)
    frozen = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    wanted = [frozen.token_to_id(token) for token in ("a", "<ent>", "New York")]
    assert frozen.encode("a <ent>New York", add_special_tokens=False).ids == wanted


def test_no_fast_form(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["<cls>", "<pad>", "<eos>", "<unk>", "A", "C", "<mask>"]))
    with pytest.raises(ExportError, match="EsmTokenizer has no fast form"):
        freezing.freeze(transformers.EsmTokenizer(str(tmp_path / "vocab.txt")), tmp_path, NAMES)


def test_tokenizer_that_fails(tmp_path: Path) -> None:
    """A WordPiece vocabulary without the unknown token cannot encode every text."""
    original = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordPiece({"a": 0}, unk_token="[UNK]"))
    )
    with pytest.raises(ExportError, match="cannot encode"):
        freezing.freeze(original, tmp_path, NAMES)


def test_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen tokenizer that keeps accents is not the original, which strips them."""

    def keep_accents(original: transformers.TokenizersBackend) -> Tokenizer:
        backend = Tokenizer.from_str(original.backend_tokenizer.to_str())
        backend.normalizer = normalizers.BertNormalizer(strip_accents=False)
        return backend

    monkeypatch.setattr(freezing, "_backend", keep_accents)
    with pytest.raises(VerificationError, match="input_ids"):
        freezing.freeze(checkpoints.tokenizer_for("bert"), tmp_path, NAMES)
