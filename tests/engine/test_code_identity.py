"""Code identity: what counts as a change of a block's code, what does not, and how the changed part is called."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.engine import code


class Project:
    """A package `shop` that is edited between two looks at the block `shop.flow.work`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shop"
        self.folder.mkdir()
        self.write("__init__", "")

    def write(self, module: str, text: str) -> None:
        """Write a module, as different from what it was before as a file can be."""
        path = self.folder / f"{module}.py"
        path.write_text(textwrap.dedent(text))
        stamp = getattr(self, "stamp", 1_000_000_000) + 10
        self.stamp = stamp
        os.utime(path, (stamp, stamp))

    def parts(self, name: str = "work") -> dict[str, str]:
        """The parts of a function of `shop.flow`, imported anew."""
        self.forget()
        return code.parts(getattr(importlib.import_module("shop.flow"), name), None)

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[name]
        importlib.invalidate_caches()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    project = Project(tmp_path)
    yield project
    project.forget()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The parts that are not the same; one that is unresolved never is."""
    return {
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) or before.get(name) == code.UNRESOLVED
    }


def made(source: str, name: str = "work", **names: Any) -> Callable[..., Any]:
    """A function from a text, in a module of its own that says it is a script."""
    space: dict[str, Any] = {"__name__": "notes", **names}
    exec(compile(textwrap.dedent(source), "/nowhere/notes.py", "exec"), space)
    found: Callable[..., Any] = space[name]
    return found


def test_comments_white_space_docstrings_and_places_are_no_part_of_the_code() -> None:
    bare = "def work(x):\n    def inner(y):\n        return y + 1\n    return inner(x) * 2"
    told = '''

    # a comment
    def work(x):
        """Says much."""


        def inner(y):
            "Says little."
            return y + 1  # and more

        return (inner(x)
                * 2)
    '''
    space: dict[str, Any] = {"__name__": "notes"}
    exec(compile(bare, "/elsewhere/other.py", "exec"), space)
    assert not changed(code.parts(made(told), None), code.parts(space["work"], None))


@pytest.mark.parametrize(
    "source",
    [
        "def work(x, y=1):\n    return x + 2",
        "def work(x, y=1):\n    return x - 1",
        "def work(x, y=1):\n    return x + 1.0",
        "def work(x, *, y=1):\n    return x + 1",
        "def work(x, y=1):\n    yield x + 1",
        "def work(x, y=1):\n    return (lambda: x + 1)()",
        "def work(x, y=1):\n    return 'doc' and x + 1",
    ],
)
def test_everything_that_computes_is_part_of_the_code(source: str) -> None:
    assert "function" in changed(
        code.parts(made("def work(x, y=1):\n    return x + 1"), None), code.parts(made(source), None)
    )


def test_a_statement_that_moved_out_of_a_try_is_noticed() -> None:
    one = "def work(f):\n    try:\n        f()\n        a = 1\n    except ValueError:\n        a = 2\n    return a"
    other = "def work(f):\n    f()\n    try:\n        a = 1\n    except ValueError:\n        a = 2\n    return a"
    assert changed(code.parts(made(one), None), code.parts(made(other), None)) == {"function"}


def test_defaults_closures_and_bound_arguments_are_parts_of_their_own() -> None:
    def made_with(closed: Any, default: Any) -> Callable[..., Any]:
        def work(x: int, y: Any = default) -> Any:
            return closed, x, y

        return work

    base = code.parts(made_with(1, 2), None)
    assert set(base) == {"function", "defaults", "closure", "python"}
    assert changed(base, code.parts(made_with(1, 3), None)) == {"defaults"}
    assert changed(base, code.parts(made_with(7, 2), None)) == {"closure"}
    bound = code.parts(functools.partial(made_with(1, 2), y=5), None)
    assert changed(base, bound) == {"bound"}
    assert changed(bound, code.parts(functools.partial(made_with(1, 2), y=6), None)) == {"bound"}


def test_the_part_of_the_project_that_changed_is_named(shop: Project) -> None:
    shop.write("settings", "LIMIT = 3\nOTHER = 4\n")
    shop.write(
        "helpers",
        "def clean(x):\n    return deeper(x)\n\ndef deeper(x):\n    return x\n\ndef unused(x):\n    return 1\n",
    )
    shop.write(
        "flow", "from shop import settings, helpers\ndef work(x):\n    return helpers.clean(x) + settings.LIMIT\n"
    )
    before = shop.parts()
    assert set(before) == {
        "function", "python", "calls:shop.helpers.clean", "calls:shop.helpers.deeper", "constant:shop.settings.LIMIT",
    }  # fmt: skip
    shop.write("settings", "LIMIT = 5\nOTHER = 4\n")
    assert changed(before, shop.parts()) == {"constant:shop.settings.LIMIT"}
    shop.write("settings", "LIMIT = 3\nOTHER = 44\n")
    shop.write(
        "helpers",
        "def clean(x):\n    return deeper(x)\n\ndef deeper(x):\n    return -x\n\ndef unused(x):\n    return 2\n",
    )
    assert changed(before, shop.parts()) == {"calls:shop.helpers.deeper"}


def test_functions_that_call_each_other_and_themselves_end(shop: Project) -> None:
    source = """
        def work(n):
            return even(n)
        def even(n):
            return n == 0 or odd(n - 1)
        def odd(n):
            return n {} 0 and even(n - 1)
    """
    shop.write("flow", source.format("!="))
    before = shop.parts()
    assert {"calls:shop.flow.even", "calls:shop.flow.odd"} <= set(before)
    shop.write("flow", source.format(">"))
    assert changed(before, shop.parts()) == {"calls:shop.flow.odd"}


def test_two_names_that_swapped_what_they_mean_are_noticed(shop: Project) -> None:
    source = "def one(x):\n    return 1\ndef two(x):\n    return 2\na, b = {}\ndef work(x):\n    return a(x) - b(x)\n"
    shop.write("flow", source.format("one, two"))
    before = shop.parts()
    shop.write("flow", source.format("two, one"))
    assert changed(before, shop.parts()) == {"function"}


def test_two_functions_of_one_name_that_changed_places_are_noticed(shop: Project) -> None:
    source = """
        def times(n):
            def inner(x):
                return x * n
            return inner
        one, two = {}
        def work(x):
            return one(x) - two(x)
    """
    shop.write("flow", source.format("times(2), times(3)"))
    before = shop.parts()
    assert code.UNRESOLVED not in before.values()
    shop.write("flow", source.format("times(3), times(2)"))
    assert changed(before, shop.parts()) == {"calls:shop.flow.times.<locals>.inner"}


CLASSES = {
    "a method": ("return self.x", "return -self.x"),
    "an attribute": ("unit = 'm'", "unit = 'cm'"),
    "a base": (
        "class Base:\n    def name(self):\n        return 1",
        "class Base:\n    def name(self):\n        return 2",
    ),
    "a static method": ("return 'static'", "return 'changed'"),
    "a property": ("return 'property'", "return 'changed'"),
    "a default of a field": ("y: int = 7", "y: int = 8"),
    "the type of a field": ("x: int", "x: float"),
}
CLASS = '''
import dataclasses, enum
class Base:
    def name(self):
        return 1
class Kind(enum.Enum):
    ONE = 1
@dataclasses.dataclass(frozen=True)
class Point(Base):
    """A place."""
    x: int
    y: int = 7
    tags: list = dataclasses.field(default_factory=list)
    unit = 'm'
    def far(self):
        return self.x
    @staticmethod
    def still():
        return 'static'
    @property
    def shown(self):
        return 'property'
def work(x):
    return Point(x).far(), Kind.ONE
'''


@pytest.mark.parametrize("what", CLASSES)
def test_a_class_is_compared_with_all_that_it_does(shop: Project, what: str) -> None:
    shop.write("flow", CLASS)
    before = shop.parts()
    assert code.UNRESOLVED not in before.values()
    assert not changed(before, shop.parts())
    old, new = CLASSES[what]
    assert old in CLASS
    shop.write("flow", CLASS.replace(old, new))
    found = changed(before, shop.parts())
    assert found == {"class:shop.flow.Base" if what == "a base" else "class:shop.flow.Point"}
    shop.write("flow", "\n\n" + CLASS.replace("A place.", "Some place."))
    assert not changed(before, shop.parts())


KINDS_OF_CLASSES = """
import abc, collections, functools, threading, typing
import msgspec
T = typing.TypeVar("T")
class Tuple(typing.NamedTuple):
    a: int
    b: str = "x"
class Struct(msgspec.Struct):
    a: int
    b: list[int] = msgspec.field(default_factory=list)
class Base(abc.ABC, typing.Generic[T]):
    lock = threading.Lock()
    @abc.abstractmethod
    def f(self): ...
class Derived(Base[int]):
    def f(self):
        return 1
    @functools.cached_property
    def c(self):
        return 2
    @functools.lru_cache
    def l(self):
        return 3
    @functools.singledispatchmethod
    def s(self, x):
        return 4
    @s.register
    def _(self, x: int):
        return 5
    p = functools.partialmethod(f)
class Fault(ValueError):
    def __str__(self):
        return "6"
class Typed(typing.TypedDict):
    a: int
old = collections.namedtuple("old", "a b")
@functools.singledispatch
def single(x):
    return 7
@single.register
def _(x: int):
    return 8
def work(x):
    return Tuple, Struct, Derived, Fault, Typed, old, single
"""


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('b: str = "x"', 'b: str = "y"', "class:shop.flow.Tuple"),
        ("a: int\n    b: list", "a: float\n    b: list", "class:shop.flow.Struct"),
        ("return 1", "return 10", "class:shop.flow.Derived"),
        ("return 2", "return 10", "calls:shop.flow.Derived.c"),
        ("return 3", "return 10", "calls:shop.flow.Derived.l"),
        ("return 5", "return 10", "calls:shop.flow.Derived._"),
        ('return "6"', 'return "10"', "class:shop.flow.Fault"),
        ("Dict):\n    a: int", "Dict):\n    a: str", "class:shop.flow.Typed"),
        ('"a b"', '"a c"', "class:shop.flow.old"),
        ("return 7", "return 10", "calls:shop.flow.single"),
        ("return 8", "return 10", "calls:shop.flow._"),
    ],
)
def test_classes_of_many_makes_can_be_compared(shop: Project, old: str, new: str, part: str) -> None:
    shop.write("flow", KINDS_OF_CLASSES)
    before = shop.parts()
    assert code.UNRESOLVED not in before.values()
    assert not changed(before, shop.parts())
    assert old in KINDS_OF_CLASSES
    shop.write("flow", KINDS_OF_CLASSES.replace(old, new))
    assert part in changed(before, shop.parts())


def test_members_of_an_enum_count(shop: Project) -> None:
    shop.write("flow", CLASS)
    before = shop.parts()
    shop.write("flow", CLASS.replace("ONE = 1", "ONE = 2"))
    assert changed(before, shop.parts()) == {"class:shop.flow.Kind"}


def test_a_decorated_function_is_seen_through_its_decorators(shop: Project) -> None:
    source = """
        import contextlib, functools
        def twice(function):
            @functools.wraps(function)
            def call(x):
                return function(x) + function(x)
            return call
        @functools.lru_cache
        def cached(x):
            return {}
        @twice
        def work(x):
            with opened(x):
                return cached(x) + {}
        @contextlib.contextmanager
        def opened(x):
            yield {}
    """
    shop.write("flow", source.format(1, 2, 3))
    before = shop.parts()
    assert code.UNRESOLVED not in before.values()
    shop.write("flow", source.format(7, 2, 3))
    assert changed(before, shop.parts()) == {"calls:shop.flow.cached"}
    shop.write("flow", source.format(1, 7, 3))
    assert changed(before, shop.parts()) == {"calls:shop.flow.work"}
    shop.write("flow", source.format(1, 2, 7))
    assert changed(before, shop.parts()) == {"calls:shop.flow.opened"}


def test_what_is_imported_inside_of_a_function_counts_whether_it_was_loaded_or_not(shop: Project) -> None:
    shop.write("late", "from shop import later\ndef f():\n    return 1\n")
    shop.write("later", "VALUE = 1\n")
    shop.write(
        "flow", "def work(x):\n    from shop.late import f\n    import json, surely_not_installed\n    return f()\n"
    )
    before = shop.parts()
    assert "shop.late" not in sys.modules
    assert {"module:shop.late", "module:shop.later"} <= set(before)
    assert before["module:surely_not_installed"] == "absent"
    importlib.import_module("shop.late")
    work = importlib.import_module("shop.flow").work
    assert not changed(before, code.parts(work, None))
    shop.write("later", "VALUE = 2\n")
    assert changed(before, shop.parts()) == {"module:shop.later"}


def test_relative_imports_inside_of_a_function_are_found(shop: Project) -> None:
    shop.write("late", "VALUE = 1\n")
    shop.write("flow", "def work(x):\n    from . import late\n    from .late import VALUE\n    return VALUE\n")
    before = shop.parts()
    shop.write("late", "VALUE = 2\n")
    assert changed(before, shop.parts()) == {"module:shop.late"}


def test_installed_packages_are_told_by_their_version_and_the_standard_library_by_none() -> None:
    numpy = pytest.importorskip("numpy")
    source = """
    import numpy as np, json
    from msgspec.json import encode
    def work(x):
        return np.mean(x), json.dumps(x), encode(x)
    """
    found = code.parts(made(source), None)
    assert found["package:numpy"] == numpy.__version__
    assert found["package:msgspec"] == importlib.import_module("msgspec").__version__
    assert set(found) == {"function", "python", "package:numpy", "package:msgspec"}


def test_a_package_that_is_called_otherwise_than_its_module_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    (place / "Some_Name-4.2.dist-info").mkdir(parents=True)
    (place / "Some_Name-4.2.dist-info" / "RECORD").write_text("odd_module/__init__.py,sha256=x,1\n")
    (place / "odd_module").mkdir()
    (place / "odd_module" / "__init__.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(str(place))
    assert code.parts(made("def work():\n    import odd_module"), None)["package:odd_module"] == "4.2"


def test_a_part_that_cannot_be_resolved_equals_nothing() -> None:
    found = code.parts(made("def work(x):\n    return lock_of(x), nowhere, store", lock_of=len, store=iter([])), None)
    assert found["constant:notes.store"] == code.UNRESOLVED
    assert found["name:notes.nowhere"] == code.UNRESOLVED
    assert code.combined({"work": found}) is None


def test_loggers_and_locks_are_no_part_of_the_code() -> None:
    source = """
    import logging, threading
    log, lock = logging.getLogger('x'), threading.Lock()
    def work(x):
        with lock:
            log.info(x)
    """
    assert set(code.parts(made(source), None)) == {"function", "python"}


CONSTANTS = [
    ("1", "2"), ("[1, {'a': (2,)}]", "[1, {'a': (3,)}]"), ("{1, 2}", "{1, 3}"),
    ("re.compile('a')", "re.compile('a', 2)"),
    ("pathlib.Path('a')", "pathlib.Path('b')"), ("datetime.date(2026, 1, 1)", "datetime.date(2026, 1, 2)"),
    ("functools.partial(int, base=2)", "functools.partial(int, base=3)"), ("[len]", "[max]"), ("int", "float"),
    ("operator.itemgetter", "operator.attrgetter"), ("collections.OrderedDict(a=1)", "collections.OrderedDict(a=2)"),
    ("collections.Counter('ab')", "collections.Counter('aab')"),
    ("collections.deque([], 2)", "collections.deque([], 3)"),
    ("collections.defaultdict(list)", "collections.defaultdict(dict)"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), CONSTANTS)
def test_constants_of_many_kinds_are_compared(one: str, other: str) -> None:
    source = (
        "import re, pathlib, datetime, functools, operator, collections\nVALUE = {}\ndef work(x):\n    return VALUE"
    )
    before = code.parts(made(source.format(one)), None)
    assert code.UNRESOLVED not in before.values()
    assert not changed(before, code.parts(made(source.format(one)), None))
    assert changed(before, code.parts(made(source.format(other)), None))


def test_arrays_are_compared_by_what_they_hold() -> None:
    np = pytest.importorskip("numpy")
    source = "def work(x):\n    return TABLE"
    before = code.parts(made(source, TABLE=np.arange(3)), None)
    assert not changed(before, code.parts(made(source, TABLE=np.arange(3)), None))
    assert changed(before, code.parts(made(source, TABLE=np.array([0, 1, 3])), None)) == {"constant:notes.TABLE"}
    assert code.UNRESOLVED in code.parts(made(source, TABLE=np.array([object()])), None).values()


def test_values_too_large_to_be_written_at_every_run_are_unresolved() -> None:
    source = "def work(x):\n    return TABLE"
    assert code.UNRESOLVED in code.parts(made(source, TABLE="x" * 2_000_000), None).values()
    assert code.UNRESOLVED in code.parts(made(source, TABLE=list(range(100_000))), None).values()
    circle: list[Any] = []
    circle.append(circle)
    assert code.UNRESOLVED in code.parts(made(source, TABLE=circle), None).values()


def test_what_an_object_holds_where_nobody_can_look_is_unresolved() -> None:
    source = "class Bag(dict):\n    pass\nBAG = Bag(a={})\ndef work(x):\n    return BAG"
    assert code.parts(made(source.format(1)), None)["constant:notes.BAG"] == code.UNRESOLVED


def test_callable_objects_methods_and_functions_in_c_have_an_identity() -> None:
    source = """
    class Scale:
        def __init__(self, by):
            self.by = by
        def __call__(self, x):
            return {}
        def method(self, x):
            return x
    """
    scale, other = made(source.format("x * self.by"), "Scale"), made(source.format("x + self.by"), "Scale")
    module = types.ModuleType("notes")
    sys.modules["notes"] = module
    try:
        base = code.parts(scale(2), None)
        assert code.UNRESOLVED not in base.values()
        assert changed(base, code.parts(scale(3), None)) == {"function"}
        assert changed(base, code.parts(other(2), None)) == {"class:notes.Scale"}
        assert changed(code.parts(scale(2).method, None), code.parts(scale(3).method, None)) == {"self"}
    finally:
        del sys.modules["notes"]
    assert changed(code.parts(len, None), code.parts(max, None)) == {"function"}


def test_a_version_stands_for_all_of_the_function_but_not_for_its_condition() -> None:
    condition = made("def work(x):\n    return x > LIMIT", LIMIT=1)
    other = made("def work(x):\n    return x > LIMIT", LIMIT=2)
    assert code.parts(made("def work(x):\n    return x"), "3") == {"version": "3"}
    with_condition = code.parts(made("def work(x):\n    return x"), "3", condition)
    assert set(with_condition) == {"version", "condition", "calls:notes.work", "constant:notes.LIMIT"}
    assert changed(with_condition, code.parts(made("def work(x):\n    return x"), "3", other)) == {
        "constant:notes.LIMIT"
    }


def test_a_helper_that_is_defined_anew_between_two_runs_counts_in_the_same_pipeline(tmp_path: Path) -> None:
    space: dict[str, Any] = {"__name__": "notes", "block": block}
    exec("def helper(x):\n    return x\n\n@block\ndef work(x):\n    return helper(x)", space)
    pipeline = Pipeline("cells", [space["work"]])
    first = pipeline.described
    assert pipeline.described[1] is first[1]
    exec("def helper(x):\n    return -x", space)
    second = pipeline.described
    assert changed(first[1][0].code, second[1][0].code) == {"calls:notes.helper"}
    assert first[0].code_ref != second[0].code_ref


def test_code_that_was_exchanged_inside_of_a_function_counts() -> None:
    one, other = made("def work(x):\n    return x"), made("def work(x):\n    return -x")
    before = code.parts(one, None)
    one.__code__ = other.__code__
    assert changed(before, code.parts(one, None)) == {"function"}


def test_however_much_a_block_names_what_is_kept_of_it_is_bounded() -> None:
    def source(count: int, last: int) -> str:
        defs = "\n".join(f"def f{n}():\n    return {last if n == count - 1 else n}" for n in range(count))
        return f"{defs}\ndef work():\n    return [{', '.join(f'f{n}' for n in range(count))}]"

    before = code.parts(made(source(500, 1)), None)
    assert len(before) <= code.PARTS_KEPT + 1
    assert changed(before, code.parts(made(source(500, 2)), None)) <= {"others", "calls:notes.f499"}
    assert changed(before, code.parts(made(source(500, 2)), None))
    assert code.UNRESOLVED in code.parts(made(source(6000, 1)), None).values()


SCRIPT = """
import json, sys
from runstone import block
from runstone.engine import code
NAMES = {"a", "b", "c", "d", "e"}
def helper(x):
    return x in {"one", "two", "three"} and x in NAMES
def work(x):
    return helper(x)
if __name__ == "__main__":
    print(json.dumps(code.parts(work, None)))
"""


def test_the_identity_is_the_same_in_every_process_and_however_the_file_was_started(tmp_path: Path) -> None:
    script = tmp_path / "chores.py"
    script.write_text(SCRIPT)
    answers = []
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, str(script)], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1] == answers[2]
    assert "calls:chores.helper" in answers[0]
    from runstone.engine.importing import load_file

    try:
        assert code.parts(load_file(str(script)).work, None) == answers[0]
    finally:
        sys.modules.pop("chores", None)
        sys.path.remove(str(tmp_path))


def test_an_object_that_answers_to_every_name_is_not_asked() -> None:
    class Nosy:
        asked: list[str] = []  # noqa: RUF012  # one for all, so that what is asked before the end is seen

        def __getattr__(self, name: str) -> Any:
            self.asked.append(name)
            raise RuntimeError(name)

    code.parts(made("def work(x):\n    return nosy", nosy=Nosy()), None)
    assert Nosy.asked == []
