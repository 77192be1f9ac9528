"""Finding the pipeline that a user names on the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runstone.pipeline import Pipeline


def load_pipeline(place: str) -> Pipeline:
    """The pipeline at `FILE.py[:name]` or `module:name`. Raises click.UsageError for a user's mistake.

    What the file itself raises when it is imported is shown with its traceback, from the file on.
    """
    from runstone.engine.importing import attribute, import_named
    from runstone.errors import RunstoneError
    from runstone.pipeline import Pipeline

    where, name = _split(place)
    if where.endswith(".py") and not os.path.isfile(where):
        raise click.UsageError(f"there is no file {where}")
    if not where.endswith(".py") and "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = import_named(where)
    except (RunstoneError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        if error.name != where and not where.startswith(f"{error.name}."):
            raise _broken(where, error) from None
        raise click.UsageError(
            f"there is no module {where!r}; name a file as FILE.py, or a module as module:name"
        ) from None
    except BaseException as error:
        raise _broken(where, error) from None
    if name:
        try:
            found = attribute(module, name)
        except AttributeError:
            raise click.UsageError(f"there is no {name!r} in {where}{_there(module)}") from None
        if not isinstance(found, Pipeline):
            kind = type(found).__name__
            raise click.UsageError(f"{name!r} in {where} is no Pipeline but of type {kind}{_there(module)}")
        return found
    pipelines = _pipelines(module)
    if len(pipelines) != 1:
        raise click.UsageError(
            f"{where} has {len(pipelines) or 'no'} pipelines{_there(module)}"
            + (f"; name one, as {where}:{next(iter(pipelines))}" if pipelines else "")
        )
    return next(iter(pipelines.values()))


def _split(place: str) -> tuple[str, str]:
    where, colon, name = place.rpartition(":")
    if not colon or (len(where) == 1 and os.name == "nt"):
        where, name = place, ""
    if not name and not where.endswith(".py"):
        raise click.UsageError(f"{place!r} names no pipeline: write FILE.py, FILE.py:name or module:name")
    return where, name


def _pipelines(module: Any) -> dict[str, Pipeline]:
    from runstone.pipeline import Pipeline

    found: dict[str, Pipeline] = {}
    for name, value in vars(module).items():
        if isinstance(value, Pipeline) and value not in found.values():
            found[name] = value
    return found


def _there(module: Any) -> str:
    names = list(_pipelines(module))
    return f" (there is {', '.join(names)})" if names else ""


def _broken(where: str, error: BaseException) -> click.ClickException:
    from runstone.engine.failures import describe

    found = describe(error)
    lines = found.traceback.splitlines(keepends=True)
    kept = [line for line in lines if "<frozen importlib" not in line]
    click.echo("".join(kept), err=True, nl=False)
    return _Broken(f"{where} cannot be imported: {found.short}")


class _Broken(click.ClickException):
    exit_code = 2
