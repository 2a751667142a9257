"""`python -m incdet` is `incdet`."""

from incdet.cli.app import main

if __name__ == "__main__":
    main()
