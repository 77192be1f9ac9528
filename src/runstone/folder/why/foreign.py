"""Why a run that another program wrote is as it is: as much as its status says."""

from __future__ import annotations

from collections.abc import Sequence

from runstone.errors import SettingError
from runstone.folder.foreign import door
from runstone.folder.why.explanation import Explanation, Fact


def explain(path: str, block: str | None, element: int | Sequence[int] | None) -> Explanation:
    """One sentence, and that there is no more to be had. Raises as `door.status` does, and SettingError."""
    if block is not None and block not in (names := door.blocks(path)):
        from runstone.folder.why.answer import unknown_block

        raise SettingError(unknown_block(block, names))
    status = door.status(path, block)
    about = status if block is None else status["block"]
    subject = f"the run of {status['pipeline']['name']}" if block is None else block
    message = about["message"] or ("" if block is None else status["message"])
    facts = [Fact(name="made by", text="pipefunc, which records no more about why")]
    if element is not None:
        facts.append(Fact(name="elements", text="it does not record how each of them ended"))
    return Explanation(
        run=status["id"],
        pipeline=status["pipeline"]["name"],
        run_folder=status["run_folder"],
        block=block,
        status=about["status"],
        reason=about["reason"],
        answer=f"{subject} is {about['status']}" + (f": {message}" if message else ""),
        facts=facts,
    )
