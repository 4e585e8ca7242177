"""Translation: which languages, and how a checkpoint knows them."""

import pickle

import pytest

from torchless import OptionError, TaskError, pipeline, tasks

from .factories import edit_json
from .generation_factories import make_seq2seq

MEANING = {"hund": {"dog": -1, "chien": -1}, "de>en:": {"dog": -2}, "de>fr:": {"chien": -2}}
SPECIFIC = {
    "translation_de_to_en": {"prefix": "de>en: "},
    "translation_de_to_fr": {"prefix": "de>fr: ", "num_beams": 2},
}


@pytest.fixture
def tasked(tmp_path):
    """Knows languages by the tasks of its configuration."""
    return make_seq2seq(tmp_path / "tasked", MEANING, task_specific_params=SPECIFIC)


@pytest.fixture
def plain(tmp_path):
    """One pair, of which it says nothing."""
    return make_seq2seq(tmp_path / "plain", {"hund": {"dog": 2}})


@pytest.fixture
def multilingual(tmp_path):
    """Knows languages by tokens: an answer says which one it was asked for, and the input which one it is in."""
    meaning = {"hund": {"[de]": 0, "[fr]": 0, "dog": 2}, "[de]": {"from-de": 3}, "[fr]": {"from-fr": 3}}
    folder = make_seq2seq(tmp_path / "many", meaning)
    languages = {
        "tokens": {"de_DE": "[de]", "fr_FR": "[fr]"},
        "prefix": [],
        "suffix": ["</s>", None],
        "default": "de_DE",
    }
    edit_json(folder / "tokenizer_config.json", torchless={"languages": languages})
    return folder


def text(answers):
    return answers[0]["translation_text"]


@pytest.mark.parametrize("task", ["translation_de_to_en", "translation_xx_to_yy", "translation_en_XX_to_ro_RO"])
def test_a_pair_of_languages_is_a_name_of_the_task(task):
    assert tasks.normalize(task) == "translation"
    first, _, second = task.removeprefix("translation_").partition("_to_")
    assert tasks.options(task) == {"languages": (first, second)}
    assert tasks.options("translation") == tasks.options("summarization") == {}


@pytest.mark.parametrize("task", ["translation_de", "translation_to_en", "translation_de_to_", "translate_de_to_en"])
def test_a_malformed_pair(plain, task):
    with pytest.raises(TaskError, match="translation_xx_to_yy"):
        pipeline(task, plain)


def test_languages_by_tasks_of_the_configuration(tasked):
    assert text(pipeline("translation_de_to_en", tasked)("hund")) == "dog"
    to_french = pipeline("translation_de_to_fr", tasked)
    assert text(to_french("hund")) == "chien"
    assert to_french._options({}).config.num_beams == 2
    translate = pipeline("translation", tasked)
    assert text(translate("hund", src_lang="de", tgt_lang="fr")) == "chien"
    assert text(translate("hund", src_lang="de", tgt_lang="en")) == "dog"
    assert text(to_french("hund", src_lang="de", tgt_lang="en")) == "dog"


def test_the_first_task_of_the_configuration_is_taken_where_none_is_named(tasked):
    translate = pipeline("translation", tasked)
    with pytest.warns(UserWarning, match="taking the first of translation_de_to_en, translation_de_to_fr"):
        assert text(translate("hund")) == "dog"


@pytest.mark.parametrize("options", [{"src_lang": "de", "tgt_lang": "xx"}, {"tgt_lang": "fr"}, {"src_lang": "fr"}])
def test_a_pair_that_the_configuration_lacks(tasked, options):
    with pytest.raises(OptionError, match="it knows translation_de_to_en, translation_de_to_fr"):
        pipeline("translation", tasked, **options)
    with pytest.raises(OptionError, match="it knows translation_de_to_en, translation_de_to_fr"):
        pipeline("translation_de_to_es", tasked)


def test_a_checkpoint_of_one_pair(plain):
    assert text(pipeline("translation", plain)("hund")) == "dog"
    assert text(pipeline("translation_de_to_en", plain)("hund")) == "dog"


@pytest.mark.parametrize("options", [{"tgt_lang": "en"}, {"src_lang": "de"}, {"src_lang": "de", "tgt_lang": "en"}])
def test_languages_of_a_checkpoint_that_has_none(plain, options):
    with pytest.raises(OptionError, match="its checkpoint names no languages"):
        pipeline("translation", plain)("hund", **options)
    with pytest.raises(OptionError, match="its checkpoint names no languages"):
        pipeline("translation_de_to_en", plain)("hund", **options)


def test_languages_by_tokens(multilingual):
    translate = pipeline("translation", multilingual)

    def words(**options):
        return translate("hund", skip_special_tokens=False, **options)[0]["translation_text"].split()[1:]

    assert words(tgt_lang="fr_FR")[0] == "[fr]"
    assert words(tgt_lang="de_DE")[0] == "[de]"
    assert "from-de" in words(src_lang="de_DE", tgt_lang="fr_FR")
    assert "from-fr" in words(src_lang="fr_FR", tgt_lang="de_DE")
    assert "from-fr" not in words(src_lang="de_DE", tgt_lang="de_DE")
    by_name = pipeline("translation_fr_FR_to_de_DE", multilingual)
    assert by_name("hund") == translate("hund", src_lang="fr_FR", tgt_lang="de_DE")


def test_unknown_languages(multilingual):
    with pytest.raises(OptionError, match="unknown language 'xx'; the tokenizer knows de_DE, fr_FR"):
        pipeline("translation", multilingual, tgt_lang="xx")
    translate = pipeline("translation", multilingual, tgt_lang="fr_FR")
    with pytest.raises(OptionError, match="unknown language 'xx'; the tokenizer knows de_DE, fr_FR"):
        translate("hund", src_lang="xx")
    assert "dog" in text(translate("hund"))


def test_a_target_has_to_be_named(multilingual):
    for options in ({}, {"src_lang": "de_DE"}):
        with pytest.raises(OptionError, match="tgt_lang names the one to translate to"):
            pipeline("translation", multilingual)("hund", **options)


@pytest.mark.parametrize("options", [{"src_lang": 5}, {"tgt_lang": ["de"]}, {"languages": "de"}, {"languages": ("de",)},
                                     {"languages": (1, 2)}])  # fmt: skip
def test_malformed_options(plain, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        pipeline("translation", plain, **options)


def test_pickling_keeps_the_languages(tasked):
    copy = pickle.loads(pickle.dumps(pipeline("translation_de_to_fr", tasked)))
    assert text(copy("hund")) == "chien"
