"""What a trained model made of the label graph: its classifiers, its experts, and what single edges do."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from mlgcn.data.datamodule import check_present
from mlgcn.data.studies import study_table
from mlgcn.graph import Cooccurrence
from mlgcn.labels import LabelTable
from mlgcn.nn import MultiExpertGCN
from mlgcn.prediction.edge_influence import EdgeCuts, EdgeInfluence, joined
from mlgcn.prediction.predictor import Predictor, expert_spread

FORMAT = "mlgcn diagnostics 1"
MOST_COMPARED = 200


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike the classifiers of two labels are, next to how often the labels stand together in training.

    Attributes, for the S most frequent labels, at most 200:
        labels: their places, from frequent to rare, int64 [S].
        cosine: float32 [S, S], of the classifiers, mean over experts.
        lift: float32 [S, S], (together + 1) / (expected + 1): the images that have both labels over those that chance
            gives, as a multiple. Its logarithm is the pointwise mutual information, drawn to 0 where chance gives less
            than an image, so that two rare labels never seen together say nothing. NaN where no image tells both
            labels, None without counts.
        linked: bool [S, S], whether the label graph has the edge i -> j.
        spearman: rank correlation of cosine and lift over the pairs of different labels, None where undefined.
    """

    labels: np.ndarray
    cosine: np.ndarray
    lift: np.ndarray | None
    linked: np.ndarray
    spearman: float | None


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What a trained model made of the label graph, measured on a set of images.

    Attributes:
        names: the C labels, in the model's order; every place below counts in it.
        groups: label names by group. positives: int64 [C], in training.
        images: how many were looked at.
        attention: what attends to what in the model, or "none".
        norms: float32 [E, C], lengths of the classifiers; as the logits use them, or with "joint" attention before it,
            since behind it they differ from image to image.
        disagreement: float32 [C], standard deviation over experts (divided by E) of a label's probability, mean over
            images; NaN with one expert.
        similarity, edges: see there.
    Source of the norms: Seo et al. 2023, Figure 5.
    """

    names: tuple[str, ...]
    groups: dict[str, list[str]]
    positives: np.ndarray
    images: int
    attention: str
    norms: np.ndarray
    disagreement: np.ndarray
    similarity: Similarity
    edges: EdgeInfluence

    def edge_table(self) -> pd.DataFrame:
        """The edges that were cut, by name, from the one that changes its target most."""
        names, edges = np.array(self.names, dtype=object), self.edges
        columns = {
            "source": names[edges.source],
            "target": names[edges.target],
            "weight": edges.weight,
            "target_change": edges.target_change,
            "mean_change": edges.mean_change,
            "ap_change": edges.ap_change,
        }
        return pd.DataFrame(columns).sort_values("target_change", ascending=False, kind="stable", ignore_index=True)

    def summary(self) -> dict[str, float | None]:
        """One number for each part, None where it is undefined."""
        return {
            "similarity_spearman": self.similarity.spearman,
            "expert_disagreement": float(self.disagreement.mean()) if len(self.norms) > 1 else None,
            "edge_target_change": float(self.edges.target_change.mean()) if len(self.edges.source) else None,
        }

    def save(self, path: str | Path) -> None:
        """Writes JSON: the attributes by name, null where a number is undefined."""
        content = {"format": FORMAT} | _plain(asdict(self))
        Path(path).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Diagnostics":
        """The diagnostics of a file that save wrote. Raises: FileNotFoundError, ValueError that names the file."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise ValueError(f"expected {FORMAT!r}")
            similarity, edges = _arrays(content["similarity"], SIMILARITY), _arrays(content["edges"], EDGES)
            edges["change"] = edges["change"].reshape(-1, len(content["names"]))  # without edges its width is lost
            parts = {"similarity": Similarity(**similarity), "edges": EdgeInfluence(**edges)}
            return cls(**_arrays(content, DIAGNOSTICS) | {"names": tuple(content["names"])} | parts)
        except (KeyError, TypeError, ValueError) as error:
            what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path} holds no diagnostics of a model: {what}") from error


# The types of what JSON holds as lists.
DIAGNOSTICS = {"positives": np.int64, "norms": np.float32, "disagreement": np.float32}
SIMILARITY = {"labels": np.int64, "cosine": np.float32, "lift": np.float32, "linked": np.bool_}
EDGES = {"source": np.int64, "target": np.int64, "weight": np.float32, "change": np.float32, "ap_change": np.float32}


@torch.inference_mode()
def diagnose(
    predictor: Predictor,
    table: LabelTable,
    counts: Cooccurrence | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
    skip_unreadable: bool = False,
    most_edges: int = 100,
) -> Diagnostics:
    """What the model made of the label graph, in one pass over the table's images, best those of validation.

    Args:
        counts: co-occurrence in the model's training split; without it, or without its number of images, the
            similarity of classifiers is compared with nothing.
        most_edges: how many edges of the label graph to cut, the heaviest.
    Raises: ValueError if the model has no classifiers but label queries, and one that names the difference if table or
        counts have other labels; FileNotFoundError or
        UnreadableImageError on images that cannot be read, unless they are to be skipped.
    """
    described, model = predictor.description, predictor.model
    if not isinstance(model, MultiExpertGCN):
        raise ValueError("label queries have no classifiers to look into; this is for model.head gcn")
    described.expect_labels(table.names)
    if counts is not None:
        described.expect_labels(counts.names)
    table = table.reordered(predictor.names)
    if not skip_unreadable:
        check_present(table)
    rows_of = table if described.study_views is None else study_table(table)
    rows, cuts, images = model.classifiers(), EdgeCuts(model, most_edges, len(rows_of)), 0
    spread = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for inputs, batch in predictor.batches(table, batch_size, num_workers, skip_unreadable):
        places = batch.rows.numpy()
        vectors = model.image_vectors(*inputs)  # [E, B, D]
        logits = model.logits(vectors, rows)  # [E, B, C]
        spread += expert_spread(logits).sum(dim=0)
        cuts.add(vectors, logits.mean(dim=0), rows_of.certain[places], places)
        images += len(places)
    disagreement = (spread / images).float().cpu().numpy()
    return Diagnostics(
        names=tuple(predictor.names),
        groups=described.groups,
        positives=np.array(described.positives, dtype=np.int64),
        images=images,
        attention="none" if model.attention is None else model.attention.tokens,
        norms=rows.norm(dim=2).cpu().numpy(),
        disagreement=disagreement if len(rows) > 1 else np.full_like(disagreement, np.nan),
        similarity=_similarity(model, rows, described.positives, predictor.names, counts),
        edges=cuts.result(),
    )


def _similarity(
    model: MultiExpertGCN, rows: Tensor, positives: list[int], names: list[str], counts: Cooccurrence | None
) -> Similarity:
    kept = np.argsort(-np.array(positives), kind="stable")[:MOST_COMPARED]
    directions = F.normalize(rows[:, kept], dim=2)  # [E, S, D]
    cosine = (directions @ directions.mT).mean(dim=0).cpu().numpy()
    place = np.full(len(names), -1)
    place[kept] = np.arange(len(kept))
    source, target = (place[ends.cpu().numpy()] for ends in joined(model))
    linked = np.zeros(cosine.shape, dtype=bool)
    among = (source >= 0) & (target >= 0)
    linked[source[among], target[among]] = True
    lift = None if counts is None or counts.images is None else _lift(counts, [names[i] for i in kept])
    return Similarity(kept, cosine, lift, linked, None if lift is None else _rank_correlation(cosine, lift))


def _lift(counts: Cooccurrence, names: list[str]) -> np.ndarray:
    """How many times as often as by chance labels stand together, see Similarity: float32 [S, S]."""
    place = pd.Index(counts.names).get_indexer(pd.Index(names))
    first, second = np.repeat(place, len(place)), np.tile(place, len(place))
    known, prevalence = counts.known_images(first, second), counts.prevalence
    expected = np.where(known > 0, known, np.nan) * prevalence[first] * prevalence[second]
    lift = (counts.together(first, second) + 1) / (expected + 1)
    return lift.astype(np.float32).reshape(len(place), len(place))


def _rank_correlation(cosine: np.ndarray, lift: np.ndarray) -> float | None:
    """Spearman's, over the pairs i < j that are told, None where one of the two does not vary."""
    pairs = np.triu_indices(len(cosine), k=1)
    told = ~np.isnan(lift[pairs])
    x, y = cosine[pairs][told], lift[pairs][told]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(spearmanr(x, y).statistic)


def _plain(value: Any) -> Any:
    """In plain containers; single precision as the shortest decimals that give it back."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        decimals = value.astype(str).astype(np.float64)
        return np.where(np.isnan(decimals), None, decimals.astype(object)).tolist()  # type: ignore[call-overload]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


def _arrays(content: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """The content with some of its lists as arrays of a type, null among their numbers as NaN."""
    return content | {
        key: None if content[key] is None else np.array(content[key], kind) for key, kind in kinds.items()
    }
