"""`python -m incdet` is `incdet`."""

from incdet.cli import main

if __name__ == "__main__":
    main()
