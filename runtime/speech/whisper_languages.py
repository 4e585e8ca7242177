"""The languages of Whisper: codes, English names, and which of them are written without spaces."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import OptionError

# In the order of Whisper's language tokens; the last one came with large-v3.
LANGUAGES: Mapping[str, str] = {
    code: name.replace("_", " ")
    for code, _, name in (
        pair.partition(":")
        for pair in (
            "en:english zh:chinese de:german es:spanish ru:russian ko:korean fr:french ja:japanese pt:portuguese "
            "tr:turkish pl:polish ca:catalan nl:dutch ar:arabic sv:swedish it:italian id:indonesian hi:hindi "
            "fi:finnish vi:vietnamese he:hebrew uk:ukrainian el:greek ms:malay cs:czech ro:romanian da:danish "
            "hu:hungarian ta:tamil no:norwegian th:thai ur:urdu hr:croatian bg:bulgarian lt:lithuanian la:latin "
            "mi:maori ml:malayalam cy:welsh sk:slovak te:telugu fa:persian lv:latvian bn:bengali sr:serbian "
            "az:azerbaijani sl:slovenian kn:kannada et:estonian mk:macedonian br:breton eu:basque is:icelandic "
            "hy:armenian ne:nepali mn:mongolian bs:bosnian kk:kazakh sq:albanian sw:swahili gl:galician "
            "mr:marathi pa:punjabi si:sinhala km:khmer sn:shona yo:yoruba so:somali af:afrikaans oc:occitan "
            "ka:georgian be:belarusian tg:tajik sd:sindhi gu:gujarati am:amharic yi:yiddish lo:lao uz:uzbek "
            "fo:faroese ht:haitian_creole ps:pashto tk:turkmen nn:nynorsk mt:maltese sa:sanskrit lb:luxembourgish "
            "my:myanmar bo:tibetan tl:tagalog mg:malagasy as:assamese tt:tatar haw:hawaiian ln:lingala ha:hausa "
            "ba:bashkir jw:javanese su:sundanese yue:cantonese"
        ).split()
    )
}
"""Code to English name."""

_ALIASES = {
    "burmese": "my",
    "valencian": "ca",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "pushto": "ps",
    "panjabi": "pa",
    "moldavian": "ro",
    "moldovan": "ro",
    "sinhalese": "si",
    "castilian": "es",
    "mandarin": "zh",
}
_CODES = {name: code for code, name in LANGUAGES.items()} | _ALIASES

UNSPACED = frozenset({"chinese", "japanese", "thai", "lao", "myanmar", "cantonese"})
"""Languages whose words are not told apart by spaces."""


def language_id(language: str, known: Mapping[str, int]) -> int:
    """The token id of a language.

    Args:
        language: a code, an English name, or a token such as ``"<|de|>"``.
        known: the checkpoint's ``lang_to_id``, token to id.

    Raises:
        OptionError: there is no such language, or the checkpoint does not know it.

    Example:
        >>> language_id("German", {"<|en|>": 50259, "<|de|>": 50261})
        50261
    """
    wanted = language.lower()
    code = _CODES.get(wanted, wanted)
    token = wanted if wanted in known else f"<|{code}|>"
    if token not in known:
        spoken = ", ".join(sorted(name.strip("<|>") for name in known))
        why = "the checkpoint does not know it" if code in LANGUAGES else "there is no such language"
        raise OptionError(f"language={language!r}: {why}; it knows {spoken}, by code or English name")
    return known[token]


def language_name(token: str) -> str | None:
    """The English name of a language's token, or None where it is no language.

    Example:
        >>> language_name("<|de|>"), language_name("<|transcribe|>")
        ('german', None)
    """
    return LANGUAGES.get(token[2:-2])
