"""Read the texts in a zip window by window, and tell how hard they are to read. Each window is a tracked run: one that
cannot be read fails alone, and what was done before is not done again.

    python examples/windows.py                      # Runstone's own documents, and a letter that is not UTF-8
    python examples/windows.py                      # again: everything comes from the cache, but for what failed
    python examples/windows.py --zip texts.zip      # yours: change one file in it, and only its windows are read again

How a text is measured is in `reading/ease.py`: plain functions that know nothing of tracking.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from reading import ease
from reading.ease import Measured
from reading.texts import ENDINGS, documents

from runstone import track

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs"
ZIP = "texts.zip"
LETTER = "Grüße aus Köln! Über den Brücken hängt Nebel, und die Straßenbahn fährt nur stündlich.\n" * 5
LINES = 50


def windows(path: str) -> Iterator[tuple[str, list[bytes]]]:
    """The lines of every text in a zip, so many at a time, with the name of the text. They are not decoded yet."""
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            if name.endswith(ENDINGS):
                lines = file.read(name).splitlines()
                for start in range(0, len(lines), LINES):
                    yield name, lines[start : start + LINES]


def make(path: str) -> None:
    """Put the documents into a zip, and a letter in the encoding of another time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in documents(str(DOCUMENTS)):
            file.write(DOCUMENTS / name, name)
        file.writestr("letter.txt", LETTER.encode("cp1252"))


def read(path: str) -> None:
    """Read all windows, and say what was found."""
    names, pieces = zip(*windows(path), strict=True)
    by_name: dict[str, list[Measured]] = defaultdict(list)
    failed: list[str] = []
    reused = 0
    begun = time.perf_counter()
    for name, window in zip(names, track.windows(pieces), strict=True):
        try:
            with window as t:
                if t.cached:
                    found = t.load()
                else:
                    found = ease.measure([line.decode() for line in t.item])
                    t.save(found)
                t.rows_out = found["sentences"]
                t.metric("words", found["words"])
        except UnicodeDecodeError as error:
            failed.append(f"{window.stage}, in {name}: {error}")
        else:
            by_name[name].append(found)
            reused += window.cached
    took = time.perf_counter() - begun

    print(f"{'text':<{max(map(len, names))}}  windows   words  reading ease")
    for name, parts in sorted(by_name.items(), key=lambda each: -ease.together(each[1])["ease"]):
        whole = ease.together(parts)
        told = ease.in_words(whole["ease"])
        print(f"{name:<{max(map(len, names))}}  {len(parts):7}  {whole['words']:6,}  {whole['ease']:5.1f}  {told}")
    computed = len(names) - reused - len(failed)
    print(f"\n{len(names)} windows in {took:.2f} s: {computed} read, {reused} reused, {len(failed)} failed")
    for line in failed:
        print(f"  {line}")
    print("\nLook at them:\n  runstone tail\n  runstone tail --query status:failed\n  runstone cache ls")


def main() -> None:
    """Read the zip that is named, or make one."""
    arguments = argparse.ArgumentParser(description="Read the texts in a zip window by window.")
    arguments.add_argument("--zip", default=ZIP, help=f"the zip; {ZIP}, the default, is made if it is not there")
    path = arguments.parse_args().zip
    try:
        if path == ZIP and not os.path.exists(path):
            make(path)
            print(f"{path} was made of {len(documents(str(DOCUMENTS)))} documents and a letter\n")
        if not any(True for _ in windows(path)):
            sys.exit(f"there are no texts in {path}: no {', '.join(ENDINGS)}")
        read(path)
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{path} cannot be read: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
