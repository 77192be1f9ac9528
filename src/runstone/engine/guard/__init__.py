"""Child processes that cannot outlive their driver.

`client` is the driver's side: it starts the guard, a small process of one thread (`entry`, `process`), which forks
workers (`worker`) and ends them and everything they have started (`endings`, `trees`), also when the driver has died.
"""
