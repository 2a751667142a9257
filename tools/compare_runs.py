"""The old name of `incdet compare`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("compare_runs.py", "compare")
