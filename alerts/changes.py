"""What another protocol would change: rule by rule, in the words of both. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from alerts.language.explain import explain, explain_protocol
from alerts.protocol import Protocol
from alerts.rule import Rule
from alerts.state import fingerprint
from alerts.wording import LANGUAGES

Kind = Literal["new", "gone", "judges", "calls", "words"]

KINDS: Final[tuple[Kind, ...]] = ("new", "gone", "judges", "calls", "words")
"""What matters most stands first."""

_WORDS: Final = frozenset({"version", "protocol", "titles", "say", "say_unanswered", "sentences", "source"})
"""Of a rule and its parts: what is told about it, and where it comes from."""
_CALLS: Final = frozenset({"priority", "kind", "calls", "calls_at_night", "cause", "joins"})
"""Of a rule: what follows once it has fired."""
_NOT_ITS_OWN: Final = frozenset({"joined_by"})
_END: Final = re.compile(r"(?<=\.) (?=[A-Z])|(?<=。)| \| ")


@dataclass(frozen=True, slots=True)
class Change:
    """One rule in two protocols. ``new``, ``gone``; it ``judges`` otherwise (and perhaps more), ``calls`` otherwise (and
    perhaps says other words), or only its ``words`` are others. ``keeps_state``: what it was watching goes on.
    """

    rule: str
    kind: Kind
    before: Rule | None
    after: Rule | None

    @property
    def keeps_state(self) -> bool:
        return (
            self.before is not None and self.after is not None and fingerprint(self.before) == fingerprint(self.after)
        )


def changes(before: Protocol, after: Protocol) -> list[Change]:
    """Every rule that is not the same in both, those that matter most first."""
    ids = dict.fromkeys([rule.id for protocol in (before, after) for rule in protocol.rules])
    pairs = ((rule_id, before.rule(rule_id), after.rule(rule_id)) for rule_id in ids)
    found = [Change(rule_id, kind, old, new) for rule_id, old, new in pairs if (kind := _kind(old, new))]
    return sorted(found, key=lambda change: KINDS.index(change.kind))


def _kind(before: Rule | None, after: Rule | None) -> Kind | None:
    if before is None or after is None:
        return "new" if before is None else "gone"
    if _bare(before, _WORDS | _CALLS) != _bare(after, _WORDS | _CALLS):
        return "judges"
    if _bare(before, _WORDS) != _bare(after, _WORDS):
        return "calls"
    return "words" if _bare(before) != _bare(after) else None


def _bare(value: Any, without: frozenset[str] = frozenset()) -> Any:
    """A rule or a part of one as plain tuples, without some of its fields however deep they lie."""
    if is_dataclass(value):
        kept = [f.name for f in fields(value) if f.name not in without | _NOT_ITS_OWN]
        return tuple((name, _bare(getattr(value, name), without)) for name in kept)
    if isinstance(value, Mapping):
        return tuple((name, _bare(part, without)) for name, part in sorted(value.items()))
    return tuple(_bare(part, without) for part in value) if isinstance(value, tuple) else value


def told(change: Change, before: Protocol, after: Protocol, language: str) -> list[str]:
    """A change in sentences: ``+`` what comes, ``-`` what goes. A rule that is new or gone is explained in full."""
    old = _sentences(explain(change.before, language, before)) if change.before else []
    new = _sentences(explain(change.after, language, after)) if change.after else []
    if change.before is None or change.after is None:
        return _differing(old, new)
    return [*_differing(old, new), *_differing(list(_spoken(change.before)), list(_spoken(change.after)))]


def _sentences(text: str) -> list[str]:
    return [sentence.strip(" |") for sentence in _END.split(text) if sentence.strip(" |")]


def _spoken(rule: Rule) -> Iterator[str]:
    """Everything that is said to somebody, in both languages, each with whom it is said to."""
    said: list[tuple[str, Mapping[str, str]]] = [("title", rule.titles)]
    said += [("asked", rule.ask.sentences)] if rule.ask else []
    said += [(audience, sentences) for audience, sentences in rule.say.items()]
    said += [(f"{audience}, unanswered", sentences) for audience, sentences in (rule.say_unanswered or {}).items()]
    yield from (f"{whom} ({language}): {sentences[language]}" for whom, sentences in said for language in LANGUAGES)


def _differing(before: Sequence[str], after: Sequence[str]) -> list[str]:
    lines = []
    for what, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what != "equal":
            lines += [f"- {text}" for text in before[i:j]] + [f"+ {text}" for text in after[k:m]]
    return lines


def values_told(before: Protocol, after: Protocol, language: str) -> list[str]:
    """What changes of groups, of numbers that may be set, and of scores, in the same signs."""
    return _differing(_values(before, language), _values(after, language))


def _values(protocol: Protocol, language: str) -> list[str]:
    rules = {explain(rule, language, protocol) for rule in protocol.rules}
    _summary, *paragraphs = explain_protocol(protocol, language).split("\n\n")
    return [said for said in paragraphs if said not in rules and not _is_heading(said)]


def _is_heading(paragraph: str) -> bool:
    return "." not in paragraph and "。" not in paragraph
