"""A mixture of experts in the place of a layer's MLP (arXiv 1701.06538)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.mixture import ExpertGroups, ExpertLinear, answers_bytes, expert_groups
from webllm_py.models.mlp import MLP, mlp_norm
from webllm_py.models.tensors import Tensors
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["Experts"]


@dataclass(frozen=True)
class Experts:
    """Which tensors make a mixture's matrices, and the pass over them.

    The matrices of all experts are one, each expert's rows behind the other's.

    Attributes:
        name: what the layer's tensors' names begin with.
    """

    config: ModelConfig
    tensors: Tensors
    name: str

    @property
    def router(self) -> str:
        """The matrix that scores experts."""
        return f"{self.name}.ffn_gate_inp"

    @property
    def choice_bias(self) -> str:
        """What is added to scores to tell which experts are the best."""
        return f"{self.name}.exp_probs_b"

    @property
    def norm(self) -> str:
        """The norm before it."""
        return f"{self.name}.ffn_norm"

    def forward(self, g: Graph) -> None:
        """hidden += the weighted answers of the experts that each row goes to, and that of what all
        rows go through."""
        groups, beside = self.groups(g), self.beside
        if beside:
            beside.widen(g, g.buffers.gated_beside)
        self.route(g, groups)
        self.gated(g, groups)
        self.add_answers(g, groups)
        if beside:
            beside.add(g, g.buffers.gated_beside, weighted=self.config.beside_weighted)

    @property
    def beside(self) -> MLP | None:
        """The MLP that all rows go through besides, if there is one; Granite 4 calls it as that of
        a layer without experts."""
        c = self.config
        suffix = "" if f"{self.name}.ffn_up.weight" in self.tensors else "_shexp"
        return MLP(c, self.tensors, self.name, c.beside_size, suffix) if c.beside_size else None

    def groups(self, g: Graph) -> ExpertGroups | None:
        """How rows are sorted by their experts; None where they are not."""
        groups = expert_groups(self.config, g.tuning, g.rows, g.layout.max_rows)
        fits = groups and answers_bytes(self.config, groups) <= g.buffers.answers.size
        return groups if fits else None

    def route(self, g: Graph, groups: ExpertGroups | None) -> None:
        """normed = the norm of the hidden rows; route = the experts that each goes to, and groups
        = the rows that go to the same one."""
        config, buffers, router = self.config, g.buffers, self.router
        g.norm(self.norm, buffers.hidden, buffers.normed)
        scores = {"y": buffers.scores}
        g.linear(router, {"x": buffers.normed}, "store", scores, Y_STRIDE=config.experts_scored)
        constants: dict[str, float] = {}
        bound = {"scores": buffers.scores, "route": buffers.route}
        if config.experts_scoring == "sigmoid":
            _, bias = g.weights.vectors.get(self.choice_bias, (None, None))
            constants["BIASED"] = bias is not None
            bound["bias"] = bias or buffers.zeros
        threads = 32
        while threads < min(config.n_experts, g.tuning.reduce_threads):
            threads *= 2
        made = kernel(
            "route",
            snippets={"scoring": f"route/{config.experts_scoring}"},
            LANES=threads,
            THREADS=threads,
            EXPERTS=config.n_experts,
            SCORES=config.experts_scored,
            TOP=config.n_experts_used,
            NORMALIZED=config.experts_normalized,
            SHARED=config.shared_expert,
            SCALE=config.experts_scale,
            **constants,
        )
        g.dispatches.append(Dispatch(made, bound, (1, g.rows, 1), router))
        if groups:
            threads = g.tuning.reduce_threads
            sorting = groups.dispatch(buffers.route, buffers.step, buffers.groups, threads)
            g.dispatches.append(sorting)

    def gated(self, g: Graph, groups: ExpertGroups | None) -> None:
        """gated = activated(gate) * up of the normed rows, for each of a row's experts."""
        snippets, constants = {"epilogue": "epilogue/glu", **g.activation}, {}
        if self.config.glu_limit:
            snippets = {"epilogue": "epilogue/clamped_glu"}
            constants = {"LIMIT": self.config.glu_limit}
        rows = g.buffers.normed, g.buffers.gated
        stride = padded(self.config.expert_size)
        self.linear(g, groups, "gate_up_exps", *rows, snippets, stride, constants)

    def add_answers(self, g: Graph, groups: ExpertGroups | None) -> None:
        """hidden += the weighted projections of what ``gated`` left."""
        buffers, stride = g.buffers, padded(self.config.hidden_size)
        if groups is None:
            snippets, rows = {"epilogue": "epilogue/residual"}, (buffers.gated, buffers.hidden)
            scale = g.residual_scale
            self.linear(g, groups, "down_exps", *rows, snippets, stride, scale, pairs=True)
            return
        snippets, rows = {"epilogue": "epilogue/store"}, (buffers.gated, buffers.answers)
        self.linear(g, groups, "down_exps", *rows, snippets, stride, {}, pairs=True)
        made = kernel(
            "add_experts",
            UNITS=stride // 4,
            TOP=self.config.experts_a_row,
            RESIDUAL_SCALE=self.config.residual_scale,
        )
        bound = {
            "answers": buffers.answers,
            "route": buffers.route,
            "step": buffers.step,
            "hidden": buffers.hidden,
        }
        spread = (-(-stride // 256), g.rows, 1)
        g.dispatches.append(Dispatch(made, bound, spread, f"{self.name}.down_exps"))

    def linear(
        self,
        g: Graph,
        groups: ExpertGroups | None,
        matrix_name: str,
        source: Buffer,
        target: Buffer,
        snippets: Mapping[str, str],
        stride: int,
        constants: Mapping[str, float],
        *,
        pairs: bool = False,
    ) -> None:
        """A matrix of all experts times rows.

        Args:
            snippets, constants: the kernel's, as ``gpu.kernels.kernel`` takes them.
            stride: elements of a row of the result.
            pairs: see ``ExpertLinear``.
        """
        name = f"{self.name}.{matrix_name}"
        matrix, slices = g.weights.matrices[name]
        vector, vectors = g.weights.vectors.get(name, (None, g.buffers.zeros))
        where = {"groups": g.buffers.groups} if groups else {"route": g.buffers.route}
        bound = {"x": source, "y": target, "vectors": vectors, **where}
        constants = {"BIAS": vector is not None, **constants}
        top = self.config.experts_a_row
        for part in slices:
            buffers = {**bound, **part.buffers}
            layer = ExpertLinear(
                matrix, part, buffers, snippets, constants, g.tuning, stride, top, pairs
            )
            g.expert_linears.append(layer)
            g.dispatches.append(layer.gemm(groups) if groups else layer.gemv(rows=g.rows))

    def matrices(self) -> list[Matrix]:
        """The router; gate and up of the experts, row by row; down. A shared expert's rows are the
        last ones of each. Then those of an MLP beside them, whose score the router's last row
        makes."""
        c = self.config
        router = Part(self.tensors.shaped(f"{self.router}.weight", c.n_experts, c.hidden_size))
        gate_up = self.gate_up("weight", c.hidden_size)
        down = self.parts("ffn_down", "weight", c.hidden_size, c.expert_size)
        if c.shared_expert:
            gate_up, down = (*gate_up, *self.shared_gate_up()), (*down, self.shared_down())
        count = c.experts_scored
        routers = (router, self.shared_router()) if count > c.n_experts else (router,)
        experts, width, hidden = c.all_experts, 2 * c.expert_size, c.hidden_size
        return [
            Matrix(self.router, count, hidden, routers),
            Matrix(f"{self.name}.gate_up_exps", experts * width, hidden, gate_up, width),
            Matrix(f"{self.name}.down_exps", experts * hidden, c.expert_size, down, hidden),
            *(self.beside.matrices() if self.beside else ()),
        ]

    def shared_router(self) -> Part:
        """What scores a shared expert: a row, which GGUF has as a vector."""
        name, hidden = f"{self.router}_shexp.weight", self.config.hidden_size
        tensor = self.tensors.get(name)
        if tensor is None or math.prod(tensor.shape) != hidden:
            tensor = self.tensors.shaped(name, 1, hidden)
        return Part(replace(tensor, shape=(1, hidden)), self.config.n_experts)

    def shared_gate_up(self) -> tuple[Part, ...]:
        """Gate and up of the shared expert."""
        c = self.config
        base = 2 * c.n_experts * c.expert_size
        return tuple(
            Part(self.shared(name, c.expert_size, c.hidden_size), base + i, 2)
            for i, name in enumerate(("ffn_gate", "ffn_up"))
        )

    def shared_down(self) -> Part:
        """What projects the shared expert's answer."""
        c = self.config
        tensor = self.shared("ffn_down", c.hidden_size, c.expert_size)
        return Part(tensor, c.n_experts * c.hidden_size)

    def shared(self, name: str, rows: int, columns: int) -> TensorInfo:
        """A matrix of the shared expert."""
        return self.tensors.shaped(f"{self.name}.{name}_shexp.weight", rows, columns)

    def vectors(self) -> list[Vector]:
        """The norm before it, and biases where a checkpoint has them; those of an MLP beside it."""
        c = self.config
        made = [Vector(self.norm, c.hidden_size, mlp_norm(c, self.tensors, self.name))]
        if f"{self.router}.bias" in self.tensors:
            bias = self.tensors.shaped(f"{self.router}.bias", c.n_experts)
            made.append(Vector(self.router, rows=c.n_experts, biases=(Part(bias),)))
        if f"{self.choice_bias}.bias" in self.tensors:
            bias = self.tensors.shaped(f"{self.choice_bias}.bias", c.n_experts)
            made.append(Vector(self.choice_bias, rows=c.n_experts, biases=(Part(bias),)))
        if f"{self.name}.ffn_down_exps.bias" in self.tensors:
            gate_up, down = self.gate_up("bias"), self.parts("ffn_down", "bias", c.hidden_size)
            rows = 2 * c.n_experts * c.expert_size
            made += [
                Vector(f"{self.name}.gate_up_exps", rows=rows, biases=gate_up),
                Vector(f"{self.name}.down_exps", rows=c.n_experts * c.hidden_size, biases=down),
            ]
        return [*made, *(self.beside.vectors() if self.beside else ())]

    def gate_up(self, kind: str, *columns: int) -> tuple[Part, ...]:
        """Gate and up of one kind (weight or bias), row by row: they are two tensors, or one, in
        which their rows alternate, or an expert's ups are below its gates."""
        c = self.config
        if f"{self.name}.ffn_gate_up_exps.{kind}" in self.tensors:
            (fused,) = self.parts("ffn_gate_up", kind, 2 * c.expert_size, *columns)
            if c.experts_alternate:
                return (fused,)
            count, width = c.n_experts * c.expert_size, c.expert_size
            halves = Part(fused.tensor, stride=2, count=count, run=width, apart=2 * width)
            return tuple(replace(halves, base=i, first=i * width) for i in range(2))
        both = (self.parts(name, kind, c.expert_size, *columns) for name in ("ffn_gate", "ffn_up"))
        return tuple(
            replace(part, base=2 * part.base + i, stride=2)
            for i, parts in enumerate(both)
            for part in parts
        )

    def parts(self, name: str, kind: str, rows: int, *columns: int) -> tuple[Part, ...]:
        """A projection of all experts: one tensor, or one for each expert."""
        stem, count = f"{self.name}.{name}_exps", self.config.n_experts
        if f"{stem}.{kind}" in self.tensors:
            return (Part(flat(self.tensors.shaped(f"{stem}.{kind}", count, rows, *columns))),)
        return tuple(
            Part(self.tensors.shaped(f"{stem}.{i}.{kind}", rows, *columns), i * rows)
            for i in range(count)
        )


def flat(tensor: TensorInfo) -> TensorInfo:
    """The experts' matrices, or vectors, as one: each behind the other."""
    experts, rows, *columns = tensor.shape
    companions = {name: flat(companion) for name, companion in tensor.companions.items()}
    return replace(tensor, shape=(experts * rows, *columns), companions=companions)
