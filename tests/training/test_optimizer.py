import pytest
import torch

from mlgcn.config import OptimizerConfig
from mlgcn.training.optimizer import make_optimizer, make_schedule


def rates(config, steps):
    """The learning rate of every step."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer([parameter], config)
    schedule = make_schedule(optimizer, config, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_the_published_optimiser_is_the_default():
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], OptimizerConfig())
    assert type(optimizer) is torch.optim.Adam
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (1e-4, (0.9, 0.99))


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_other_optimisers_take_their_settings(name, kind):
    config = OptimizerConfig(name=name, lr=0.02, momentum=0.8, betas=(0.5, 0.6), weight_decay=1e-4)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], config)
    assert type(optimizer) is kind and optimizer.defaults["weight_decay"] == 1e-4
    assert optimizer.defaults.get("momentum", 0.8) == 0.8 and optimizer.defaults.get("betas", (0.5, 0.6)) == (0.5, 0.6)


@pytest.mark.parametrize("fused", [True, False])
def test_momentum_begins_for_each_parameter_with_its_first_gradient(fused):
    first, later = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    config = OptimizerConfig(name="sgd", lr=0.1, momentum=0.8, weight_decay=0.0, fused=fused)
    optimizer = make_optimizer([first, later], config)
    for used in ([first], [first, later], [later]):
        optimizer.zero_grad()
        sum(parameter.sum() for parameter in used).backward()
        optimizer.step()
    torch.testing.assert_close(torch.stack([first, later]), torch.full((2, 2), 1 - 0.1 * (1 + 1.8)))


def test_a_constant_schedule_never_changes():
    assert rates(OptimizerConfig(lr=0.1), 20) == [0.1] * 20


def test_a_cosine_falls_from_the_rate_to_nothing():
    seen = rates(OptimizerConfig(lr=0.1, schedule="cosine"), 20)
    expected = [0.05 * (1 + torch.cos(torch.tensor(torch.pi * step / 20)).item()) for step in range(20)]
    assert seen == pytest.approx(expected, abs=1e-6)


def test_one_cycle_rises_to_the_rate_and_falls_below_where_it_began():
    seen = rates(OptimizerConfig(lr=0.1, schedule="one_cycle"), 50)
    top = seen.index(max(seen))
    assert max(seen) == pytest.approx(0.1) and 0 < top < 25
    assert seen[: top + 1] == sorted(seen[: top + 1]) and seen[top:] == sorted(seen[top:], reverse=True)
    assert seen[-1] < seen[0]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_a_text_encoder_has_its_share_of_the_rate_at_every_step(name, schedule):
    head, encoder = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    config = OptimizerConfig(name=name, lr=0.1, encoder_share=0.05, schedule=schedule)
    optimizer = make_optimizer([head, encoder], config, [encoder])
    assert [group["params"] for group in optimizer.param_groups] == [[head], [encoder]]
    planned = make_schedule(optimizer, config, 10)
    for _ in range(10):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(0.05 * first)
        optimizer.step()
        planned.step()


def test_a_rate_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"optimizer\.lr must be > 0, got 0"):
        OptimizerConfig(lr=0)
