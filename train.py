"""Trains, evaluates and reports: `python train.py [--config NAME|FILE.yaml] [--section.key value ...]`."""

from mlgcn.commands.train import main

if __name__ == "__main__":
    main()
