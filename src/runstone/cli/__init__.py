"""The command `runstone`: each module reads its arguments, makes one call, shows what came."""
