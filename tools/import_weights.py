"""The old name of `incdet weights import`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("import_weights.py", "weights", "import")
