"""The transformer layer that all experts and both modalities share."""

import torch
from torch import Tensor, nn

TOKENS = ("labels", "experts", "joint")


class SharedAttention(nn.Module):
    """One transformer encoder layer, the same weights for every expert, for image vectors and for classifiers.

    What attends to what is the choice of tokens:
        "labels": within an expert the C classifiers attend to each other; each image vector is a sequence of one.
        "experts": all E * C classifiers attend to each other, and so do the E vectors of an image.
        "joint": per image and expert, its vector and the C classifiers form one sequence of 1 + C, so that the
            classifiers depend on the image.

    The layer normalises before attending and its residual branches start small, so that it begins near the identity
    and logits keep the scale that ML-GCN gives them: with normalisation behind the sums, as in Vaswani et al. 2017,
    random vectors of D numbers give logits of size sqrt(D), and BCE starts at 20 instead of 0.7.

    Args:
        features: D. heads: must divide D. dropout: of the layer.
    Source: Seo et al. 2023, section 3.5.
    Raises: ValueError on unknown tokens or heads that do not divide D.
    """

    def __init__(self, features: int, heads: int = 8, tokens: str = "labels", dropout: float = 0.0) -> None:
        super().__init__()
        if tokens not in TOKENS:
            raise ValueError(f"tokens is {tokens!r}, expected one of {list(TOKENS)}")
        if heads < 1 or features % heads:
            raise ValueError(f"heads is {heads}, expected a divisor of the {features} features")
        self.tokens = tokens
        self.layer = nn.TransformerEncoderLayer(
            features, heads, dim_feedforward=features, dropout=dropout, batch_first=True, norm_first=True
        )
        with torch.no_grad():
            self.layer.self_attn.out_proj.weight.mul_(0.1)
            self.layer.linear2.weight.mul_(0.1)
            self.layer.linear2.bias.zero_()

    @property
    def depends_on_image(self) -> bool:
        """Whether the refined classifiers differ from image to image."""
        return self.tokens == "joint"

    def classifiers(self, classifiers: Tensor) -> Tensor:
        """Classifiers refined without an image: [E, C, D] -> [E, C, D]."""
        if self.tokens == "experts":
            return self.layer(classifiers.flatten(0, 1)[None])[0].view_as(classifiers)
        return self.layer(classifiers)

    def images(self, pooled: Tensor) -> Tensor:
        """Image vectors refined without the classifiers: [E, B, D] -> [E, B, D]."""
        if self.tokens == "experts":
            return self.layer(pooled.transpose(0, 1)).transpose(0, 1)
        return self.layer(pooled.flatten(0, 1)[:, None]).view_as(pooled)

    def joint(self, pooled: Tensor, classifiers: Tensor) -> tuple[Tensor, Tensor]:
        """Both refined together: [E, B, D], [E, C, D] -> [E, B, D], [E, B, C, D]."""
        experts, batch, features = pooled.shape
        rows = classifiers[:, None].expand(experts, batch, *classifiers.shape[1:])
        sequences = torch.cat([pooled[:, :, None], rows], dim=2)  # [E, B, 1 + C, D]
        refined = self.layer(sequences.flatten(0, 1)).view(experts, batch, -1, features)
        return refined[:, :, 0], refined[:, :, 1:]
