"""`python -m runstone` is `runstone`, of this very interpreter."""

from runstone.cli.main import main

if __name__ == "__main__":
    main()
