"""The report of a label graph: what the terminal shows, and the files of its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text
from torch_geometric.data import Data

from mlgcn.data.samplers import SAMPLERS
from mlgcn.data.simulation import draw_summary
from mlgcn.graph import Cooccurrence, edge_table, label_graph, save_graph
from mlgcn.graph.inspect import LEAST_IMAGES, export_graph, label_statistics, mixing, strongest_pairs, threshold_table
from mlgcn.labels import describe_rule, group_labels
from mlgcn.reporting.figures import save_figures
from mlgcn.reporting.graph_figures import (
    comparison_figure,
    label_distribution_figure,
    sampling_figure,
    threshold_figure,
)
from mlgcn.reporting.graph_page import write_graph_page
from mlgcn.reporting.graph_tables import change_rows, edge_rows, label_rows, sampling_rows, threshold_rows
from mlgcn.reporting.heat_maps import cooccurrence_figure, head_cooccurrence, head_cooccurrence_figure
from mlgcn.reporting.network import network_figure

MOST_DRAWN = 200  # labels in heat maps, network and page


@dataclass(frozen=True, eq=False)
class GraphReport:
    """A label graph with all that is shown of it.

    Attributes:
        cooc, graph, edges: counts, the graph as the network takes it, and its edges (edge_table).
        groups, rule: label names by group, and the rule in words.
        thresholds: edges and isolated labels by threshold (threshold_table).
        changes, against, lone: how another graph differs (compare_graphs), what that one is called, and the labels that
            only this one and only that one has.
        simulations: what samplers would draw, by name (mlgcn.data.simulation.simulate), each in so many draws.
    """

    cooc: Cooccurrence
    graph: Data
    edges: pd.DataFrame
    groups: dict[str, list[str]]
    rule: str
    thresholds: pd.DataFrame
    changes: pd.DataFrame | None = None
    against: str = ""
    lone: tuple[Sequence[str], Sequence[str]] = ((), ())
    simulations: Mapping[str, pd.DataFrame] | None = None
    draws: int = 512

    @classmethod
    def of(cls, cooc: Cooccurrence, rule: str = "prevalence", **options: Any) -> "GraphReport":
        """The report of these counts; options are those of label_graph, which warns of extremes.

        Raises: ValueError if there are fewer than two labels or the number of images is not known, and as label_graph
            and label_groups.
        """
        if len(cooc.names) < 2:
            raise ValueError(f"a label graph needs at least two labels, got {list(cooc.names)}")
        if cooc.images is None:
            raise ValueError("the counts came without the number of images, which the groups need: --images NUMBER")
        graph = label_graph(cooc, **options)
        asked = {name: graph.options[name] for name in ("shrinkage", "significance", "symmetric")}
        edges = edge_table(cooc, graph.options["threshold"], **asked)
        if graph.options["variant"] == "identity":
            edges = edges[:0]
        groups = group_labels(cooc.names, cooc.prevalence, rule)
        return cls(cooc, graph, edges, groups, describe_rule(rule, "these images"), threshold_table(cooc, **asked))

    def tables(self, most: int = 15) -> RenderableType:
        """What the terminal shows: labels, strongest pairs, edges, thresholds, and what else was asked for."""
        cooc, options = self.cooc, self.graph.options
        parts: list[RenderableType] = [
            Text(self._headline()),
            label_rows(label_statistics(cooc, self.edges, self.groups)),
            Text(f"Groups {self.rule}."),
            Text(f"\nStrongest pairs: P(j|i), of the images with i the share with j; i with {LEAST_IMAGES} or more"),
            edge_rows(strongest_pairs(cooc, most), most),
            Text(f"\nEdges at threshold {options['threshold']:g}"),
            edge_rows(self.edges.sort_values("probability", ascending=False), most),
            Text(
                "lift: P(j|i) over the prevalence of j; q: false discovery rate of taking the pair for more than chance"
            ),
            *(Text(line) for line in self._findings()),
            Text("\nWhat other thresholds would leave"),
            threshold_rows(self.thresholds, len(cooc.names)),
        ]
        if self.changes is not None:
            lost, gained, kept = (int((self.changes.change == change).sum()) for change in ("lost", "gained", "kept"))
            edges = f"edges only here {lost}, only there {gained}, in both {kept}"
            if untold := int((self.changes.change == "untold").sum()):
                edges += f"; {untold} of which one side cannot tell"
            parts.append(Text(f"\nAgainst {self.against}: {edges}"))
            for where, names in zip(("here", f"in {self.against}"), self.lone, strict=False):
                parts += [Text(f"Not compared, being only {where}: {', '.join(names)}.")] if names else []
            parts.append(Text(f"The largest shifts, of labels i with {LEAST_IMAGES} images or more on both sides"))
            parts.append(change_rows(self._firm(self.changes), self.against, most))
        if self.simulations:
            parts += [Text(f"\nPositives of each label in {self.draws:,} draws"), sampling_rows(self.simulations)]
            parts += [Text(f"{name}: {draw_summary(frame)}") for name, frame in self.simulations.items()]
        return Group(*parts)

    def write(self, folder: Path, title: str) -> list[Path]:
        """Writes figures, the interactive page, the tables as CSV, and the graph for other tools; returns the files."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = export_graph(folder, self.cooc, self.edges, self.groups)
        paths.append(folder / "label_graph.json")
        save_graph(paths[-1], self.cooc, self.graph)
        tables = {
            "labels": label_statistics(self.cooc, self.edges, self.groups),
            "thresholds": self.thresholds,
            "changes": self.changes,
            **{f"sampling_{name}": simulation for name, simulation in (self.simulations or {}).items()},
        }
        for stale in ("changes.csv", "figures/changes.png", "figures/sampling.png", "figures/head.png"):
            (folder / stale).unlink(missing_ok=True)  # of an earlier report, which was asked for more
        for sampler in SAMPLERS:
            (folder / f"sampling_{sampler}.csv").unlink(missing_ok=True)
        for name, table in tables.items():
            if table is not None:
                paths.append(folder / f"{name}.csv")
                table.to_csv(paths[-1], index=name.startswith("sampling"))
        drawn, edges = self._drawn()
        paths += save_figures(self._figures(drawn, edges, title), folder / "figures").values()
        # The page counts edges by P(j|i) alone, so it says what else made the graph.
        options = self.graph.options
        told = {name: value for name, value in options.items() if value or name in ("threshold", "reweight")}
        cut = (
            {"labels": f"the {len(drawn.names)} most frequent of {len(self.cooc.names):,}"}
            if drawn is not self.cooc
            else {}
        )
        page = write_graph_page(
            folder / "graph.html", drawn, self.groups, options["threshold"], title,
            {**self.cooc.provenance, **cut, "graph": ", ".join(f"{name} {value}" for name, value in told.items())},
        )  # fmt: skip
        return [*paths, page]

    def _headline(self) -> str:
        cooc = self.cooc
        sizes = np.array(cooc.labels_per_image)
        mean = f", {sizes @ np.arange(len(sizes)) / sizes.sum():.2f} labels an image" if sizes.sum() else ""
        origin = ", ".join(f"{name} {value}" for name, value in cooc.provenance.items() if value)
        return f"{cooc.images:,} images, {len(cooc.names):,} labels{mean}" + (f" ({origin})" if origin else "")

    def _findings(self) -> list[str]:
        """What a reader should know of the graph before training with it."""
        size, share = len(self.cooc.names), mixing(self.graph)
        degree = (len(self.edges) / size, int((share > 0).sum()))
        lines = [
            f"{len(self.edges):,} edges, {degree[0]:.2f} a label; {degree[1]} of {size} labels receive from another, "
            f"and of a label's new vector the others make up {share.mean():.1%} on average, {share.max():.1%} at most."
        ]
        never = [name for name, total in zip(self.cooc.names, self.cooc.totals, strict=True) if not total]
        if never:
            lines.append(f"Never positive: {', '.join(never)}.")
        if size > MOST_DRAWN:
            lines.append(f"Heat maps, network and page show the {MOST_DRAWN} most frequent of {size:,} labels.")
        return lines

    @staticmethod
    def _firm(changes: pd.DataFrame) -> pd.DataFrame:
        """The changes that rest on enough images."""
        return changes[changes[["images_a", "images_b"]].min(axis=1) >= LEAST_IMAGES]

    def _drawn(self) -> tuple[Cooccurrence, pd.DataFrame]:
        """The counts and edges that figures and page show: of many labels, the most frequent."""
        if len(self.cooc.names) <= MOST_DRAWN:
            return self.cooc, self.edges
        frequent = np.sort(np.argsort(-self.cooc.totals, kind="stable")[:MOST_DRAWN])
        names = [self.cooc.names[place] for place in frequent]
        return self.cooc.take(names), self.edges[self.edges.source.isin(names) & self.edges.target.isin(names)]

    def _figures(self, drawn: Cooccurrence, edges: pd.DataFrame, title: str) -> dict[str, Figure]:
        options = self.graph.options
        figures = {
            "labels": label_distribution_figure(self.cooc, self.groups, self.cooc.labels_per_image or None),
            "network": network_figure(drawn, edges, self.groups),
            "thresholds": threshold_figure(
                self.thresholds.threshold, self.thresholds.edges, self.thresholds.isolated, options["threshold"]
            ),
        }
        for kind in ("counts", "conditional"):
            for order in ("frequency", "clustering"):
                figures[f"{kind}_by_{order}"] = cooccurrence_figure(drawn, kind, order)
        if (shares := head_cooccurrence(drawn, self.groups)).notna().any(axis=None):
            figures["head"] = head_cooccurrence_figure(shares)
        if self.changes is not None:
            figures["changes"] = comparison_figure(self._firm(self.changes), title, self.against)
        if self.simulations:
            figures["sampling"] = sampling_figure(self.simulations, self.draws)
        return figures
