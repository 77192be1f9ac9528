"""What stands in the place of an element that failed."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from runstone.errors import FailedElement


class Failed(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Stands for an element that has no value, and says why when it is used as if it had one.

    It can be looked at (`repr`, `isinstance`, `is`, `==` which means `is`, its fields), copied and pickled; anything
    else raises FailedElement.

    block, index: which element this is; index has one number for each axis its block was mapped over.
    error_type, message: the error that began it. origin: the failed element upstream because of which this one was
    never called, None if it was called itself.
    """

    block: str
    index: tuple[int, ...]
    error_type: str
    message: str
    origin: Failed | None = None

    @property
    def status(self) -> str:
        """`failed` if the function raised, `upstream_failed` if it was never called."""
        return "failed" if self.origin is None else "upstream_failed"

    def for_dependant(self, block: str, index: tuple[int, ...]) -> Failed:
        """The mark of an element that is not called because of this one."""
        return Failed(block, index, self.error_type, self.message, self if self.origin is None else self.origin)

    def explain(self) -> str:
        """One sentence: which element, and what went wrong."""
        error = f"{self.error_type}: {self.message}" if self.message else self.error_type
        if self.origin is None:
            return f"{_place(self)} failed with {error}"
        return f"{_place(self)} was not called, because {_place(self.origin)} failed with {error}"

    def __repr__(self) -> str:
        return f"<Failed: {self.explain()}>"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        # Names with an underscore are how Python, copy, pickle, notebooks and numpy ask what an object can do.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise FailedElement(f"{self.explain()}, so there is no value to use here")

    __call__ = __bool__ = __len__ = __iter__ = __next__ = __reversed__ = __contains__ = _refuse
    __getitem__ = __setitem__ = __delitem__ = __enter__ = __exit__ = __await__ = __aiter__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = __matmul__ = _refuse
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = __rpow__ = _refuse
    __rmatmul__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = _refuse
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = _refuse
    __neg__ = __pos__ = __abs__ = __invert__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refuse
    __int__ = __float__ = __complex__ = __index__ = __bytes__ = __fspath__ = __array__ = _refuse


def _place(failed: Failed) -> str:
    index = ", ".join(map(str, failed.index))
    return f"element {index} of block {failed.block!r}" if index else f"block {failed.block!r}"
