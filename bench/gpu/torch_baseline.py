#!/usr/bin/env python3
"""The same steps in PyTorch, for comparison: the base model alone (bf16, a CUDA graph for decodes,
attention by SDPA over contiguous K and V), and with adapters by batched GEMMs over adapters that
are padded to the largest rank. Random weights; base and adapters in turns, as chorus_step_bench.

usage: torch_baseline.py [--device cuda|cpu] [--shape NAME,…] [--tiny] [--check] [--json FILE]
                         [--blocks N] [--replays N]

First it checks its own numbers on a tiny model against plain loops in double. Exit status: 0, 1
when they are wrong, 3 where PyTorch or the device is not here.
"""

import argparse
import dataclasses
import json
import math
import os
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

SITES = {"qkv": ("q", "k", "v"), "o": ("o",), "gate_up": ("gate", "up"), "down": ("down",)}
ATTENTION_SITES = ("qkv", "o")
SCALE = 0.5  # of every adapter
EPS = 1e-5


@dataclasses.dataclass
class Shape:
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    theta: float
    bias: bool = False
    head_dim: int = 128

    def inputs(self, site):
        return {"o": self.heads * self.head_dim, "down": self.intermediate}.get(site, self.hidden)

    def outputs(self, module):
        return {"q": self.heads * self.head_dim, "k": self.kv_heads * self.head_dim,
                "v": self.kv_heads * self.head_dim, "gate": self.intermediate,
                "up": self.intermediate}.get(module, self.hidden)


SHAPES = {
    "llama-3-8b": Shape(32, 4096, 14336, 32, 8, 128256, 5e5),
    "llama-2-7b": Shape(32, 4096, 11008, 32, 32, 32000, 1e4),
    "qwen2.5-7b": Shape(28, 3584, 18944, 28, 4, 152064, 1e6, bias=True),
}
TINY = Shape(2, 64, 96, 4, 2, 160, 1e4, bias=True, head_dim=16)


@dataclasses.dataclass
class Case:
    """`prompts` sequences of `rows` tokens each; a decode has one row and `context` tokens."""
    name: str
    sequences: int
    rows: int
    context: int
    ranks: list  # of the adapters, which the sequences share evenly
    attention_only: bool = False


def cases(tiny):
    batches, context, prefill = ((4,), 33, (2, 12)) if tiny else ((1, 16, 64), 512, (8, 256))
    found = []
    for rows in reversed(batches):
        for adapters in (1, 16, 64) if not tiny else (1, 4):
            if adapters <= rows:
                for modules in ("qkvo", "all"):
                    found.append(Case(f"{rows} rows, {adapters} x r16 {modules}", rows, 1, context,
                                      [16] * adapters, modules == "qkvo"))
    ranks = [8, 24] if tiny else [8, 16, 64, 256] * 4
    mixed = "/".join(map(str, sorted(set(ranks))))
    found.append(Case(f"{batches[-1]} rows, {len(ranks)} x r{mixed} all", batches[-1], 1, context,
                      ranks))
    prompts, tokens = prefill
    for modules in ("qkvo", "all"):
        found.append(Case(f"prefill of {prompts * tokens}, {prompts} x r16 {modules}", prompts,
                          tokens, tokens, [16] * prompts, modules == "qkvo"))
    return found


def rms_norm(x, weight):
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + EPS)).to(x.dtype) * weight


def rotate(x, cos, sin):
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


class Adapters:
    """All adapters' matrices, padded with zeros to the largest rank and stacked."""

    def __init__(self, shape, case, make):
        self.count, rank = len(case.ranks), max(case.ranks)
        keep = torch.zeros(self.count, 1, rank)
        for i, own in enumerate(case.ranks):
            keep[i, :, :own] = 1
        self.layers = []
        sites = ATTENTION_SITES if case.attention_only else SITES
        for _ in range(shape.layers):
            layer = {}
            for site in sites:
                modules = SITES[site]
                # [adapters, inputs, modules · rank] and, of each module, [adapters, rank, outputs]
                a = make(self.count, shape.inputs(site), len(modules) * rank)
                a *= keep.repeat(1, 1, len(modules)).to(a)
                layer[site] = a, [make(self.count, rank, shape.outputs(m)) for m in modules]
            self.layers.append(layer)

    def add(self, layer, site, x, y):
        """y += scale · x · A · B, for rows that lie together by adapter."""
        if site not in self.layers[layer]:
            return y
        a, parts = self.layers[layer][site]
        rank = parts[0].shape[1]
        xa = torch.bmm(x.view(self.count, -1, x.shape[-1]), a)
        columns = y.view(self.count, -1, y.shape[-1])
        begin = 0
        for i, b in enumerate(parts):
            out = columns[..., begin:begin + b.shape[-1]]
            out.add_(torch.bmm(xa[..., i * rank:(i + 1) * rank], b), alpha=SCALE)
            begin += b.shape[-1]
        return y


class Model:
    def __init__(self, shape, device, dtype, seed=1):
        self.shape, self.device, self.dtype = shape, device, dtype
        self.random = torch.Generator(device).manual_seed(seed)
        ones = torch.ones(shape.hidden, device=device, dtype=dtype)
        self.embedding = self.make(shape.vocabulary, shape.hidden)
        self.lm_head = self.make(shape.vocabulary, shape.hidden)
        self.norm = ones
        self.layers = []
        for _ in range(shape.layers):
            layer = {"input_norm": ones, "post_norm": ones, "bias": None}
            for site, modules in SITES.items():
                outputs = sum(shape.outputs(m) for m in modules)
                layer[site] = self.make(outputs, shape.inputs(site))
            if shape.bias:
                layer["bias"] = self.make(sum(shape.outputs(m) for m in SITES["qkv"]))
            self.layers.append(layer)
        half = torch.arange(0, shape.head_dim, 2, device=device, dtype=torch.float32)
        self.inv_freq = shape.theta ** (-half / shape.head_dim)

    def make(self, *size):
        """About ±0.06, never zeros: a GPU clocks higher on those."""
        values = torch.empty(size, device=self.device, dtype=self.dtype)
        return values.uniform_(-0.06, 0.06, generator=self.random)

    def inputs(self, case):
        """Tokens and positions, and K and V of `context` tokens in every layer."""
        s, n = self.shape, case.sequences
        tokens = torch.randint(0, s.vocabulary, (n, case.rows), device=self.device,
                               generator=self.random)
        first = case.context - case.rows
        positions = torch.arange(first, case.context, device=self.device)
        kv = [[self.make(n, s.kv_heads, case.context, s.head_dim) for _ in range(2)]
              for _ in range(s.layers)]
        return tokens, positions, kv

    def linear(self, number, site, x, adapters):
        layer = self.layers[number]
        y = F.linear(x, layer[site], layer["bias"] if site == "qkv" else None)
        return adapters.add(number, site, x, y) if adapters else y

    def attend(self, q, k, v, prompt):
        """A decode sees every token: the heads of a group can be rows of one product."""
        n, heads, rows, dim = q.shape
        if not prompt:
            y = F.scaled_dot_product_attention(q.view(n, k.shape[1], -1, dim), k, v)
            return y.reshape(n, heads, rows, dim)
        group = heads // k.shape[1]
        return F.scaled_dot_product_attention(q, k.repeat_interleave(group, 1),
                                              v.repeat_interleave(group, 1), is_causal=True)

    def step(self, tokens, positions, kv, adapters=None):
        """Logits of each sequence's last row. Writes K and V of the step's rows into `kv`."""
        s, (n, rows) = self.shape, tokens.shape
        angles = positions[:, None].float() * self.inv_freq
        cos, sin = angles.cos().to(self.dtype), angles.sin().to(self.dtype)
        x = self.embedding[tokens.view(-1)]
        for number, layer in enumerate(self.layers):
            qkv = self.linear(number, "qkv", rms_norm(x, layer["input_norm"]), adapters)
            qkv = qkv.view(n, rows, -1, s.head_dim).transpose(1, 2)
            q, k, v = qkv.split((s.heads, s.kv_heads, s.kv_heads), 1)
            keys, values = kv[number]
            first = keys.shape[2] - rows
            keys[:, :, first:] = rotate(k, cos, sin)
            values[:, :, first:] = v
            y = self.attend(rotate(q, cos, sin).contiguous(), keys, values, rows > 1)
            y = y.transpose(1, 2).reshape(n * rows, -1)
            x = x + self.linear(number, "o", y, adapters)
            gate_up = self.linear(number, "gate_up", rms_norm(x, layer["post_norm"]), adapters)
            gate, up = gate_up.chunk(2, -1)
            x = x + self.linear(number, "down", F.silu(gate) * up, adapters)
        last = rms_norm(x.view(n, rows, -1)[:, -1], self.norm)
        return F.linear(last, self.lm_head)


def oracle(model, tokens, positions, kv, adapters, adapter):
    """Logits of one sequence by plain loops in double, its adapter merged into the weights."""
    s = model.shape
    x = model.embedding[tokens].double()
    for number, layer in enumerate(model.layers):
        def linear(site, value):
            weight, modules = layer[site].double().clone(), SITES[site]
            if adapters and site in adapters.layers[number]:
                a, parts = adapters.layers[number][site]
                rank, begin = parts[0].shape[1], 0
                for i, b in enumerate(parts):
                    ab = a[adapter, :, i * rank:(i + 1) * rank].double() @ b[adapter].double()
                    weight[begin:begin + ab.shape[1]] += SCALE * ab.T
                    begin += ab.shape[1]
                assert begin == sum(s.outputs(m) for m in modules)
            y = value @ weight.T
            return y + layer["bias"].double() if site == "qkv" and layer["bias"] is not None else y

        def norm(value):
            return value / (value.square().mean(-1, keepdim=True) + EPS).sqrt()

        qkv = linear("qkv", norm(x)).view(len(tokens), -1, s.head_dim)
        keys, values = (part.double().clone() for part in kv[number])
        y = torch.zeros(len(tokens), s.heads, s.head_dim, dtype=torch.double, device=x.device)
        for row, position in enumerate(positions.tolist()):
            turn = torch.polar(torch.ones(s.head_dim // 2, dtype=torch.double, device=x.device),
                               position * model.inv_freq.double())
            def turned(head):
                low, high = qkv[row, head].chunk(2)
                z = torch.complex(low, high) * turn
                return torch.cat((z.real, z.imag))
            for head in range(s.kv_heads):
                keys[head, position] = turned(s.heads + head)
                values[head, position] = qkv[row, s.heads + s.kv_heads + head]
            for head in range(s.heads):
                shared = head * s.kv_heads // s.heads
                scores = keys[shared, :position + 1] @ turned(head) / math.sqrt(s.head_dim)
                y[row, head] = scores.softmax(0) @ values[shared, :position + 1]
        x = x + linear("o", y.view(len(tokens), -1))
        gate, up = linear("gate_up", norm(x)).chunk(2, -1)
        x = x + linear("down", gate * torch.sigmoid(gate) * up)
    return norm(x[-1]) @ model.lm_head.double().T


def errors(device, dtype, shift=0):
    """The largest of each case of the tiny model, over the spread of the logits; of the cases with
    several adapters, if `shift` looks at another one than the row has."""
    found = []
    for case in cases(True):
        if shift and len(case.ranks) == 1:
            continue
        model = Model(TINY, device, dtype)
        adapters = Adapters(TINY, case, model.make)
        tokens, positions, kv = model.inputs(case)
        before = [[part.clone() for part in layer] for layer in kv]
        got = model.step(tokens, positions, kv, adapters)
        worst = 0.0
        for i in range(case.sequences):
            adapter = (i * len(case.ranks) // case.sequences + shift) % len(case.ranks)
            want = oracle(model, tokens[i], positions,
                          [[part[i] for part in layer] for layer in before], adapters, adapter)
            error = (got[i].double() - want).abs().max() / want.std()
            worst = max(worst, error.item())
        found.append(worst)
    return found


def check(device):
    """Errors and their bounds; that of another adapter must be beyond what rounding explains."""
    found = {}
    for dtype, bound in ((torch.float32, 1e-4), (torch.bfloat16, 0.1)):
        error = max(errors(device, dtype))
        found[str(dtype).removeprefix("torch.")] = {"error": error, "bound": bound,
                                                    "ok": error <= bound}
    error = min(errors(device, torch.float32, shift=1))
    found["another adapter"] = {"error": error, "least": 0.01, "ok": error >= 0.01}
    return found


class Side:
    """A step that is run again and again; on a GPU decodes are a graph."""

    def __init__(self, model, case, inputs, adapters):
        self.cuda = model.device == "cuda"

        def run():
            return model.step(*inputs, adapters).argmax(-1)

        self.run = run
        if self.cuda and case.rows == 1:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                run()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                run()
            self.run = graph.replay
        self.run()
        self.us = []

    def block(self, replays):
        self.run()
        for _ in range(replays):
            if self.cuda:
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                torch.cuda.synchronize()
                begin.record()
                self.run()
                end.record()
                end.synchronize()
                self.us.append(1e3 * begin.elapsed_time(end))
            else:
                begin = time.perf_counter()
                self.run()
                self.us.append(1e6 * (time.perf_counter() - begin))

    def summary(self):
        ordered = sorted(self.us)
        return {"us": statistics.median(ordered), "p10_us": ordered[len(ordered) // 10],
                "p90_us": ordered[-1 - len(ordered) // 10], "steps": len(ordered)}


def measure(model, case, options):
    inputs = model.inputs(case)
    base = Side(model, case, inputs, None)
    adapted = Side(model, case, inputs, Adapters(model.shape, case, model.make))
    for pair in range(options.blocks):
        for side in (base, adapted) if pair % 2 == 0 else (adapted, base):
            side.block(options.replays)
    result = {"name": case.name, "base": base.summary(), "with_adapters": adapted.summary()}
    result["ratio"] = result["with_adapters"]["us"] / result["base"]["us"]
    return result


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shape", default="llama-3-8b", metavar="NAME,…",
                        help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--tiny", action="store_true", help="the model of the check instead")
    parser.add_argument("--check", action="store_true", help="only check")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--replays", type=int, default=5)
    options = parser.parse_args()
    unknown = set(options.shape.split(",")) - set(SHAPES)
    if unknown:
        parser.error(f"no shape is named {', '.join(sorted(unknown))}")
    return options


def write(path, result):
    if path:
        with open(path + ".part", "w", encoding="utf-8") as out:
            json.dump(result, out, indent=1)
        os.replace(path + ".part", path)


def main():
    options = parse()
    if torch is None:
        print("PyTorch is not here: nothing to compare with")
        return 3
    if options.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no GPU")
        return 3
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    result = {"device": name, "torch": torch.__version__, "check": check(options.device),
              "models": {}}
    right = all(part["ok"] for part in result["check"].values())
    print(f"torch {torch.__version__} on {name}: check {'ok' if right else 'WRONG'}: "
          f"{result['check']}", flush=True)
    write(options.json, result)
    if not right:
        return 1
    shapes = {"tiny": TINY} if options.tiny else {n: SHAPES[n] for n in options.shape.split(",")}
    for name, shape in {} if options.check else shapes.items():
        model = Model(shape, options.device, torch.bfloat16)
        result["models"][name] = []
        for case in cases(options.tiny):
            one = measure(model, case, options)
            result["models"][name].append(one)
            print(f"{name:12} {case.name:36} base {one['base']['us']:9.1f} us, with adapters "
                  f"{one['with_adapters']['us']:9.1f} us, {one['ratio']:.3f}", flush=True)
            write(options.json, result)
    return 0


if __name__ == "__main__":
    if torch is not None:
        torch.set_grad_enabled(False)
    sys.exit(main())
