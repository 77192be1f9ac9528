"""What differs between runs, told from facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from runstone.core.compare import BlockFacts, Comparison, Entry, Fact, RunFacts, compare, letter


def block(name: str, **told: Any) -> BlockFacts:
    return BlockFacts(**{"name": name, "status": "completed", "outputs": [name], "takes": [], "upstream": []} | told)


def run(blocks: list[BlockFacts] | None = None, **sections: dict[str, Fact]) -> RunFacts:
    return RunFacts(
        run_id="r",
        pipeline="p",
        status="completed",
        created_at="",
        folder="",
        blocks=blocks or [],
        sections=dict(sections),
    )


def value(said: Any, **more: Any) -> Fact:
    number = float(said) if isinstance(said, int | float) else None
    return Fact(**{"shown": str(said), "mark": str(said), "number": number} | more)


def entry(compared: Comparison, section: str, subject: str) -> Entry:
    return next(entry for entry in compared.sections[section] if entry.subject == subject)


def test_equal_runs_do_not_differ() -> None:
    one = run(
        [block("a")],
        parameters={"x": value(1)},
        outputs={"a": value(2)},
        durations={"a": Fact(shown="1 s", mark=None, number=1)},
    )
    compared = compare([one, one, one])
    assert (compared.differences, compared.diverges, compared.unsure) == (0, None, [])


def test_what_differs_comes_first_with_how_far_it_moved() -> None:
    compared = compare([
        run(parameters={"same": value(1), "lr": value(0.5), "old": value("x")}),
        run(parameters={"same": value(1), "lr": value(0.75), "new": value("y")}),
    ])  # fmt: skip
    assert [each.subject for each in compared.sections["parameters"]] == ["lr", "old", "new", "same"]
    assert entry(compared, "parameters", "lr").detail == ["+0.25 (+50 %)"]
    assert entry(compared, "parameters", "old").values == ["x", None]
    assert compared.differences == 3


def test_more_than_two_are_compared_with_the_first() -> None:
    compared = compare([run(parameters={"n": value(number)}) for number in (1, 1, 4)])
    assert entry(compared, "parameters", "n").values == ["1", "1", "4"]
    assert entry(compared, "parameters", "n").detail == ["C: +3 (+300 %)"]
    assert [letter(number) for number in (0, 25, 26)] == ["A", "Z", "A2"]


def test_what_cannot_be_compared_equals_nothing() -> None:
    unknown = run(code={"a: function": Fact(shown="cannot be compared", mark=None)})
    assert compare([unknown, unknown]).differences == 1


def test_what_only_looks_alike_is_told() -> None:
    seen = run(outputs={"model": value("Model", sure=False)})
    compared = compare([seen, seen])
    assert (compared.differences, compared.unsure) == (0, ["model"])
    assert compare([seen, run(outputs={"model": value("other", sure=False)})]).unsure == []


@pytest.mark.parametrize(
    ("before", "after", "same"), [(0.001, 0.04, True), (10.0, 11.9, True), (10.0, 13.0, False), (1.0, 3.0, False)]
)
def test_durations_may_differ_a_little(before: float, after: float, same: bool) -> None:
    runs = [run(durations={"a": Fact(shown=str(each), mark=None, number=each)}) for each in (before, after)]
    found = entry(compare(runs), "durations", "a")
    assert found.same is same
    assert found.detail == ([] if same else [f"{after / before:.2g} times as long"])


def test_texts_are_told_by_their_lines() -> None:
    runs = [run(outputs={"t": value(text, text=text)}) for text in ("a\nb\nc\n", "a\nB\nc\n")]
    assert entry(compare(runs), "outputs", "t").detail == ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
    long = [run(outputs={"t": value(text, text=text)}) for text in ("", "\n".join(map(str, range(500))))]
    detail = entry(compare(long), "outputs", "t").detail
    assert (len(detail), detail[-1]) == (61, "... 441 more lines")


def test_elements_are_counted_and_the_first_named() -> None:
    def elements(*numbers: int) -> RunFacts:
        marks = b"".join(number.to_bytes(8, "big") for number in numbers)
        return run(outputs={"ys": value(str(numbers), elements=marks)})

    found = entry(compare([elements(1, 2, 3, 4), elements(1, 9, 3, 8)]), "outputs", "ys")
    assert found.detail == ["2 of 4 elements differ: 1, 3"]
    found = entry(compare([elements(1, 2), elements(1, 2, 3)]), "outputs", "ys")
    assert found.detail == ["2 elements against 3"]


def test_commits_give_the_command_that_shows_the_code() -> None:
    runs = [run(environment={"commit": value(commit)}) for commit in ("a" * 40, "b" * 40 + "+dirty")]
    assert entry(compare(runs), "environment", "commit").detail == [f"git diff {'a' * 40} {'b' * 40}"]
    hostile = [run(environment={"commit": value(commit)}) for commit in ("a" * 40, "$(rm -rf .)")]
    assert entry(compare(hostile), "environment", "commit").detail == []


def test_the_first_block_in_the_order_of_the_graph_that_made_something_else_is_named() -> None:
    def made(number: int, later: int) -> RunFacts:
        return run(
            [block("load"), block("fit", takes=["lr"], upstream=["load"]), block("report", upstream=["fit"])],
            parameters={"lr": value(number), "unrelated": value(number)},
            code={"report: function": value(number), "fit: calls:lib.step": value(number)},
            outputs={"report": value(later), "fit": value(number), "load": value(1)},
        )

    found = compare([made(1, 1), made(2, 2)]).diverges
    assert found is not None
    assert (found.block, found.outputs) == ("fit", ["fit"])
    assert found.because == ["parameter lr", "code calls:lib.step"]


def test_the_environment_is_blamed_only_if_nothing_else_is_known() -> None:
    def made(python: str, lr: int) -> RunFacts:
        return run(
            [block("fit", takes=["lr"])],
            parameters={"lr": value(lr)},
            environment={"python": value(python), "package numpy": value(python), "folder": value(python)},
            outputs={"fit": value(python)},
        )

    blamed = compare([made("3.11", 1), made("3.12", 1)]).diverges
    assert blamed is not None
    assert blamed.because == ["python of the environment", "package numpy"]
    known = compare([made("3.11", 1), made("3.12", 2)]).diverges
    assert known is not None
    assert known.because == ["parameter lr"]


def test_a_block_that_only_one_has_or_that_ended_otherwise_diverges() -> None:
    first = run([block("a"), block("c")], outputs={"a": value(1)})
    second = run([block("a"), block("b"), block("c", status="failed")], outputs={"a": value(1), "b": value(1)})
    found = compare([first, second]).diverges
    assert found is not None
    assert (found.block, found.because) == ("b", ["only B has this block"])
    found = compare([first, run([block("a"), block("c", status="failed")], outputs={"a": value(1)})]).diverges
    assert found is not None
    assert (found.block, found.because) == ("c", ["it ended completed and failed"])


def test_as_text_it_tells_what_differs_and_where_that_begins() -> None:
    blocks = [block("a"), block("b", outputs=["b", "c"], takes=["lr"])]
    alike = value("long" * 50, sure=False)
    one, other = (
        run(blocks, parameters={"lr": value(lr), "n": value(7)}, outputs={"a": value(1), "b": value(b), "c": alike})
        for lr, b in ((1, "x"), (200, "y"))
    )
    assert str(compare([one, other])).splitlines() == [
        "A  r  p  completed", "B  r  p  completed", "",
        "first to diverge: b, for: parameter lr", "",
        "Parameters", "  lr", "    A  1", "    B  200", "    +199 (+19,900 %)", "",
        "Outputs", "  b", "    A  x", "    B  y", "",
        "c looks the same",
    ]  # fmt: skip
    assert str(compare([one, one])).splitlines()[-5:] == ["", "all blocks made the same", "they do not differ", "",
                                                         "c looks the same"]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (2, 3, "+1 (+50 %)"),
        (1, 200, "+199 (+19,900 %)"),
        (1, 2.5, "+1.5 (+150 %)"),
        (1e-12, 1, "+1 (+1e+14 %)"),
        (8, 7, "-1 (-12.5 %)"),
    ],
)
def test_how_far_a_number_moved_is_written_as_people_do(before: float, after: float, said: str) -> None:
    compared = compare([run(parameters={"x": value(before)}), run(parameters={"x": value(after)})])
    assert entry(compared, "parameters", "x").detail == [said]
