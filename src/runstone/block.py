"""MOVED to blocks.py (the name `runstone.block` is the decorator). Edit blocks.py; import from runstone.blocks. This shim goes away."""
import sys
from runstone import blocks
sys.modules[__name__] = blocks
