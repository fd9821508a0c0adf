"""The query decoder's share: its time in a training step, against that of the trunk and the expert's last stage.

Run: python benchmarks/head.py [--labels 26] [--batch 8] [--size 224] [--precision float32|bfloat16] [--threads N]
One expert, learned queries, binary cross-entropy, channels last, fused Adam for both parts. The step is cut at the
feature map: the decoder's part is forward and backward from there to the loss, and the update of its own weights; all
else is the trunk's. Both are timed inside the same steps, so the ratio holds on a busy machine too. Weights are random.
"""

import argparse
import time

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Adam

from mlgcn.losses import BCELoss
from mlgcn.nn import LearnedQueries, QueryDecoder, build_trunk, expert_branches
from mlgcn.seeding import torch_seed

WARM_UP = 2


class Step:
    """Training steps whose two parts are timed apart."""

    def __init__(self, options: argparse.Namespace) -> None:
        with torch_seed(0):
            trunk = build_trunk(options.trunk, "none")
            (branch,), features = expert_branches(trunk, 1)
            queries = LearnedQueries(options.groups or options.labels, options.width)
            decoder = QueryDecoder(
                features, queries, options.labels, options.width, options.layers, groups=options.groups
            )
            images = torch.randn(options.batch, 3, options.size, options.size)
            targets = (torch.rand(options.batch, options.labels) < 0.1).float()
        last = torch.channels_last
        self.body = nn.Sequential(trunk.trunk, branch).to(options.device, memory_format=last).train()
        self.decoder = decoder.to(options.device).train()
        self.images = images.to(options.device, memory_format=last)
        self.targets = targets.to(options.device)
        self.adam = [Adam(part.parameters(), lr=1e-4, fused=True) for part in (self.body, self.decoder)]
        self.loss = BCELoss()
        self.device, self.half = options.device, options.precision == "bfloat16"

    def __call__(self) -> tuple[float, float]:
        """Seconds of the trunk's part and of the decoder's."""
        for optimizer in self.adam:
            optimizer.zero_grad()
        marks = [self._now()]
        with self._autocast():
            maps = self.body(self.images)
        marks.append(self._now())
        leaf = maps.detach().requires_grad_()
        self._objective(leaf).backward()
        self.adam[1].step()
        marks.append(self._now())
        maps.backward(leaf.grad)
        self.adam[0].step()
        marks.append(self._now())
        forward, head, backward = np.diff(marks)
        return float(forward + backward), float(head)

    def _objective(self, maps: Tensor) -> Tensor:
        with self._autocast():
            logits = self.decoder(maps)
        return self.loss(logits, self.targets).mean()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.half)

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def main() -> None:
    """Prints both times, and the median and range of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trunk", default="resnet101")
    parser.add_argument("--labels", type=int, default=26)
    parser.add_argument("--groups", type=int, help="of queries; by default each label has its own")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(
        f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}; {options.precision}"
    )
    step = Step(options)
    times = np.array([step() for _ in range(WARM_UP + options.steps)])[WARM_UP:]
    trunk, head = np.median(times, axis=0)
    ratios = times[:, 1] / times[:, 0]
    console.print(
        f"{options.trunk}, {options.labels} labels, batch {options.batch}, {options.size} px: trunk {trunk:.3f} s, "
        f"decoder {head:.3f} s, {np.median(ratios):.1%} of the trunk's ({ratios.min():.1%} to {ratios.max():.1%})"
    )


if __name__ == "__main__":
    main()
