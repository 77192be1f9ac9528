"""Results of tracked code: taken from the cache where code and inputs are the same, and kept there."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from runstone.cache.pieces import Header, Piece
from runstone.cache.store import Store
from runstone.core.cached import Recipe, from_nearest, key_of
from runstone.core.causes import Cause, Why
from runstone.core.events import Miss
from runstone.engine import code
from runstone.engine.caching.run_cache import RunCache
from runstone.engine.encode import encode_values
from runstone.engine.track import body, complaints, given
from runstone.engine.value_digests import Digests
from runstone.errors import CurrentFolderGone, FolderError, NotStorable, RunError, SettingError
from runstone.folder import clock
from runstone.folder.values import decode_small
from runstone.secrets.given import digest_of, shown
from runstone.secrets.secret import Secret

if TYPE_CHECKING:
    from runstone.engine.track.tracked import Tracked

RESULT = "result"
_ITEM = "item"

_caches: dict[tuple[str, str], RunCache] = {}


class Checkpoint:
    """The result of one tracked run, if the cache has it, and what it is kept by.

    from_run: the run that has computed it, None if it has to be computed.
    """

    def __init__(self, cache: RunCache | None, run_id: str, recipe: Recipe | None) -> None:
        self.from_run: str | None = None
        self.value: Any = None
        self._cache = cache
        self._run_id = run_id
        self._recipe = recipe
        if cache is not None and recipe is not None:
            self._look(cache, recipe)

    @property
    def found(self) -> bool:
        """Whether there is a result to be loaded."""
        return self.from_run is not None

    def _look(self, cache: RunCache, recipe: Recipe) -> None:
        key = key_of(recipe.base, b"")

        def look(store: Store) -> list[Why]:
            place = store.find([key], since=cache.since).get(key)
            piece = None if place is None else store.piece(place.piece)
            if place is not None and (piece is None or not piece.is_at(key, place.position) or not self._load(piece)):
                store.forget([place.piece])
            elif place is not None:
                self.from_run = place.run
                cache.used(place.piece)
                return []
            return from_nearest(recipe, store.recipes(recipe.stage), _ITEM) or [Why(cause=Cause.NOT_CACHED)]

        why = cache.attempt(look)
        if why is not None:
            _looked(cache, recipe.stage, self._run_id, why, found=self.found)

    def _load(self, piece: Piece) -> bool:
        try:
            small = piece.header.values.get(RESULT)
            self.value = piece.cells(RESULT)[0] if small is None else decode_small(small.value, trust=True)
        except (FolderError, IndexError):
            # its class was moved since, say
            return False
        return True

    def take(self, run: Tracked) -> bool:
        """Whether there is a result; then the run says from which one."""
        if self.from_run is None:
            return False
        run.say_reused(self.from_run)
        return True

    def save(self, value: Any) -> None:
        """Keep a result for the next time."""
        cache, recipe = self._cache, self._recipe
        if cache is None or recipe is None:
            return
        try:
            small, large = encode_values("", {RESULT: value})
        except NotStorable as refusal:
            complaints.once(f"unstorable {recipe.stage}", f"the result of {recipe.stage} is not cached: {refusal}")
            return
        header = Header(count=1, outputs=[RESULT], columns=[] if large is None else large.header.columns, values=small)
        payload = [] if large is None else large.payload
        key = key_of(recipe.base, b"")
        cache.attempt(lambda store: store.keep(recipe, self._run_id, header, key, b"", payload))


def of_body(run: Tracked, options: Mapping[str, Any], frame: FrameType | None) -> Checkpoint:
    """What the cache has for the code inside of `with`, which a frame is in, or for that which `code=` names.

    Never raises.
    """
    stage, digests = _stage(run), Digests()
    try:
        cache = _cache(options)
        if cache is None:
            return Checkpoint(None, run.run_id, None)
        inputs = _inputs(options)
        named = options.get("code")
        if named is not None:
            functions = list(named) if isinstance(named, list | tuple) else [named]
            parts, function = _code_of(functions), ", ".join(map(code.name_of, functions))
        else:
            found = None if frame is None else body.of(frame, run, inputs)
            if found is None:
                _complain(stage, "its code cannot be found in a source file: name it, code=function")
                return Checkpoint(None, run.run_id, None)
            parts, function = code.parts(found.function, None), found.name
            held = {name: ("an input", *names) for name, names in found.given.items()}
            inputs |= {f"variable {name}": value for name, value in {**shown(found.variables), **held}.items()}
        return _checkpoint(cache, run.run_id, stage, function, parts, inputs, digests)
    except Exception as error:
        complaints.unexpected(error)
        return Checkpoint(None, run.run_id, None)


class Process:
    """A function that windows are given to, as the cache knows it: its code is looked at once."""

    def __init__(self, process: Callable[[Any], Any], options: Mapping[str, Any]) -> None:
        name = getattr(process, "__qualname__", type(process).__name__)
        self.stage = given.as_text(f"windows/{name}")
        self._process = process
        self._function = code.name_of(process)
        self._options = options
        self._cache: RunCache | None = None
        self._digests = Digests()
        self._parts: dict[str, str] = {}
        try:
            self._cache = _cache(options)
            self._parts = code.parts(process, None)
        except Exception as error:
            complaints.unexpected(error)

    def processed(self, runs: Iterable[Tracked]) -> list[Any]:
        """What the function returns for the item of each run, or has returned before."""
        results = []
        try:
            for run in runs:
                with run:
                    checkpoint = self._of(run)
                    if not checkpoint.take(run):
                        checkpoint.value = self._process(run.item)
                        checkpoint.save(checkpoint.value)
                    results.append(checkpoint.value)
        finally:
            self._close()
        return results

    async def processed_async(self, runs: Iterable[Tracked]) -> list[Any]:
        """The same of a coroutine function."""
        results = []
        try:
            for run in runs:
                with run:
                    checkpoint = self._of(run)
                    if not checkpoint.take(run):
                        checkpoint.value = await self._process(run.item)
                        checkpoint.save(checkpoint.value)
                    results.append(checkpoint.value)
        finally:
            self._close()
        return results

    def _of(self, run: Tracked) -> Checkpoint:
        try:
            inputs = {_ITEM: run.item, **_inputs(self._options)}
            return _checkpoint(self._cache, run.run_id, self.stage, self._function, self._parts, inputs, self._digests)
        except Exception as error:
            complaints.unexpected(error)
            return Checkpoint(None, run.run_id, None)

    def _close(self) -> None:
        if self._cache is not None:
            self._cache.close()


def _checkpoint(
    cache: RunCache | None,
    run_id: str,
    stage: str,
    function: str,
    parts: dict[str, str],
    inputs: dict[str, Any],
    digests: Digests,
) -> Checkpoint:
    if cache is None:
        return Checkpoint(None, run_id, None)
    told: dict[str, str] = {}
    why: list[Why] = []
    for name, value in inputs.items():
        digest = _digest(digests, name, value)
        if digest is None:
            why.append(Why(cause=Cause.INPUT_UNKNOWN, subject=name))
        else:
            told[name] = digest
    recipe = Recipe(stage=stage, function=function, code=parts, outputs=[RESULT], inputs=told, varying=[])
    why = [*recipe.unresolved, *why]
    if why:
        _complain(stage, str(why[0]))
        _looked(cache, stage, run_id, why, found=False)
        return Checkpoint(None, run_id, None)
    return Checkpoint(cache, run_id, recipe)


def _digest(digests: Digests, name: str, value: Any) -> str | None:
    if type(value) is Secret:
        # by a key that lies elsewhere: nothing here is to tell what it is
        return digest_of(name, value)
    try:
        found = digests.of(value)
    except Exception:
        # its own code raises when it is looked at
        return None
    return None if found is None else found.hex()


def _code_of(functions: list[Any]) -> dict[str, str]:
    """The identity of several functions; parts of the same name are of the same code."""
    if len(functions) == 1:
        return code.parts(functions[0], None)
    found: dict[str, str] = {}
    for number, function in enumerate(functions):
        name = getattr(function, "__qualname__", str(number))
        own = code.parts(function, None)
        found |= {part if ":" in part or part == "python" else f"{part} {name}": told for part, told in own.items()}
    return found


def _inputs(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given as inputs and parameters, by name."""
    inputs, params = options.get("inputs"), options.get("params")
    found: dict[str, Any] = {}
    if type(inputs) is dict and all(type(name) is str for name in inputs):
        found |= shown(inputs)
    elif inputs is not None:
        found["inputs"] = inputs
    if isinstance(params, Mapping):
        found |= {f"parameter {name}": value for name, value in shown(params).items()}
    return found


def _stage(run: Tracked) -> str:
    # windows are told apart by what is in them, not by their number
    return "windows" if run.item is not None else run.stage


def _cache(options: Mapping[str, Any]) -> RunCache | None:
    workspace = given.workspace(options.get("workspace"), options.get("tenant_id"))
    if workspace is None:
        return None
    try:
        here = os.getcwd(), workspace
    except FileNotFoundError:
        complaints.once("cache", f"nothing is cached: {CurrentFolderGone()}")
        return None
    if here not in _caches:
        try:
            _caches[here] = RunCache("", workspace, lambda said, _: complaints.once("cache", said))
        except SettingError as error:
            complaints.once("cache", f"nothing is cached: {error}")
            return None
    return _caches[here]


def _looked(cache: RunCache, stage: str, run_id: str, why: list[Why], *, found: bool) -> None:
    misses = [] if found else [Miss(elements=[(0, 1)], why=why)]
    told = {"wanted": 1, "found": int(found), "misses": msgspec.to_builtins(misses)}
    cache.looked(stage, clock.now(), told, run_id)


def _complain(stage: str, why: str) -> None:
    complaints.once(f"cached {stage}", f"the result of {stage} is not cached: {why}")


def nothing_to_load(run: Tracked) -> RunError:
    """The error for who loads what is not there."""
    return RunError(f"there is no cached result for {run!r}: ask t.cached before t.load()")


def _leave() -> None:
    for cache in list(_caches.values()):
        cache.close()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_caches.clear)
