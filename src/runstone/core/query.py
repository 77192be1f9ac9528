"""The language in which runs are asked for: `status:failed pipeline:survey param.lr>0.1 -tag:draft since:7d`.

A query is a list of terms that all must hold. A term is `field:value`, with a comma between alternatives, or a word
that is looked for in names, ids and tags; `-` or NOT before it turns it around. Nothing here knows where runs are kept.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from difflib import get_close_matches

import msgspec

from runstone.core.query_fields import (
    CONTAINS,
    EQUAL,
    FIELDS,
    NAMED,
    ORDER,
    Field,
    Kind,
    Moment,
    Value,
    Word,
    read_values,
)
from runstone.errors import QueryError

WORD = "word"
"""The field of a term that is only a word."""
MOST_TERMS = 50
MOST_VALUES = 100
LONGEST = 4000

_OPERATORS = ("!=", "!~", ">=", "<=", ":", "=", "~", ">", "<")
_FIELD = re.compile(r"[^\W\d]\w*(?:\.[\w./-]+)?")
_OPERATOR = re.compile("|".join(map(re.escape, _OPERATORS)))
_HEAD = re.compile(f"{_FIELD.pattern}(?:{_OPERATOR.pattern})")
_BARE = re.compile(r'[^\s,"]+')
_UNKNOWN_TO_STORES = re.compile("[\0\ud800-\udfff]")
_NOT = re.compile(r"NOT\s")
_OR = re.compile(r"OR(?!\S)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Term(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition. It holds if it does for one of the values.

    field: a name of FIELDS, or `word`. operator: `=`, `~` (contains), `<`, `<=`, `>`, `>=`. name: of the parameter.
    """

    field: str
    operator: str
    values: tuple[Value, ...]
    name: str = ""
    negated: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of the terms must hold; without any, every run is meant."""

    terms: tuple[Term, ...] = ()

    def about(self, field: str) -> list[Term]:
        """The terms about one field."""
        return [term for term in self.terms if term.field == field]


def parse(text: str, zone: tzinfo = UTC) -> Query:
    """Read a query. zone: of days and times that name none. Raises QueryError, which knows the position."""
    return _Reader(text, zone).query()


class _Reader:
    """Goes through the text once. at: offset of the next character."""

    def __init__(self, text: str, zone: tzinfo) -> None:
        self.text = text
        self.zone = zone
        self.at = 0

    def query(self) -> Query:
        if len(self.text) > LONGEST:
            raise QueryError(f"the query has {len(self.text):,} characters, {LONGEST:,} are read", "...", 0)
        odd = _UNKNOWN_TO_STORES.search(self.text)
        if odd is not None:
            raise QueryError(f"{odd[0]!r} is in no text that was recorded", self.text, odd.start())
        terms: list[Term] = []
        began = self.at
        while self._skip_spaces():
            if len(terms) == MOST_TERMS:
                raise self._error(f"a query has at most {MOST_TERMS} terms")
            if _OR.match(self.text, self.at):
                raise self._no_or(terms[-1] if terms else None, self.text[began : self.at].strip())
            began = self.at
            terms.append(self._term())
        return Query(terms=tuple(terms))

    def _no_or(self, before: Term | None, said: str) -> QueryError:
        """What to write instead of OR. before: the term in front of it; said: how that is written."""
        at = self.at
        self.at += 2
        after, rest = None, ""
        if before is not None and self._skip_spaces():
            begin = self.at
            after = self._term()
            rest = self.text[begin : self.at]
        problem = "there is no OR between terms, all of them must hold"
        if before is None or after is None:
            return self._error(f"{problem}; alternatives of a field have a comma: status:failed,crashed", at)
        head = _HEAD.match(rest)
        alike = head is not None and said.startswith(head[0]) and before.operator not in ORDER
        if head is None or not alike:
            return self._error(f"{problem}; ask once for each, only the values of one field can be alternatives", at)
        return self._error(f"{problem}; alternatives of a field have a comma: {said},{rest[head.end() :]}", at)

    def _term(self) -> Term:
        negated = self._negation()
        begin = self.at
        name = _FIELD.match(self.text, begin)
        operator = _OPERATOR.match(self.text, name.end()) if name is not None else None
        if name is None or operator is None:
            return self._word(negated)
        field, param = self._field(name[0], begin)
        self.at = operator.end()
        return self._values(field, param, operator, negated)

    def _negation(self) -> bool:
        negated = False
        while True:
            begin = self.at
            if self.text.startswith("-", begin) and begin + 1 < len(self.text) and not self.text[begin + 1].isspace():
                self.at += 1
            elif _NOT.match(self.text, begin):
                self.at += 4
                if not self._skip_spaces():
                    raise self._error("NOT needs something behind it", begin)
            else:
                return negated
            negated = not negated

    def _word(self, negated: bool) -> Term:
        begin = self.at
        word = self._one()
        if not word.quoted:
            self._check_word(word.text, begin)
        if not word.text:
            raise self._error("there is nothing to look for", begin)
        if self.at < len(self.text) and not self.text[self.at].isspace():
            raise self._error("here a space is missing, or quotes around the whole")
        return Term(field=WORD, operator=CONTAINS, values=(word.text,), negated=negated)

    def _check_word(self, text: str, at: int) -> None:
        """Raise QueryError for what is hardly meant to be looked for, and would find nothing."""
        if text in ("AND", "NOT"):
            cure = "leave it out" if text == "AND" else "write what follows it"
            raise self._error(f"{text} is not needed, all terms must hold: {cure}", at)
        known, _, name = text.partition(".")
        if text in FIELDS or (known in NAMED and name):
            field, _ = self._field(text, at)
            cure = f'{field.example}; the word itself is found in quotes, "{text}"'
            raise self._error(f"{text!r} needs a value right behind it: {cure}", at)
        operator = _OPERATOR.match(text)
        if operator is not None:
            raise self._error(
                f"in front of {operator[0]!r} there is no field, and no space may be there: rows_in>100; "
                "what begins so is found in quotes",
                at,
            )
        if text.startswith(("(", "[", "{")):
            raise self._error("there are no brackets, all terms must hold; what begins with one is found in quotes", at)

    def _field(self, name: str, at: int) -> tuple[Field, str]:
        known, _, param = name.partition(".")
        if known in NAMED:
            if not param:
                raise self._error(f"name which one: {FIELDS[known].example}", at)
            return FIELDS[known], param
        if name in FIELDS:
            return FIELDS[name], ""
        close = get_close_matches(known.lower(), [*FIELDS, *_OFTEN_MEANT], n=1)
        meant = _OFTEN_MEANT.get(close[0], close[0]) if close else ""
        meant += f".{param or 'NAME'}" if meant in NAMED else ""
        hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(FIELDS)}"
        raise self._error(f"there is no field {name!r} to ask about; {hint}", at)

    def _values(self, field: Field, param: str, written: re.Match[str], negated: bool) -> Term:
        operator = {":": EQUAL, "!=": EQUAL, "!~": CONTAINS}.get(written[0], written[0])
        if operator not in field.operators:
            raise self._error(
                f"{field.name} does not go with {written[0]!r}; write it like this: {field.example}", written.start()
            )
        begin = self.at
        values: list[Value] = []
        while True:
            at = self.at
            word = self._one()
            if not word.text and not word.quoted:
                raise self._error(f"{field.name} needs {field.kind.value}, for example {field.example}", at)
            try:
                values += read_values(field, operator, word, self.zone)
            except ValueError as error:
                raise self._error(str(error), at) from None
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        if self.at < len(self.text) and not self.text[self.at].isspace():
            raise self._error("here a space is missing, or quotes around the whole value")
        if len(values) > 1 and (operator in ORDER or field.kind is Kind.MOMENT):
            raise self._error(f"{field.name} is compared with one value", begin)
        if len(values) > MOST_VALUES:
            raise self._error(f"a field has at most {MOST_VALUES} values", begin)
        self._check_moment(field, operator, values[0], begin)
        return Term(
            field=field.name,
            operator=operator,
            values=tuple(dict.fromkeys(values)) if field.kind is not Kind.PARAM else tuple(values),
            name=param,
            negated=negated ^ (written[0][0] == "!"),
        )

    def _check_moment(self, field: Field, operator: str, value: Value, at: int) -> None:
        if not isinstance(value, Moment) or operator != EQUAL or field.name in ("since", "until") or value.is_day:
            return
        raise self._error(f"{field.name} is a day here, like {field.name}:2026-01-31; otherwise use < or >", at)

    def _one(self) -> Word:
        """The value that stands here, in quotes or up to the next space or comma; empty if there is none."""
        if self.text.startswith('"', self.at):
            return self._quoted()
        match = _BARE.match(self.text, self.at)
        if match is None:
            return Word("")
        self.at = match.end()
        return Word(match[0])

    def _quoted(self) -> Word:
        begin = self.at
        at = begin + 1
        while at < len(self.text) and self.text[at] != '"':
            at += 2 if self.text[at] == "\\" else 1
        if at >= len(self.text):
            raise self._error("these quotes are not closed", begin)
        self.at = at + 1
        return Word(_ESCAPED.sub(r"\1", self.text[begin + 1 : at]), quoted=True)

    def _skip_spaces(self) -> bool:
        """Go to the next term; False at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def _error(self, problem: str, at: int | None = None) -> QueryError:
        return QueryError(problem, self.text, self.at if at is None else at)


_OFTEN_MEANT = {
    "state": "status",
    "name": "pipeline",
    "stage": "pipeline",
    "tags": "tag",
    "run_id": "id",
    "run": "id",
    "after": "since",
    "before": "until",
    "from": "since",
    "to": "until",
    "started_at": "started",
    "created_at": "created",
    "finished_at": "finished",
    "ended": "finished",
    "params": "param",
    "parameter": "param",
    "metrics": "metric",
    "token": "tokens",
    "input_rows": "rows_in",
    "output_rows": "rows_out",
    "calls": "llm_calls",
    "message": "error",
    "seconds": "duration",
    "machine": "host",
}
"""Words for which nobody thinks of ours at once."""
