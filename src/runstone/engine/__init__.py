"""What executes runs: drivers, executors, and what they capture."""
