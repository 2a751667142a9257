"""The old name of `incdet train plot`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("plot_training.py", "train", "plot")
