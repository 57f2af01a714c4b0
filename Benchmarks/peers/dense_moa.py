"""Mixture-of-Adapters as its paper's code computes it: every expert's full matrix, for every token.

Lee et al., "Domain Generalization using Large Pretrained Models with Mixture-of-Adapters", arXiv:2310.11031. Written
from the equations; a linear layer `[in] -> [out]` is frozen, N Kronecker experts of several ranks stand beside it, a
cosine router gives each token to one:

    H_e = sum_t (l_t rho_t^T) kron (U_et V_et)                 [in, out]
    y   = W0 x + b0 + sum_e g_e(x) x D_e + beta                D_e = DropConnect(H_e) in training

It is slow by design: the `[P, in, out]` Kronecker products are formed before they are summed, in every forward, and all
experts are evaluated for all tokens before the gates mask them. The same module makes the oracles of the tests
(`scripts/fixtures/mixture_of_adapters.py`), so what is timed is what was checked.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class SlowWeights(nn.Module):
    """The factors `l` and `rho` `[P, P]` that all layers and experts share."""

    def __init__(self, dimension):
        super().__init__()
        self.l = nn.Parameter(torch.empty(dimension, dimension).uniform_(-0.01, 0.01))
        self.rho = nn.Parameter(torch.empty(dimension, dimension).uniform_(-0.01, 0.01))


class KroneckerExpert(nn.Module):
    def __init__(self, in_features, out_features, slow, rank):
        super().__init__()
        dimension = slow.l.shape[0]
        rows, columns = in_features // dimension, out_features // dimension
        self.slow = [slow]  # in a list: shared, registered once by its owner
        self.U = nn.Parameter(torch.empty(dimension, rows, rank))
        self.V = nn.Parameter(torch.empty(dimension, rank, columns))
        for factor in (self.U, self.V):
            bound = math.sqrt(2) * math.sqrt(6 / (factor.shape[1] + factor.shape[2]))
            nn.init.uniform_(factor, -bound, bound)

    def matrix(self):
        slow = self.slow[0]
        coarse = slow.l[:, :, None] * slow.rho[:, None, :]  # [P, P, P]
        fine = self.U @ self.V  # [P, i, o]
        blocks = coarse[:, :, None, :, None] * fine[:, None, :, None, :]  # [P, P, i, P, o]
        dimension, rows = coarse.shape[1], fine.shape[1]
        return blocks.reshape(dimension, dimension * rows, -1).sum(0)


class CosineRouter(nn.Module):
    def __init__(self, in_features, experts, projection=256, temperature=0.5, minimum_temperature=0.01):
        super().__init__()
        self.projection = nn.Linear(in_features, projection)
        self.embedding = nn.Parameter(torch.randn(projection, experts) * 0.01)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.largest = math.log(1 / minimum_temperature)

    def forward(self, tokens):
        scale = self.log_scale.clamp(max=self.largest).exp()
        keys = functional.normalize(self.projection(tokens), dim=-1)
        return scale * (keys @ functional.normalize(self.embedding, dim=0))


def squared_variation(values):
    return values.var(unbiased=True) / (values.mean() ** 2 + 1e-10)


def auxiliary_loss(clean, noisy_top, deviation):
    """`clean` `[tokens, N]` probabilities without noise, `noisy_top` `[tokens]`; not yet multiplied by its weight."""
    if clean.shape[1] == 1:
        return clean.new_zeros(())
    importance = clean.sum(0)
    load = torch.special.ndtr((clean - noisy_top[:, None]) / deviation).sum(0)
    return (squared_variation(importance) + squared_variation(load)) / 2


class MixtureOfAdapters(nn.Module):
    def __init__(self, base, slow, ranks=(1, 2, 4, 8), projection=256, drop_connect=0.5):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.experts = nn.ModuleList(KroneckerExpert(base.in_features, base.out_features, slow, r) for r in ranks)
        self.router = CosineRouter(base.in_features, len(ranks), projection)
        self.beta = nn.Parameter(torch.zeros(base.out_features))
        self.drop_connect = drop_connect
        # What an oracle needs to fix: standard normal noise [tokens, N], masks of zeros and ones [in, out] per expert.
        self.noise = self.masks = None
        self.logits = self.gates = self.auxiliary = None

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        count = len(self.experts)
        logits = self.router(tokens)
        noisy = logits
        if self.training and count > 1:
            noise = torch.randn_like(logits) if self.noise is None else self.noise
            noisy = logits + noise / count
        probabilities = noisy.softmax(-1)
        top, chosen = probabilities.max(-1)
        gates = torch.zeros_like(probabilities).scatter(1, chosen[:, None], top[:, None])
        self.logits, self.gates = logits, gates
        self.auxiliary = auxiliary_loss(logits.softmax(-1), top, 1 / count)

        outputs = self.base(tokens)
        for index, expert in enumerate(self.experts):
            matrix = expert.matrix()
            if self.training and self.masks is not None:
                matrix = matrix * self.masks[index] / (1 - self.drop_connect)
            else:
                matrix = functional.dropout(matrix, self.drop_connect, self.training)
            outputs = outputs + gates[:, index, None] * (tokens @ matrix)
        return (outputs + self.beta).reshape(*x.shape[:-1], -1)
