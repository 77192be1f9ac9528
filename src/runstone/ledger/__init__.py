"""The database of all runs: an index of what run folders say, and the truth about what no folder can hold."""
