"""The old name of `incdet train classifier`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("train_classifier.py", "train", "classifier")
