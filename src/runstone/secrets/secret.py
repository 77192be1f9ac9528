"""`Secret`: a parameter whose value no record holds."""

from __future__ import annotations

from typing import NoReturn

from runstone.errors import InputError
from runstone.secrets import redaction, references

HIDDEN = redaction.MASK


class Secret:
    """A text that Runstone never writes: `Secret("env:NAME")`, `Secret("file:PATH")`, or the text itself.

    A reference is resolved when a run begins, and it is what the run keeps. The text itself is accepted for a run in
    this process; nobody can go on with that run without being given it again.

    Showing it shows the reference, or nothing; it cannot be pickled. `reveal()` gives the text.
    Raises InputError for what is no text, or is too short to be kept out of what is written.
    """

    __slots__ = ("_value", "reference")

    reference: str | None
    """Where the text is found; None if it was given itself."""

    def __init__(self, given: str) -> None:
        if not isinstance(given, str):
            raise InputError(
                f"Secret(...) takes a text, not a {type(given).__name__}: env:NAME, file:PATH, or the secret itself"
            )
        is_reference = references.is_reference(given)
        self.reference = given if is_reference else None
        self._value: str | None = None if is_reference else _kept_out(given, "Secret('***')")

    def reveal(self) -> str:
        """The text. Of a reference it is looked up now, unless a run has done so. Raises InputError if it is gone."""
        if self._value is not None:
            return self._value
        if self.reference is None:
            raise InputError("this secret was given as itself, and is kept nowhere: give it anew")
        return _kept_out(references.resolve(self.reference), self.reference)

    def resolved(self) -> Secret:
        """The same with its text, looked up now: what a run gives to its blocks. Raises InputError."""
        return self if self._value is not None else restored(self.reference, self.reveal())

    @property
    def is_known(self) -> bool:
        """Whether it has its text, or says where that is."""
        return self._value is not None or self.reference is not None

    def __repr__(self) -> str:
        return f"Secret({self.reference or HIDDEN!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self.reference is not None or other.reference is not None:
            return self.reference == other.reference
        return self._value is not None and self._value == other._value

    def __hash__(self) -> int:
        return hash((self.reference, None if self.reference else self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is neither stored nor sent: pass it as a parameter of its own, or use what reveal() gives"
        )


def recorded(reference: str | None) -> Secret:
    """What a record knows of one: the reference, or only that there was one."""
    return _made(reference, None)


def restored(reference: str | None, value: str) -> Secret:
    """One whose text is known already; kept out of all that this process writes from here on."""
    return _made(reference, _kept_out(value, reference or "Secret('***')"))


def _made(reference: str | None, value: str | None) -> Secret:
    found = Secret.__new__(Secret)
    found.reference, found._value = reference, value
    return found


def _kept_out(value: str, what: str) -> str:
    if len(value) < redaction.SHORTEST:
        length = f"only {len(value)} characters long: at least {redaction.SHORTEST}"
        raise InputError(
            f"{what} is {length if value else f'empty: at least {redaction.SHORTEST} characters'} are needed, "
            "or it could not be told from the rest of what is written"
        )
    redaction.learn(value)
    return value
