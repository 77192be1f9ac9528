"""A project whose blocks do all they can to have their secret written somewhere."""

from __future__ import annotations

from pathlib import Path

from tests import scripts

FLOW = '''
from concurrent.futures import ProcessPoolExecutor
import base64, ctypes, json, logging, os, signal, subprocess, sys, threading, time, warnings
from typing import Annotated
import runstone
from runstone import Pipeline, Secret, artifact, block

EXECUTOR = os.environ.get("EXECUTOR", "inline")
CHOSEN = ProcessPoolExecutor(2) if EXECUTOR == "pool" and __name__ == "__main__" else EXECUTOR
class Client:
    def __init__(self, token):
        self.headers = {"Authorization": "Bearer " + token}
    def __repr__(self):
        return f"Client({self.headers})"

@block
def early(root: str) -> int:
    """Nobody has given it the secret; it has it all the same."""
    print("early", os.environ["API_TOKEN"])
    return 1

@block
def chatter(root: str, token: str, early: int) -> int:
    """Says it in every way."""
    print("print", token, [token], {"a": token})
    print("x" * 9_970, token, "y" * 20_000)
    sys.stdout.write("x" * 9_970 + token + "y" * 20_000 + "\\n")
    for letter in "in single letters " + token + "\\n":
        sys.stdout.write(letter)
    sys.stderr.write("half a line that nobody ends " + token)
    sys.stdout.buffer.write(b"bytes " + token.encode() + b"\\n")
    logging.getLogger("app." + token).error("logged %s", token)
    logging.getLogger("app").warning("logged %r", Client(token))
    try:
        raise KeyError(token)
    except KeyError:
        logging.getLogger("app").exception("caught")
    warnings.warn("warned of " + token)
    os.write(1, b"descriptor " + token.encode()[:20])
    os.write(1, token.encode()[20:] + b"\\n")
    os.write(2, b"z" * 9_970 + token.encode() + b"z" * 10_000 + b"\\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"from C " + token.encode())
    libc.fflush(None)
    subprocess.run([sys.executable, "-c", "import os; print('child', os.environ['API_TOKEN'])"])
    print("basic", base64.b64encode(token.encode()).decode())
    thread = threading.Thread(target=lambda: print("thread", token))
    thread.start()
    thread.join()
    path = root + "/note.txt"
    with open(path, "w") as file:
        file.write("a file that was saved")
    artifact(path, metadata={"url": "https://x.org/?key=" + token, "client": [token]})
    return len(token)

@block
def client(chatter: int, token: Secret) -> Client:
    assert "Secret" in repr(token)
    made = Client("nothing")
    print("client", token, made)
    return made

@block
def numbers(chatter: int) -> list[int]:
    return list(range(6))

@block(mapspec="numbers[i] -> fails[i]", on_error="continue", retries=1)
def fails(numbers: int, token: Annotated[str, Secret], password: str) -> int:
    session = Client(token)
    print("element", numbers, token, end="")
    if numbers % 2:
        error = ValueError("x" * 3_990 + token)
        error.add_note("with " + password)
        raise error from RuntimeError(session)
    return numbers

@block(on_error="continue")
def broken(chatter: int, token: str, **kwargs: str) -> int:
    raise RuntimeError(token, kwargs, Client(token))

@block(mapspec="numbers[i] -> killed[i]", on_error="continue")
def killed(numbers: int, token: str) -> int:
    if EXECUTOR == "processes" and numbers == 2:
        os.write(1, token.encode()[:30])
        print("last words", token[:20], end="", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers

@block(missing="drop")
def slow(fails: list[int], killed: list[int], token: str) -> int:
    print("slow", token)
    if os.path.exists("wait"):
        open("waits", "w").close()
        time.sleep(60)
    return len(fails)

flow = Pipeline("flow", [early, chatter, client, numbers, fails, broken, killed, slow], executor=CHOSEN)

if __name__ == "__main__":
    params = {"root": ".", "token": Secret("env:API_TOKEN")}
    params |= {"password": "env:PASSWORD", "more_password": "env:PASSWORD"}
    if "literal" in sys.argv:
        params["token"] = Secret(os.environ["API_TOKEN"])
    with runstone.track("around", params={"token": params["token"], "password": os.environ["PASSWORD"]}) as t:
        where = {"run_folder": os.environ["FOLDER"]} if "FOLDER" in os.environ else {}
        run = flow.run(params, show_progress=False, raise_on_error=False, **where)
        t.degraded("x" * 3_980 + os.environ["API_TOKEN"])
    try:
        with runstone.track("fails", params={"client": Client(os.environ["API_TOKEN"])}):
            raise ValueError(os.environ["API_TOKEN"] + " and " + os.environ["PASSWORD"])
    except ValueError:
        pass
    print(json.dumps({"folder": run.run_folder, "id": run.id, "status": run.status}))
'''

CONFIG = '[secrets]\nnames = ["*password"]\n'


def make(place: Path) -> Path:
    """The project in a folder."""
    scripts.write(place / "flow.py", FLOW)
    (place / "runstone.toml").write_text(CONFIG)
    return place
