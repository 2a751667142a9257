"""The program of `incdet train multibox`: trains MultiBox, the network that proposes boxes."""

from incdet.cli.app import run_old_program

if __name__ == "__main__":
    run_old_program("train_multibox.py", "train", "multibox", stays=True)
