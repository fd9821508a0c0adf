"""Two processes under Lightning's DDP over gloo draw together what one process would."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mlgcn.build import build_sampler, build_table
from mlgcn.config import config_to_dict

ROOT = Path(__file__).parent.parent.parent
EPOCHS, IMAGES = 2, 64

# A real run that keeps, for each process, which rows of the training split its steps were given.
RUN = """
import json, sys
from pathlib import Path

from mlgcn.config import config_from_dict
from mlgcn.run_directory import RunDirectory
from mlgcn.training import Tracking, fit
from mlgcn.training.module import TrainingModule

rows, step = [], TrainingModule.training_step

def recording(self, batch, *arguments):
    rows.append([self.global_rank, self.trainer.world_size, self.current_epoch, batch.rows.tolist()])
    return step(self, batch, *arguments)

if __name__ == "__main__":
    TrainingModule.training_step = recording
    folder = Path(sys.argv[1])
    config = config_from_dict(json.loads((folder / "config.json").read_text()))
    run = RunDirectory(Path(config.run.dir))
    run.path.mkdir(exist_ok=True)
    fit(config, run, Tracking(run, config))
    (folder / f"rank{rows[0][0]}.json").write_text(json.dumps(rows))
"""


def test_the_processes_together_train_on_what_one_process_would_draw(tmp_path, tiny_config):
    config = tiny_config(
        sampler={"name": "least_sampled", "num_samples": IMAGES},
        embeddings={"source": "random"},
        training={"epochs": EPOCHS, "devices": 2},
    )
    (tmp_path / "config.json").write_text(json.dumps(config_to_dict(config)))
    (tmp_path / "run.py").write_text(RUN)
    result = subprocess.run(
        [sys.executable, tmp_path / "run.py", tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stdout + result.stderr

    steps = [step for rank in range(2) for step in json.loads((tmp_path / f"rank{rank}.json").read_text())]
    assert {world_size for _, world_size, _, _ in steps} == {2}
    alone = build_sampler(config, build_table(config).table.split("train"))
    for epoch in range(EPOCHS):
        shares = [[row for r, _, e, rows in steps if (r, e) == (rank, epoch) for row in rows] for rank in range(2)]
        alone.set_epoch(epoch)
        assert [row for turn in zip(*shares, strict=True) for row in turn] == list(alone)
