"""The program of `incdet evaluate`: mAP of a detector, or of stored detections, on an annotated data set."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("eval_map.py", "evaluate", stays=True)
