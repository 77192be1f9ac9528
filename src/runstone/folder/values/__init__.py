"""How values are stored: safe and exact where possible, pickled where not, refused with the path to the culprit.

Columns (`encode_column`) are what packs hold; small values (`encode_small`) live in journal events and parameters.
"""

from __future__ import annotations

from runstone.folder.values.column import Column, decode_cell, decode_column, encode_column, find_unstorable
from runstone.folder.values.small import decode_small, encode_small
from runstone.folder.values.tagged import NOT_PLAIN, from_tagged, to_tagged

__all__ = [
    "NOT_PLAIN",
    "Column",
    "decode_cell",
    "decode_column",
    "decode_small",
    "encode_column",
    "encode_small",
    "find_unstorable",
    "from_tagged",
    "to_tagged",
]
