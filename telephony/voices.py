"""The voices that texts are spoken in: those of eSpeak NG, read from its data (`docs/voices.md` of its source), and
those of programs of the operator's (`SPEECH_PROGRAMS`), such as neural ones.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

_USUAL_RANK = 5  # of a language that has none in the file; lower is better
_ID, _LANGUAGE = re.compile(r"[a-z0-9-]{1,40}"), re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PROGRAMS_RANK = 0  # a language that the operator has a program for is spoken by it


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice: what documents call it, what people do, and the languages it speaks, its own first.

    `program` is what speaks by it (`telephony.speech`), its path first; nothing is eSpeak NG.
    """

    id: str
    name: str
    languages: tuple[str, ...]
    ranks: tuple[int, ...]  # how well it stands for each of the languages, less is better
    program: tuple[str, ...] = ()

    def rank(self, language: str) -> int | None:
        """Return how well it stands for a language (in small letters), None if not at all."""
        return self.ranks[self.languages.index(language)] if language in self.languages else None


class UnknownVoice(ValueError):
    """There is no voice of that name."""


class UnknownLanguage(ValueError):
    """No voice speaks the language, or not the one that is asked for."""


def voices() -> dict[str, Voice]:
    """Return every voice by its id, those of the operator's programs first: what two have in common is theirs."""
    programs = settings.SPEECH_PROGRAMS
    return programs | {name: voice for name, voice in _built_in().items() if name not in programs}


def of_programs(wanted: Mapping[str, Any]) -> dict[str, Voice]:
    """Return the voices that a setting names, as `{"amy": {"language": "en-US", "program": ["/usr/bin/speak"]}}`.

    Raises ValueError, in words for whoever wrote the setting.
    """
    if not isinstance(wanted, dict):
        raise ValueError("an object of voices by their ids")  # noqa: TRY004  for whoever wrote the setting, as the others
    found = {}
    for name, described in wanted.items():
        if not isinstance(described, dict) or described.keys() != {"language", "program"}:
            raise ValueError(f"{name} has a language and a program")
        language, program = described["language"], described["program"]
        if not re.fullmatch(r"[a-z0-9-]{1,40}", name) or not re.fullmatch(
            r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", language
        ):
            raise ValueError(f"{name} is in small letters, and its language as in en-US")
        if not isinstance(program, list) or not all(isinstance(word, str) for word in program):
            raise ValueError(f"the program of {name} is a list of words")
        if not program or not Path(program[0]).is_absolute():
            raise ValueError(f"the program of {name} begins with a whole path")
        found[name] = Voice(name, name.capitalize(), (language.lower(),), (_PROGRAMS_RANK,), tuple(program))
    return found


def is_built_in(name: str) -> bool:
    """Whether eSpeak NG has a voice of this id."""
    return name in _built_in()


def speaking(language: str) -> list[Voice]:
    """Return the voices of a language (BCP 47), of whatever country; '' is every language."""
    wanted = _main(language.lower())
    return [voice for voice in voices().values() if not language or wanted in map(_main, voice.languages)]


def choose(*, voice: str, language: str) -> str:
    """Return the id of the voice that is asked for by id, by language (BCP 47), or by both; '' is no wish,
    and '' the answer to none.

    A language stands for its best voice; one that no voice has in its own country for that without a country.
    Raises UnknownVoice, UnknownLanguage.
    """
    wanted = language.lower()
    if voice:
        chosen = voices().get(voice.lower())
        if chosen is None:
            raise UnknownVoice(voice)
        if chosen not in speaking(wanted):
            raise UnknownLanguage(language)
        return chosen.id
    if not wanted:
        return ""
    if found := _best(wanted) or _best(_main(wanted)):
        return found
    raise UnknownLanguage(language)


@cache
def _built_in() -> dict[str, Voice]:
    """Return eSpeak NG's voices by their ids, in the order of the ids."""
    data = Path(importlib.import_module("espeakng_loader").get_data_path())
    found = (_read(file, data) for file in (data / "lang").rglob("*") if file.is_file())
    return {voice.id: voice for voice in sorted(filter(None, found), key=lambda voice: voice.id)}


def _best(language: str) -> str:
    ranked = [(rank, voice.id) for voice in voices().values() if (rank := voice.rank(language)) is not None]
    return min(ranked)[1] if ranked else ""


def _main(language: str) -> str:
    return language.partition("-")[0]


def _read(file: Path, data: Path) -> Voice | None:
    """Read one voice; None for one that lacks its dictionary, and so cannot speak."""
    text = re.sub(r"//.*", "", file.read_text(errors="replace"))
    told = re.findall(r"^(name|language|dictionary)[ \t]+(.*\S)", text, re.MULTILINE)
    languages = [value.lower().split() for key, value in told if key == "language"]
    [name, *_] = [value for key, value in told if key == "name"]
    dictionary = next((value for key, value in told if key == "dictionary"), _main(languages[0][0]))
    if not (data / f"{dictionary}_dict").exists():
        return None
    return Voice(
        id=file.name.lower(),
        name=name,
        languages=tuple(tag for tag, *_ in languages),
        ranks=tuple(int(rank[0]) if rank else _USUAL_RANK for _, *rank in languages),
    )
