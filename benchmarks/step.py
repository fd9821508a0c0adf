"""Images/s of a training step and of inference, against the same network written plainly.

Run: python benchmarks/step.py [--mode train|inference] [--size 224] [--batch 4] [--precision bfloat16] [--compile]
     python benchmarks/step.py --suite cuda|cpu     several of them; an option given beside it holds for all
Prints a Markdown table, one row as soon as it is measured. Needs the package on the path (pip install -e ., or
PYTHONPATH=. beside mlgcn.egg-info), but no configuration, data or pretrained weights.

The network: ResNet trunk, 4 experts with copies of layer4, 26 labels, label GCN, shared attention; trained with binary
cross-entropy, diversity and Adam. Weights are random. Plain (benchmarks/plain.py): float32, contiguous, eager, torch's
default Adam and torch's default TF32 settings. Ours: the parts of mlgcn as mlgcn.build puts them together, channels
last, autocast as Lightning's bf16-mixed has it, fused Adam, compiled if asked for; at inference classifiers are kept.
Both start from the same weights and must give the same logits and loss before anything is timed. They are timed in
turn in one process on the same batch, so the ratio holds on a busy machine too; loading images is left out.

The last column is the share that GCN, attention, loss and diversity take of our own training step, eager also in the
compiled rows. The step is cut at the pooled features: forward and backward from there to the loss are timed inside the
step, and the part of the optimiser's time that the weights behind the cut have by their number is added.
"""

import argparse
import copy
import gc
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torchvision
from plain import PlainNetwork, expect_equal, match, plain_loss
from rich.console import Console
from torch import Tensor
from torch.optim import Adam

from mlgcn.graph import Cooccurrence, cooccurrence, dense, label_graph, propagation
from mlgcn.losses import BCELoss, ExpertDiversity, MultiExpertLoss
from mlgcn.nn import LabelGCN, MultiExpertGCN, SharedAttention, build_trunk, expert_branches, lse_pool
from mlgcn.seeding import torch_seed

EXPERTS, LABELS, DIMENSIONS = 4, 26, 300
WARM_UP = 2
make_adam = partial(Adam, lr=1e-4, betas=(0.9, 0.99))


@dataclass(frozen=True)
class Case:
    """One row: what is measured, and for how long. Compile and precision are ours; plain is always as it is."""

    mode: str = "train"
    size: int = 224
    batch: int = 4
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False
    trunk: str = "resnet101"
    steps: int = 3  # one after the other, timed as one
    rounds: int = 5

    @property
    def autocast(self) -> torch.autocast:
        """A new autocast context of this precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")


_gpu = partial(Case, device="cuda", precision="bfloat16", steps=5)
_cpu = partial(Case, precision="bfloat16", steps=1)
SUITES = {
    # Two without compiling first: quick, and one with the batch that the share is stated for.
    "cuda": [_gpu(batch=32), _gpu("inference", batch=64)]
    + [
        _gpu(mode, size, batch, compile=True)
        for size, batch in ((224, 64), (512, 16), (1024, 8))
        for mode in ("train", "inference")
    ],
    "cpu": [_cpu(batch=4), _cpu(size=512, batch=4), _cpu(batch=32, rounds=3)]
    + [_cpu("inference", size, batch, rounds=9) for size, batch in ((224, 8), (512, 4), (1024, 1))],
}


def label_counts(images: int = 20_000) -> Cooccurrence:
    """How often correlated labels stand together whose prevalence falls from 30 % to 0.2 %."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(images, 4)) @ rng.normal(size=(4, LABELS)) + rng.normal(size=(images, LABELS))
    ranks = scores.argsort(axis=0).argsort(axis=0)
    values = ranks >= images * (1 - np.geomspace(0.3, 0.002, LABELS))
    return cooccurrence(values.astype(np.float32), [f"label {i}" for i in range(LABELS)])


@cache
def build_both(trunk: str) -> tuple[MultiExpertGCN, PlainNetwork]:
    """Our network and the plain one with the same weights, on the CPU; to be copied before use.

    Raises: RuntimeError unless they give the same logits and loss.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels without an edge: these are made up
        graph = label_graph(label_counts())
    with torch_seed(0):
        vectors = torch.randn(LABELS, DIMENSIONS)
        parts = build_trunk(trunk, "none")
        branches, features = expert_branches(parts, EXPERTS)
        heads = [LabelGCN(vectors, *propagation(graph), features) for _ in branches]
        ours = MultiExpertGCN(parts.trunk, branches, heads, lse_pool, SharedAttention(features))
        plain = PlainNetwork(torchvision.models.get_model(trunk, weights=None), vectors, dense(graph), EXPERTS)
        images, targets = batch_of(8, 64)
    match(plain, ours.to(memory_format=torch.channels_last), images)
    expect_equal(plain, ours, our_loss(), images[:2], targets[:2])
    return ours, plain


def batch_of(images: int, size: int) -> tuple[Tensor, Tensor]:
    """Random images [B, 3, H, W] and targets [B, C], float32."""
    return torch.randn(images, 3, size, size), (torch.rand(images, LABELS) < 0.1).float()


def our_loss() -> Callable[[Tensor, Tensor], Tensor]:
    """What mlgcn minimises by default: [E, B, C], [B, C] -> scalar."""
    loss = MultiExpertLoss(BCELoss(), ExpertDiversity())
    return lambda logits, targets: loss(logits, targets)["loss"]


def our_call(case: Case, model: MultiExpertGCN, images: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    """A training step, which returns the loss, or inference, which returns probabilities [B, C]."""

    def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return torch.compile(function, dynamic=False) if case.compile else function

    if case.mode == "train":
        model.train()
        loss = our_loss()
        objective = compiled(lambda images, targets: loss(model(channels_last(images)), targets))
        return _training(case, objective, make_adam(model.parameters(), fused=True), images, targets)
    model.eval()
    with torch.inference_mode():
        model.classifiers()  # kept from here on, so that one compilation is enough
    return _inference(case, compiled(lambda images: model(channels_last(images)).mean(dim=0).sigmoid()), images)


def plain_call(case: Case, model: PlainNetwork, images: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    """The same of the plain network."""
    case = replace(case, precision="float32")
    if case.mode == "train":
        model.train()
        optimizer = make_adam(model.parameters())
        return _training(case, lambda images, targets: plain_loss(model(images), targets), optimizer, images, targets)
    model.eval()
    return _inference(case, lambda images: model(images).mean(dim=0).sigmoid(), images)


def channels_last(images: Tensor) -> Tensor:
    """The images in the order that our convolutions run fastest in."""
    return images.contiguous(memory_format=torch.channels_last)


def _training(
    case: Case, objective: Callable[..., Tensor], optimizer: Adam, images: Tensor, targets: Tensor
) -> Callable[[], Tensor]:
    def step() -> Tensor:
        optimizer.zero_grad()
        with case.autocast:
            loss = objective(images, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _inference(case: Case, probabilities: Callable[..., Tensor], images: Tensor) -> Callable[[], Tensor]:
    def score() -> Tensor:
        with torch.inference_mode(), case.autocast:
            return probabilities(images)

    return score


def seconds(case: Case, call: Callable[[], Tensor], calls: int) -> float:
    """Seconds of one call, the mean of several; the device has finished before and after."""
    _finish(case)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    _finish(case)
    return (time.perf_counter() - start) / calls


def _finish(case: Case) -> None:
    if case.device == "cuda":
        torch.cuda.synchronize()


def head_share(case: Case, model: MultiExpertGCN, images: Tensor, targets: Tensor) -> float:
    """Share of GCN, attention, loss and diversity in an eager training step, as the head of this file says."""
    optimizer, attention = make_adam(model.parameters(), fused=True), model.attention
    if attention is None:
        raise ValueError("the share is that of a network with attention")
    loss, sizes = our_loss(), [sum(p.numel() for p in part.parameters()) for part in (attention, model.heads, model)]
    part = (sizes[0] + sizes[1]) / sizes[2]
    model.train()
    times = []
    for _ in range(WARM_UP + case.steps * case.rounds):  # without a pause, so that a GPU always has work waiting
        marks = [_now(case)]
        optimizer.zero_grad()
        with case.autocast:
            features = model.trunk(channels_last(images))
            pooled = torch.stack([model.pool(branch(features)) for branch in model.branches])
        marks.append(_now(case))
        leaf = pooled.detach().requires_grad_()
        loss(model.logits(attention.images(leaf), model.classifiers()), targets).backward()
        marks.append(_now(case))
        pooled.backward(leaf.grad)
        marks.append(_now(case))
        optimizer.step()
        times.append([*marks, _now(case)])
    _finish(case)
    spent = [[_between(*pair) for pair in pairwise(marks)] for marks in times[WARM_UP:]]
    forward, head, backward, update = np.median(spent, axis=0)
    return float((head + part * update) / (forward + head + backward + update))


def _now(case: Case) -> Any:
    """A point in time, on a GPU when it comes there; to be read by _between."""
    if case.device == "cpu":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(start: Any, end: Any) -> float:
    """Seconds on the CPU, milliseconds on a GPU, which must have finished."""
    return end - start if isinstance(start, float) else start.elapsed_time(end)


def measure(case: Case) -> str:
    """One row of the table.

    Raises: RuntimeError if the two sides give other shapes or something that is not finite.
    """
    ours, plain = copy.deepcopy(build_both(case.trunk))
    with torch_seed(1):
        batch = [values.to(case.device) for values in batch_of(case.batch, case.size)]
    calls = plain_call(case, plain.to(case.device), *batch), our_call(case, ours.to(case.device), *batch)
    first = seconds(case, calls[1], 1)
    outcomes = [[call() for _ in range(WARM_UP)][-1] for call in calls]
    if outcomes[0].shape != outcomes[1].shape or not all(bool(values.isfinite().all()) for values in outcomes):
        raise RuntimeError(f"plain gives {outcomes[0]}, ours {outcomes[1]}")
    times = np.array([[seconds(case, call, case.steps) for call in calls] for _ in range(case.rounds)])
    reference, own = case.batch / np.median(times, axis=0)
    ratios = times[:, 0] / times[:, 1]
    share = f"{head_share(case, ours, *batch):.1%}" if case.mode == "train" else "-"
    compiled = f"{first:.0f} s" if case.compile else "no"
    return (
        f"| {case.mode} | {case.size} | {case.batch} | {case.precision} | {compiled} | {reference:.2f} | {own:.2f} "
        f"| {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) | {share} |"
    )


def settings(case: Case) -> str:
    """Machine, versions, and how torch computes in float32."""
    name = torch.cuda.get_device_name() if case.device == "cuda" else f"{platform.machine()} CPU"
    tf32 = "allowed" if torch.backends.cudnn.allow_tf32 else "not allowed"
    return (
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}; {case.trunk}, {EXPERTS} experts, "
        f"{LABELS} labels; float32 on a GPU: TF32 {tf32} in convolutions, matrix products at "
        f"{torch.get_float32_matmul_precision()} precision"
    )


def run(cases: list[Case], console: Console) -> int:
    """Measures one case after the other and returns how many failed; a single one that fails raises."""
    console.print(settings(cases[0]))
    console.print("| mode | px | batch | ours in | compiled in | plain images/s | ours images/s | ratio | share |")
    console.print("|---" * 9 + "|")
    failed = 0
    for case in cases:
        try:
            console.print(measure(case))
        except Exception as error:  # out of memory, or whatever a compiler provokes: the others can still be measured
            if len(cases) == 1:
                raise
            failed += 1
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            console.print(f"| {case.mode} | {case.size} | {case.batch} | {case.precision} | failed: {reason} |")
        torch.compiler.reset()
        gc.collect()
        if case.device == "cuda":
            torch.cuda.empty_cache()
    return failed


def main() -> None:
    """Prints the table, and the seconds it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES)
    choices = {"mode": ("train", "inference"), "device": ("cpu", "cuda"), "precision": ("float32", "bfloat16")}
    for field in fields(Case):
        if field.type is bool:
            parser.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(f"--{field.name}", type=field.type, choices=choices.get(field.name))
    options = vars(parser.parse_args())
    suite = options.pop("suite")
    given = {name: value for name, value in options.items() if value is not None}
    cases = [replace(case, **given) for case in (SUITES[suite] if suite else [Case()])]
    console = Console(soft_wrap=True, markup=False, highlight=False)
    start = time.perf_counter()
    failed = run(cases, console)
    console.print(f"{time.perf_counter() - start:.0f} s in all")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
