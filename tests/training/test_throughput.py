"""How fast configurations train, side by side."""

import pytest
import torch

from mlgcn.training import throughput
from mlgcn.training.throughput import training_throughput


def test_configurations_take_turns_and_the_median_counts(tiny_config, monkeypatch):
    rates = iter([1.0, 10.0, 5.0, 30.0, 2.0, 20.0])
    asked = []
    monkeypatch.setattr(
        throughput, "_images_a_second", lambda config, *rest: asked.append((config, rest[-1])) or next(rates)
    )
    monkeypatch.setattr(throughput, "_labels", lambda config: (None, None))
    configs = {"one": tiny_config(), "other": tiny_config(model={"experts": 1}, loss={"diversity": 0.0})}
    assert training_throughput(configs, rounds=3, seconds=0.5) == {"one": 2.0, "other": 20.0}
    assert asked == [(config, 0.5) for _ in range(3) for config in configs.values()]


@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"precision": "bf16-mixed"}},
        {"loss": {"name": "nvum"}, "model": {"freeze": "trunk"}},
        {"fusion": {"views": 2, "layers": 1, "heads": 4}, "model": {"head": "query"}, "query": {"width": 16}},
    ],
    ids=["bfloat16", "memory", "studies"],
)
def test_a_step_is_one_of_training_on_every_image_of_a_batch(tiny_config, monkeypatch, sections):
    ticks = iter(range(100))  # a second passes between two looks at the clock
    monkeypatch.setattr(throughput, "_now", lambda device: float(next(ticks)))
    shown = []

    class Recorded(torch.optim.Adam):
        def step(self, closure=None):
            shown.append(sum(p.grad is not None for group in self.param_groups for p in group["params"]))
            return super().step(closure)

    monkeypatch.setattr(throughput, "make_optimizer", lambda parameters, config: Recorded(parameters))
    config = tiny_config(**sections)
    images = config.data.batch_size * (config.fusion.views or 1)
    rate = training_throughput({"one": config}, rounds=1, seconds=3)["one"]
    assert rate == 2 * images / 3 and len(shown) == 2 + throughput.WARM_UP and min(shown) > 0  # looks at 0, 1, 2, 3
