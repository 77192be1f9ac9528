"""A module that takes long to import, and says that it has begun by the pid of who imports it."""

import os
import time

# the guard's own output leads nowhere, its standard error is the driver's
os.write(2, f"{os.getpid()}\n".encode())
time.sleep(60)
