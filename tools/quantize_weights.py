"""The old name of `incdet weights quantize`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("quantize_weights.py", "weights", "quantize")
