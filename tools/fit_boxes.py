"""The old name of `incdet weights fit-boxes`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("fit_boxes.py", "weights", "fit-boxes")
