"""Scores a run: `python evaluate.py --run RUN [--split test] [--data.root OTHER --split all] [--out metrics.json]`."""

from mlgcn.commands.evaluate import main

if __name__ == "__main__":
    main()
