"""The old name of `incdet coverage`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("proposal_coverage.py", "coverage")
