"""How often a bootstrap resample holds each image."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlgcn.metrics.groups import check_column

# Numbers in one block of weights, which bounds the memory.
BLOCK = 2**22
# From here on the jackknife leaves out sets of clusters at a time: the skewness that it is for comes out the same.
JACKKNIFE = 500


class Resampling:
    """Resamples of images, or of clusters of images such as patients, drawn with replacement.

    Clusters are drawn in the order of what they hold, so that neither the order of the rows nor the clusters' names
    matter: the same images give the same resamples for a seed. Two models compare only inside the same resamples.

    Attributes:
        order: rows in the order in which weights come, [N].
        sizes: images of each cluster in that order, [clusters].
        clusters: how many there are.

    Args:
        contents: arrays [N, K] of what is known of each image.
        clusters: the cluster of each image, [N]; without, every image is its own.
    Raises: ValueError on clusters of another length or without a value, or unless there are two of them.
    """

    def __init__(self, contents: Sequence[np.ndarray], clusters: Any = None) -> None:
        ranks = _ranks(np.concatenate([np.nan_to_num(part, nan=-1) for part in contents], axis=1))
        if clusters is None:
            self.order, self.sizes = np.argsort(ranks, kind="stable"), np.ones(len(ranks), dtype=np.int64)
        else:
            self.order, self.sizes = _by_contents(ranks, check_column(clusters, "clusters", len(ranks)))
        if len(self.sizes) < 2:
            drawn = "images" if clusters is None else "clusters, such as patients,"
            raise ValueError(f"{len(self.sizes)} {drawn} to draw resamples from, expected at least 2")
        self.clusters = len(self.sizes)

    def everything(self) -> np.ndarray:
        """Every image once: [N, 1]."""
        return np.ones((len(self.order), 1), dtype=np.float32)

    def draws(self, resamples: int, seed: int) -> Iterator[np.ndarray]:
        """Numbers of times in blocks of resamples: float32 [N, R], R over all blocks being resamples."""
        rng, clusters = np.random.default_rng(seed), self.clusters
        for count in self._blocks(resamples):
            drawn = rng.integers(clusters, size=(count, clusters))
            drawn += clusters * np.arange(count)[:, None]
            yield self._expand(np.bincount(drawn.ravel(), minlength=count * clusters).reshape(count, clusters).T)

    def left_out(self, seed: int) -> Iterator[np.ndarray]:
        """Weights of a jackknife in blocks: every image once but those of one cluster, or of one set of clusters."""
        sets = min(self.clusters, JACKKNIFE)
        member = np.random.default_rng([seed, 1]).permutation(self.clusters) % sets
        first = 0
        for count in self._blocks(sets):
            yield self._expand(member[:, None] != np.arange(first, first + count))
            first += count

    def _expand(self, counts: np.ndarray) -> np.ndarray:
        """Counts of clusters [clusters, R] as those of their images."""
        counts = counts.astype(np.float32)
        return counts if len(counts) == len(self.order) else np.repeat(counts, self.sizes, axis=0)

    def _blocks(self, total: int) -> Iterator[int]:
        size = max(1, BLOCK // len(self.order))
        yield from (min(size, total - start) for start in range(0, total, size))


def _ranks(contents: np.ndarray) -> np.ndarray:
    """The place of each row among the distinct rows in their order: int64 [N]."""
    order = np.lexsort(contents.T[::-1]) if contents.shape[1] else np.arange(len(contents))
    ranks = np.zeros(len(contents), dtype=np.int64)
    ranks[order[1:]] = np.cumsum((contents[order[1:]] != contents[order[:-1]]).any(axis=1))
    return ranks


def _by_contents(ranks: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows cluster by cluster, the clusters in the order of their rows' ranks; and the clusters' sizes."""
    _, member = np.unique(clusters, return_inverse=True)
    rows = np.lexsort((ranks, member))
    parts = np.split(rows, np.flatnonzero(np.diff(member[rows])) + 1)
    parts.sort(key=lambda part: ranks[part].tolist())
    return np.concatenate(parts), np.array([len(part) for part in parts])
