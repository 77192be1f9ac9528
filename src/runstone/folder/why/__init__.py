"""Why a run, a block or an element of it is as it is: the answer first, then what shows it."""

from runstone.folder.why.answer import explain
from runstone.folder.why.explanation import Explanation

__all__ = ["Explanation", "explain"]
