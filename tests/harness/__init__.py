"""What the tests of durability are made of: runs that die, and a judge who reads without Runstone's help."""
