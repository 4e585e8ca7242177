"""The ``torchless`` command for tasks that generate text."""

import json
import os
import subprocess
import sys

import pytest

from torchless import cli_run

from .generation_factories import ids, make_causal, make_seq2seq

ROUND = {"a": {"b": 2, "c": 1}, "b": {"c": 3}, "c": {"a": 1, "</s>": 0.5}, "?": {"b": 1}}
MEANING = {"der": {"the": 3}, "hund": {"dog": 2}, "katze": {"cat": 2}, "de>en:": {"dog": 2}}
GREEDY = ("--do-sample", "false", "--max-new-tokens", "4")


@pytest.fixture
def causal(tmp_path):
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return make_causal(tmp_path / "causal", ROUND, tokenizer={"chat_template": template})


@pytest.fixture
def seq2seq(tmp_path):
    return make_seq2seq(tmp_path / "seq2seq", MEANING)


@pytest.fixture
def tasked(tmp_path):
    specific = {"translation_de_to_en": {"prefix": "de>en: "}}
    return make_seq2seq(tmp_path / "tasked", MEANING, task_specific_params=specific)


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal."""

    def show(*arguments, run):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        return run(*arguments)

    return show


def test_text_generation(run, causal):
    assert run("run", "text-generation", causal, "a", *GREEDY) == (0, "abcab\n", "")
    assert run("run", "auto", causal, "a", "b", *GREEDY) == (0, "abcab\nbcabc\n", "")


def test_json_lines(run, causal):
    out = run("run", "text-generation", causal, "a", "b", *GREEDY, "--json")[1]
    assert [json.loads(line) for line in out.splitlines()] == [
        [{"generated_text": "abcab"}], [{"generated_text": "bcabc"}]
    ]  # fmt: skip
    out = run("run", "text-generation", causal, "a", *GREEDY, "--json", "--return-tensors", "true")[1]
    assert json.loads(out) == [{"generated_token_ids": ids("abcab")}]


def test_a_seed(run, causal):
    words = ("run", "text-generation", causal, "a", "--max-new-tokens", "30", "--do-sample", "true", "--seed", "1")
    assert run(*words) == run(*words)
    assert run(*words)[1] != run(*words[:-1], "2")[1]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--suppress-tokens", json.dumps(ids("b"))], "acaca\n"),
        (["--bad-words-ids", json.dumps([ids("ab")])], "acaca\n"),
        (["--stop-strings", "ca"], "abca\n"),
        (["--stop-sequence", '["ca", "b"]'], "ab\n"),
        (["--eos-token-id", json.dumps(ids("cb"))], "ab\n"),
        (["--num-beams", "2", "--num-return-sequences", "2", "--early-stopping", "never"], "abcab\nabc\n"),
        (["--max-length", "3", "--max-new-tokens", "none"], "abc\n"),
        (["--prefix", "b", "--return-full-text", "false"], "bcab\n"),
        (["--sequence-bias", json.dumps([[ids("c"), 5.0]])], "acaca\n"),
    ],
)
def test_options_of_generation(run, causal, flags, expected):
    assert run("run", "text-generation", causal, "a", *GREEDY, *flags)[:2] == (0, expected)


def test_a_chat(run, causal):
    chat = json.dumps([{"role": "user", "content": "a?"}])
    assert run("run", "text-generation", causal, chat, *GREEDY) == (0, "bcab\n", "")
    out = run("run", "text-generation", causal, "-", *GREEDY, "--json", stdin=f"{chat}\na\n")[1].splitlines()
    assert json.loads(out[0])[0]["generated_text"][-1] == {"role": "assistant", "content": "bcab"}
    assert json.loads(out[1]) == [{"generated_text": "abcab"}]
    assert run("run", "text-generation", causal, "[{a", *GREEDY)[1] == "[{abcab\n"


def test_next_token(run, causal):
    assert run("run", "next-token", causal, "a", "--top-k", "2")[1] == "69  b  0.7311\n70  c  0.2689\n"


def test_translation(run, seq2seq, tasked):
    assert run("run", "translation", seq2seq, "der hund") == (0, "the dog\n", "")
    assert run("run", "translation_de_to_en", tasked, "der") == (0, "the dog\n", "")
    assert run("run", "translation", tasked, "der", "--src-lang", "de", "--tgt-lang", "en") == (0, "the dog\n", "")
    assert run("run", "auto", seq2seq, "der hund", "--json")[1] == '[{"generated_text": "the dog"}]\n'


def test_a_file_is_one_input_of_summarization(run, seq2seq, tmp_path):
    (tmp_path / "article.txt").write_text("der\nhund\n", encoding="utf-8")
    article = tmp_path / "article.txt"
    assert run("run", "summarization", seq2seq, article) == (0, "the dog\n", "")
    assert run("run", "summarization", seq2seq, "-", stdin="der\nhund\n") == (0, "the dog\n", "")
    assert run("run", "summarization", seq2seq, article, "--lines") == (0, "the\ndog\n", "")
    assert run("run", "text2text-generation", seq2seq, article) == (0, "the\ndog\n", "")
    assert run("run", "translation", seq2seq, article, "--no-lines") == (0, "the dog\n", "")


def test_text_is_shown_as_it_is_made_on_a_terminal(run, terminal, causal, monkeypatch):
    shown = []
    monkeypatch.setattr("builtins.print", lambda text="", **options: shown.append(text))
    assert terminal("run", "text-generation", causal, "a", *GREEDY, run=run)[0] == 0
    assert shown == ["a", "b", "c", "a", "b", ""]


def test_a_terminal_shows_what_a_file_gets(run, terminal, causal, seq2seq):
    chat = json.dumps([{"role": "user", "content": "a?"}])
    for words in (("text-generation", causal, "a", *GREEDY), ("text-generation", causal, "a", "bc", *GREEDY),
                  ("text-generation", causal, "a", "--seed", "3"), ("text-generation", causal, chat, *GREEDY),
                  ("text-generation", causal, "a", *GREEDY, "--return-full-text", "false"),
                  ("text-generation", causal, "a", *GREEDY, "--num-beams", "2"),
                  ("text-generation", causal, "a", *GREEDY, "--json"), ("summarization", seq2seq, "der hund"),
                  ("translation", seq2seq, "der hund", "--num-beams", "1")):  # fmt: skip
        assert run("run", *words) == terminal("run", *words, run=run)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["text-generation", "{causal}", "a", "--max-new-tokens", "0"], "max_new_tokens must be"),
        (
            ["text-generation", "{causal}", "a", "--num-return-sequences", "2", "--do-sample", "false"],
            "needs do_sample",
        ),
        (["text-generation", "{causal}", "a", "--bad-words-ids", "words"], "bad_words_ids must be"),
        (["text-generation", "{causal}", '[{"role": "user"}]'], "a message is a dictionary"),
        (["text-generation", "{seq2seq}", "a"], "needs a language model"),
        (["summarization", "{causal}", "a"], "needs an encoder and a decoder"),
        (["translation_de_to_fr", "{tasked}", "a"], "it knows translation_de_to_en"),
        (["translation", "{tasked}", "a", "--tgt-lang", "fr"], "does not translate from None to 'fr'"),
        (["translation_to_en", "{seq2seq}", "a"], "unknown task"),
    ],
)
def test_mistakes(run, causal, seq2seq, tasked, words, message):
    places = {"{causal}": str(causal), "{seq2seq}": str(seq2seq), "{tasked}": str(tasked)}
    status, out, err = run("run", *(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    assert err.startswith("torchless: ")
    assert message in err
    assert err.count("\n") == 1


def test_flags_of_functions_do_not_exist(run, causal):
    assert run("run", "text-generation", causal, "a", "--stopping", "x")[0] == 2
    assert run("run", "text-generation", causal, "a", "--generation-config", "x")[0] == 2


def test_help_lists_the_options_of_generation_once(run):
    out = run("run", "--help")[1]
    for option in ("--no-repeat-ngram-size", "--num-beams", "--top-p"):
        assert out.count(option) == (2 if option == "--top-p" else 1)
    for word in ("--return-full-text", "--seed", "--tgt-lang", "translation_xx_to_yy", "next-token", "--lines"):
        assert word in out


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int | tuple[int, ...] | None", "[1, 2]", [1, 2]),
        ("tuple[tuple[int, ...], ...] | None", "[[1], [2, 3]]", [[1], [2, 3]]),
        ("bool | Literal['never']", "never", "never"),
        ("bool | Literal['never']", "true", True),
        ("tuple[str, ...] | None", "a, b", "a, b"),
        ("Mapping[str, Any] | None", '{"enable_thinking": false}', {"enable_thinking": False}),
        ("float | None", "none", None),
        ("float", "1e-3", 0.001),
        ("str | None", "none", "none"),
    ],
)
def test_the_value_of_an_option(annotation, text, value):
    assert cli_run.value(annotation, text) == value


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a POSIX terminal")
def test_a_real_terminal(causal):
    reader, writer = os.openpty()
    words = ["run", "text-generation", str(causal), "a", *GREEDY]
    with os.fdopen(writer, "w") as screen:
        subprocess.run([sys.executable, "-m", "torchless", *words], stdout=screen, check=True, timeout=60)
        screen.flush()
        assert os.read(reader, 100) == b"abcab\r\n"
    os.close(reader)
