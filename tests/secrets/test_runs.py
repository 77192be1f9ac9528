"""What a run does with secrets: who receives what, what is compared, and what is said when they are not there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import pytest

import runstone
from runstone import InputError, Pipeline, Run, Secret, block, track
from runstone.core.compare import PARAMETERS
from runstone.folder import observe
from runstone.folder.compare import facts
from runstone.folder.read import read_run
from runstone.secrets import key


def note(call: str) -> None:
    with open("calls", "a") as file:
        file.write(f"{call}\n")


@block
def plain(root: str, token: str) -> str:
    note("plain")
    assert token.startswith("swordfish-")
    return root


@block
def careful(plain: str, token: Secret) -> int:
    note("careful")
    return len(token.reveal())


@block
def apart(root: str) -> str:
    note("apart")
    return root


flow = Pipeline("flow", [plain, careful, apart])


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "swordfish-1")
    monkeypatch.setenv("RUNSTONE_SECRETS_KEY", str(tmp_path / "key"))


def run(token: Any, folder: str | None = "run", **options: Any) -> Run:
    return flow.run({"root": "src", "token": token}, run_folder=folder, show_progress=False, **options)


def called() -> list[str]:
    """Which blocks were called since this was asked last."""
    found = Path("calls").read_text().split()
    Path("calls").unlink()
    return found


def reasons(run: Run, name: str) -> list[str]:
    """Why a block of a run that took over from another one was computed again."""
    return [str(why) for why in read_run(str(run.run_folder)).info.reuse[name]]


def warnings(run: Run) -> list[dict[str, Any]]:
    return list(observe.status(str(run.run_folder))["warnings"])


@pytest.mark.parametrize("folder", ["run", None])
def test_blocks_receive_the_text_or_the_secret_as_they_ask(folder: str | None) -> None:
    done = run(Secret("env:TOKEN"), folder)
    assert called() == ["plain", "careful", "apart"]
    assert done.outputs["careful"] == len("swordfish-1")
    assert done.params["token"] == Secret("env:TOKEN")
    assert done.params["token"].reveal() == "swordfish-1"


def test_a_text_that_looks_like_a_reference_is_one_only_where_a_secret_is_meant() -> None:
    @block
    def echo(note: str, marked: Annotated[str, Secret], **more: str) -> list[str]:
        return [note, str(len(marked)), str(len(more["other"]))]

    done = Pipeline("echo", [echo]).run(
        {"note": "env:TOKEN", "marked": "env:TOKEN", "other": Secret("env:TOKEN")}, run_folder="run"
    )
    assert done.outputs["echo"] == ["env:TOKEN", "11", "11"]
    assert done.params["note"] == "env:TOKEN"


def test_conditions_and_defaults_may_take_secrets() -> None:
    @block(when=lambda token: token == "swordfish-1")
    def asked(token: Secret = Secret("env:TOKEN")) -> int:  # noqa: B008  # it is never changed
        return len(token.reveal())

    pipeline = Pipeline("asked", [asked])
    assert pipeline.run({}, run_folder="run").outputs["asked"] == 11
    assert pipeline.run({}, run_folder="run", resume=True).id == runstone.open("run").id


def test_names_are_marked_in_the_configuration() -> None:
    @block
    def login(password: str, max_tokens: int, use_token: bool, token: str | None = None) -> list[Any]:
        return [len(password), max_tokens, use_token, token]

    pipeline = Pipeline("login", [login])
    Path("runstone.toml").write_text('[secrets]\nnames = ["pass*", "*token*"]\n')
    params = {"password": "env:TOKEN", "max_tokens": 7, "use_token": True}
    with pytest.raises(InputError) as told:
        pipeline.run(params, run_folder="run")
    assert "parameter 'max_tokens': it is a secret, as [secrets] names marks it by '*token*'" in str(told.value)
    assert "add '!max_tokens'" in str(told.value)
    Path("runstone.toml").write_text('[secrets]\nnames = ["pass*", "*token*", "!max_tokens"]\n')
    done = pipeline.run(params, run_folder="run")
    assert done.outputs["login"] == [11, 7, True, None]
    assert done.params["password"] == Secret("env:TOKEN")


def test_everything_that_cannot_be_looked_up_is_said_before_anything_is_made() -> None:
    @block
    def both(one: Secret, two: Secret) -> int:
        return 0

    with pytest.raises(InputError) as told:
        Pipeline("both", [both]).run({"one": "env:NOT_SET", "two": "file:nowhere"}, run_folder="run")
    assert "parameter 'one': env:NOT_SET: the environment variable NOT_SET is not set" in str(told.value)
    assert "parameter 'two': file:nowhere cannot be read" in str(told.value)
    assert not Path("run").exists()


def test_a_secret_inside_of_something_is_refused_with_its_place() -> None:
    with pytest.raises(InputError, match=r"'root' cannot be kept.*neither stored nor sent: pass it as a parameter"):
        flow.run({"root": {"password": Secret("env:TOKEN")}, "token": Secret("env:TOKEN")}, run_folder="run")


def test_a_secret_is_not_mapped_over() -> None:
    @block(mapspec="token[i] -> y[i]")
    def each(token: str) -> str:
        return token

    with pytest.raises(InputError, match="'token' is of type Secret, but a list"):
        Pipeline("each", [each]).run({"token": Secret("env:TOKEN")}, run_folder="run")


def test_a_secret_is_no_output() -> None:
    @block
    def back(token: Secret) -> Secret:
        return token

    failed = Pipeline("back", [back]).run({"token": "env:TOKEN"}, run_folder="run", raise_on_error=False)
    assert failed.status == "failed"
    assert "neither stored nor sent" in failed.errors[0].message


@pytest.mark.parametrize("executor", ["inline", "processes"])
@pytest.mark.parametrize("size", [1, 200_000])
def test_a_block_that_returns_one_is_warned_of_and_its_result_stays(executor: str, size: int) -> None:
    @block
    def header(token: str, size: int) -> str:
        return f"Bearer {token}" * size

    @block(mapspec="xs[i] -> many[i]")
    def many(xs: int, token: str) -> list[str]:
        return [token]

    pipeline = Pipeline("header", [header, many])
    done = pipeline.run({"token": Secret("env:TOKEN"), "size": size, "xs": [1, 2]}, run_folder="run", executor=executor)
    assert done.outputs["header"] == "Bearer swordfish-1" * size
    assert list(done.outputs["many"]) == [["swordfish-1"]] * 2
    told = [(each["block"], each["code"]) for each in warnings(done)]
    assert sorted(told) == [("header", "secret_in_output"), ("many", "secret_in_output")]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_parameter_that_holds_one_is_warned_of(size: int) -> None:
    assert warnings(run(Secret("env:TOKEN"))) == []
    done = flow.run({"root": "Bearer swordfish-1" * size, "token": Secret("env:TOKEN")}, run_folder="other")
    (warning,) = (each for each in warnings(done) if each["block"] is None)
    assert warning["code"] == "secret_in_parameter"
    assert "parameter 'root' holds a secret" in warning["message"]


def test_the_same_secret_is_the_same_input_wherever_it_comes_from() -> None:
    first = run(Secret("env:TOKEN"))
    Path("token").write_text("swordfish-1\n")
    for token in (Secret("env:TOKEN"), Secret("file:token"), Secret("swordfish-1")):
        assert run(token, resume=True).id == first.id
    assert called() == ["plain", "careful", "apart"]


def test_another_secret_is_another_input_of_the_blocks_that_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run(Secret("env:TOKEN"))
    called()
    monkeypatch.setenv("TOKEN", "swordfish-2")
    again = run(Secret("env:TOKEN"), resume=True)
    assert called() == ["plain", "careful"]
    assert reasons(again, "plain") == ["parameter token changed"]


def test_with_another_key_it_cannot_be_compared_and_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Secret("env:TOKEN"))
    called()
    monkeypatch.setenv("RUNSTONE_SECRETS_KEY", str(tmp_path / "another key"))
    again = run(Secret("env:TOKEN"), resume=True)
    assert called() == ["plain", "careful"]
    told = reasons(again, "plain")
    assert told == ["parameter token cannot be compared: as a secret it was recorded with another key"]
    shown = [facts(folder).sections[PARAMETERS]["token"].shown for folder in ("run", "run.2")]
    keys = {re.fullmatch(r".+ \([0-9a-f]+, by the key ([0-9a-f]{8})\)", each)[1] for each in shown}  # type: ignore[index]
    assert len(keys) == 2, shown


def test_without_a_key_it_cannot_be_compared_and_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTONE_SECRETS_KEY", "/dev/null/key")
    done = run(Secret("env:TOKEN"))
    (warning,) = warnings(done)
    assert warning["code"] == "secret_not_comparable"
    assert (
        "whether the secret 'token' changes cannot be seen: the key /dev/null/key cannot be used" in warning["message"]
    )
    again = run(Secret("env:TOKEN"), resume=True)
    assert called() == ["plain", "careful", "apart", "plain", "careful"]
    assert reasons(again, "plain") == ["parameter token cannot be compared"]


def test_the_record_does_not_tell_the_secret_to_who_tries_guesses() -> None:
    import hashlib

    run(Secret("env:TOKEN"))
    document = Path("run/run.json").read_text()
    assert key.digest("token", "swordfish-1") in document
    for guess in ("swordfish-1", "token\0swordfish-1", '"swordfish-1"'):
        assert hashlib.sha256(guess.encode()).hexdigest()[:16] not in document


def test_a_relative_file_is_recorded_so_that_it_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("token").write_text("swordfish-1")
    done = run(Secret("file:token"))
    assert done.params["token"] == Secret(f"file:{tmp_path}/token")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert runstone.open(tmp_path / "run").params["token"].reveal() == "swordfish-1"


def test_what_failed_is_called_again_with_the_secret_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    @block
    def failing(token: str, own: Secret) -> int:
        raise ValueError(f"{token} {own.reveal()}")

    pipeline = Pipeline("failing", [failing])
    failed = pipeline.run({"token": Secret("env:TOKEN"), "own": "env:TOKEN"}, run_folder="run", raise_on_error=False)
    assert failed.errors[0].message == "*** ***"
    monkeypatch.setenv("TOKEN", "swordfish-9")
    with pytest.raises(ValueError, match="swordfish-9 swordfish-9"):
        failed.errors[0].reproduce()


def test_a_secret_given_as_itself_has_to_be_given_again() -> None:
    done = run(Secret("swordfish-1"))
    assert repr(done.params["token"]) == "Secret('***')"
    with pytest.raises(InputError, match="kept nowhere: give it anew"):
        done.params["token"].reveal()
    with pytest.raises(InputError, match="'token': it was given as a literal secret, which is kept nowhere"):
        flow.run(dict(done.params), run_folder="other")


def test_tracked_runs_and_pipelines_have_the_same_fingerprint_for_the_same_secret() -> None:
    from runstone.engine.track import fingerprint
    from runstone.folder import input_digests, inputs
    from runstone.ledger import rows
    from runstone.secrets.given import take_out

    values = {"root": "src", "token": Secret("env:TOKEN")}
    tracked = fingerprint.of(dict(values))
    infos, large = inputs.describe(values, values, take_out(flow.graph, values).infos)
    assert tracked == rows.fingerprint(input_digests.of_new(infos, large)) is not None
    os.environ["TOKEN"] = "swordfish-2"
    assert fingerprint.of({"root": "src", "token": Secret("env:TOKEN")}) not in (tracked, None)
    assert fingerprint.of({"token": Secret("env:NOT_SET")}) is None
    # also where nobody says that it is one
    Secret("env:TOKEN").reveal()
    assert fingerprint.of({"root": "src", "token": "swordfish-2"}) == fingerprint.of(
        {"root": "src", "token": Secret("env:TOKEN")}
    )


def test_names_that_are_marked_count_for_tracked_code_also_after_its_folder_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runstone.engine.track import given

    place = tmp_path / "place"
    place.mkdir()
    (place / "runstone.toml").write_text('[secrets]\nnames = ["pin"]\n')
    monkeypatch.chdir(place)
    monkeypatch.setenv("PIN", "swordfish-4711")
    assert given.params({"pin": "12", "other": 1}) == {"pin": "***", "other": 1}
    assert given.params({"pin": "env:PIN"}) == {"pin": "env:PIN"}
    # from here on it is known
    assert given.text("message", "sent swordfish-4711") == "sent ***"
    shutil.rmtree(place)
    assert given.params({"pin": "12", "other": 1}) == {"pin": "***", "other": 1}


def test_parameters_of_tracked_code_are_left_out_where_the_marks_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from runstone.engine.track import given

    Path("runstone.toml").write_text("[secrets]\nnames = 7\n")
    assert given.params({"pin": "12"}) == {}
    assert "parameters are not recorded: which of them are secrets cannot be read" in capsys.readouterr().err


def test_tracked_code_is_not_disturbed_by_a_secret_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with track("load", params={"token": Secret("env:NOT_SET"), "other": 1}) as t:
        pass
    assert t.status == "completed"
    assert capsys.readouterr().err == ""
