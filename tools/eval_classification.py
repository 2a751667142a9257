"""The old name of `incdet evaluate-classification`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("eval_classification.py", "evaluate-classification")
