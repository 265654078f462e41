#!/usr/bin/python3
"""The same network in PyTorch, timed: what a user would take instead of `sagax`.

    peers_palette.py --check FOLDER         outputs and gradients against the parity fixtures
    peers_palette.py --task forward --mode fp32_cl [--batch 1] [--threads 1] [--repeats 3]

prints one JSON object a line: CPU time (of the process) and wall time of one image, median of the
repeats, and the peak RSS, which is that of this one configuration. Layers, parameter names and
initial values in the form of model/net_palette.c. What is done for PyTorch's speed:

  glibc malloc keeps its memory (no page faults in every step): worth up to 2 x
  forward: inference_mode; --jit: traced and frozen (without weights to convert in each call)
  bf16: torch.autocast
  training: zero_grad(set_to_none), Adam and average of the weights by foreach

The process starts itself again with the environment that this needs."""
import argparse
import copy
import json
import math
import os
import statistics
import struct
import sys
import time

MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}


def restart_in_environment(threads):
    """Allocator and thread pools read their settings before Python runs."""
    want = dict(MALLOC, OMP_NUM_THREADS=str(threads))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    if all(os.environ.get(k) == v for k, v in want.items()) and len(clean) == len(os.environ):
        return
    clean.update(want)
    os.execve(sys.executable, [sys.executable] + sys.argv, clean)


# ---- the network ----


def network(base, mult, res_blocks, dropout, channels_last):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Norm(nn.GroupNorm):
        """PyTorch 1.13 wants weights in the type of the input, and is slow on plain bf16: the
        faster of the two ways in each layout."""

        def forward(self, x):
            if x.dtype == self.weight.dtype:
                return super().forward(x)
            if not channels_last:
                return super().forward(x.float()).to(x.dtype)
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)

    def norm(c):
        return Norm(max(g for g in range(1, 33) if c % g == 0), c)

    class ResBlock(nn.Module):
        def __init__(self, c, k, time_channels, resample):
            super().__init__()
            self.resample = resample
            self.in_layers = nn.Sequential(norm(c), nn.SiLU(), nn.Conv2d(c, k, 3, padding=1))
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_channels, 2 * k))
            self.out_layers = nn.Sequential(
                norm(k), nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(k, k, 3, padding=1)
            )
            self.skip_connection = nn.Conv2d(c, k, 1) if c != k else nn.Identity()

        def sampled(self, x):
            if self.resample == "down":
                return F.avg_pool2d(x, 2)
            if self.resample == "up":
                return F.interpolate(x, scale_factor=2.0, mode="nearest")
            return x

        def forward(self, x, emb):
            h = self.in_layers[1](self.in_layers[0](x))
            h = self.in_layers[2](self.sampled(h))
            scale, shift = self.emb_layers(emb)[:, :, None, None].chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[3](self.out_layers[2](self.out_layers[1](h)))
            return self.skip_connection(self.sampled(x)) + h

    class Attention(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.norm = norm(c)
            self.qkv = nn.Conv1d(c, 3 * c, 1)
            self.proj_out = nn.Conv1d(c, c, 1)

        def forward(self, x, emb):
            b, c, h, w = x.shape
            q, k, v = self.qkv(self.norm(x).reshape(b, c, h * w)).chunk(3, dim=1)
            weight = torch.softmax(torch.bmm(q.transpose(1, 2), k) / math.sqrt(c), dim=-1)
            a = torch.bmm(v, weight.to(v.dtype).transpose(1, 2))
            return x + self.proj_out(a).reshape(b, c, h, w)

    class Palette(nn.Module):
        def __init__(self):
            super().__init__()
            t, c = 512, base
            self.time_embed = nn.Sequential(nn.Linear(base, t), nn.SiLU(), nn.Linear(t, t))
            blocks, kept = [nn.ModuleList([nn.Conv2d(2, c, 3, padding=1)])], [c]
            for level, m in enumerate(mult):
                for i in range(res_blocks + (level + 1 < len(mult))):
                    how = "same" if i < res_blocks else "down"
                    blocks.append(nn.ModuleList([ResBlock(c, base * m, t, how)]))
                    c = base * m
                    kept.append(c)
            self.input_blocks = nn.ModuleList(blocks)
            self.middle_block = nn.ModuleList(
                [ResBlock(c, c, t, "same"), Attention(c), ResBlock(c, c, t, "same")]
            )
            blocks = []
            for level, m in reversed(list(enumerate(mult))):
                for i in range(res_blocks + 1):
                    layers = [ResBlock(c + kept.pop(), base * m, t, "same")]
                    c = base * m
                    if level > 0 and i == res_blocks:
                        layers.append(ResBlock(c, c, t, "up"))
                    blocks.append(nn.ModuleList(layers))
            self.output_blocks = nn.ModuleList(blocks)
            self.out = nn.Sequential(norm(c), nn.SiLU(), nn.Conv2d(c, 1, 3, padding=1))
            half = base // 2
            rate = torch.exp(-math.log(10000.0) * torch.arange(half).double() / half)
            self.register_buffer("rate", rate.float(), persistent=False)

        def forward(self, x, lr, t):
            angle = t[:, None].float() * self.rate.float()
            time_code = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
            emb = self.time_embed(time_code.to(self.time_embed[0].weight.dtype))
            h = torch.cat([x, lr], dim=1)
            skips = []
            for block in self.input_blocks:
                for layer in block:
                    h = layer(h, emb) if isinstance(layer, ResBlock) else layer(h)
                skips.append(h)
            for layer in self.middle_block:
                h = layer(h, emb)
            for block in self.output_blocks:
                h = torch.cat([h, skips.pop()], dim=1)
                for layer in block:
                    h = layer(h, emb)
            return self.out(h)

    return Palette()


# ---- parity ----


def read_safetensors(path):
    import numpy as np
    import torch

    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    kinds = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, it in header.items():
        if name == "__metadata__":
            continue
        a, b = it["data_offsets"]
        flat = np.frombuffer(data[a:b], dtype=kinds[it["dtype"]])
        tensors[name] = torch.from_numpy(flat.reshape(it["shape"]).copy())
    return header.get("__metadata__", {}), tensors


def relative_error(got, want, least=0.0):
    """In the Euclidean norm; `least`: what the norm of `want` counts as at least."""
    scale = max(float(want.double().norm()), least)
    return float((got.double() - want.double()).norm()) / scale


def check(folder, channels_last):
    """Largest relative error (Euclidean norm) of output, loss and all gradients."""
    import torch

    about, t = read_safetensors(os.path.join(folder, "palette.safetensors"))
    mult = [int(m) for m in about["mult"].split(",")]
    net = network(int(about["base_channels"]), mult, int(about["res_blocks"]), 0.0, channels_last)
    net.load_state_dict({k[6:]: v for k, v in t.items() if k.startswith("param/")})
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    y = net(t["input/x"], t["input/lr"], t["input/t"])
    loss = torch.nn.functional.mse_loss(y, t["target"])
    loss.backward()
    errors = {"output": relative_error(y.detach(), t["output"])}
    errors["loss"] = relative_error(loss.detach(), t["loss"])
    # Some gradients are nothing but rounding (biases before a norm of single channels).
    least = 1e-3 * max(float(v.norm()) for k, v in t.items() if k.startswith("grad/"))
    for name, p in net.named_parameters():
        errors["grad/" + name] = relative_error(p.grad, t["grad/" + name], least)
    worst = max(errors, key=errors.get)
    row = {"check": "palette", "channels_last": channels_last, "tensors": len(errors)}
    row.update(output=errors["output"], worst=worst, error=errors[worst])
    print(json.dumps(row))
    return errors[worst] < 1e-4 and errors["output"] < 1e-5


# ---- timing ----

MODES = {  # channels last, autocast
    "fp32": (False, False),
    "fp32_cl": (True, False),
    "bf16": (False, True),
    "bf16_cl": (True, True),
}


def inputs(a, layout):
    import torch

    torch.manual_seed(1)
    shape = (a.batch, 1, a.size, a.size)
    images = [torch.randn(shape).contiguous(memory_format=layout) for _ in range(3)]
    return images, torch.full((a.batch,), 500, dtype=torch.int64)


def forward_step(a, net, cast, images, t):
    """A call of the sampler: no gradients, no dropout."""
    import torch

    net.eval()
    x, lr, _ = images

    def call():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=cast):
            return net(x, lr, t)

    if not a.jit:
        return call
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=cast, cache_enabled=False):
        frozen = torch.jit.freeze(torch.jit.trace(net, (x, lr, t)))

    def call_frozen():
        with torch.inference_mode():
            return frozen(x, lr, t)

    return call_frozen


def updates(net):
    """A training step around a loss: zero_grad, backward, clip, Adam, average of the weights."""
    import torch

    average = [p.detach().clone() for p in net.parameters()]
    weights = list(net.parameters())
    adam = torch.optim.Adam(weights, lr=1e-4, foreach=True)

    def update(loss_of):
        adam.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        with torch.no_grad():
            torch._foreach_mul_(average, 0.999)
            torch._foreach_add_(average, weights, alpha=0.001)
        return loss

    return update


def train_step(a, net, cast, images, t):
    """zero_grad, forward with dropout, MSE, backward, clip, Adam, average of the weights."""
    import torch

    net.train()
    update = updates(net)
    x, lr, target = images
    if a.jit:
        with torch.autocast("cpu", torch.bfloat16, enabled=cast, cache_enabled=False):
            net = torch.jit.trace(net, (x, lr, t), check_trace=False)

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            y = net(x, lr, t)
        return torch.nn.functional.mse_loss(y.float(), target.float())

    return lambda: update(loss)


def peak_rss_bytes():
    with open("/proc/self/status") as f:
        return 1024 * int(next(line for line in f if line.startswith("VmHWM")).split()[1])


def timed(step, a):
    """Median CPU and wall time of an image, after the warm-up."""
    for _ in range(a.warmup):
        step()
    cpu, wall = [], []
    for _ in range(a.repeats):
        start = time.process_time(), time.perf_counter()
        step()
        cpu.append(1e3 * (time.process_time() - start[0]) / a.batch)
        wall.append(1e3 * (time.perf_counter() - start[1]) / a.batch)
    return {"cpu_ms": round(statistics.median(cpu), 2), "wall_ms": round(statistics.median(wall), 2)}


def measure(a):
    import torch

    torch.set_num_threads(a.threads)
    last, cast = MODES[a.mode]
    layout = torch.channels_last if last else torch.contiguous_format
    images, t = inputs(a, layout)
    net = network(a.channels, [1, 1, 2, 2], 2, 0.1, last).to(memory_format=layout)
    make = {"forward": forward_step, "train": train_step}[a.task]
    step = make(a, net, cast, images, t)
    row = {"peer": "PyTorch " + torch.__version__, "task": a.task, "mode": a.mode, "jit": a.jit}
    row.update(batch=a.batch, threads=a.threads)
    row.update(timed(step, a))
    row.update(peak_rss_bytes=peak_rss_bytes())
    if a.task == "forward":
        with torch.inference_mode():
            exact = net(*images[:2], t)
        row.update(error=relative_error(step().float(), exact))
    print(json.dumps(row))


def main():
    p = argparse.ArgumentParser(description="Palette in PyTorch: parity and speed")
    p.add_argument("--check", metavar="FOLDER", help="folder of palette.safetensors")
    p.add_argument("--task", choices=["forward", "train"], default="forward")
    p.add_argument("--mode", choices=list(MODES), default="fp32")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--warmup", type=int, help="steps before the first that counts (2, traced 4)")
    p.add_argument("--size", type=int, default=160, help="side of the images, pixels")
    p.add_argument("--channels", type=int, default=64)
    p.add_argument("--jit", action="store_true", help="traced; forward: frozen, too")
    a = p.parse_args()
    if a.warmup is None:
        a.warmup = 4 if a.jit else 2  # the tracer optimises after two runs
    restart_in_environment(a.threads)
    if a.check:
        sys.exit(0 if all([check(a.check, False), check(a.check, True)]) else 1)
    measure(a)


if __name__ == "__main__":
    main()
