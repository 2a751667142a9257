"""The old name of `incdet weights calibrate`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("calibrate_int8.py", "weights", "calibrate")
