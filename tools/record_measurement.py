"""The old name of `incdet weights record`, for one version more."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("record_measurement.py", "weights", "record")
