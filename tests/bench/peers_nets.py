#!/usr/bin/python3
"""rcan, rrdb and hat in PyTorch, timed: what a user would take instead of `sagax`.

    peers_nets.py --check FOLDER            outputs and gradients against the parity fixtures
    peers_nets.py --net rcan --mode fp32_cl [--set groups=2 ...] [--batch 1] [--threads 1]

prints one JSON object a line: CPU and wall time of a training step of one image (forward, L1,
backward, clip, Adam, average of the weights), median of the repeats. Layers and parameter names are
those of model/net_*.c. PyTorch gets what makes it fast, as in peers_palette.py: settings of the
allocator, both memory layouts, optimizer and average by foreach."""
import argparse
import json
import math
import os
import sys

from peers_palette import MODES, peak_rss_bytes, read_safetensors, relative_error
from peers_palette import restart_in_environment, timed, updates

PUBLISHED = {
    "rcan": {"base_channels": 64, "groups": 10, "blocks": 20, "reduction": 16},
    "rrdb": {"base_channels": 64, "blocks": 23, "growth": 32, "unshuffle": 4},
    "hat": {"base_channels": 180, "depths": [4] * 4, "heads": 6, "window": 16, "overlap": 0.5,
            "mlp_ratio": 2, "compress": 3, "squeeze": 30},
}


def conv3(c, k):
    from torch import nn

    return nn.Conv2d(c, k, 3, padding=1)


def channel_attention(c, squeezed, first):
    """The layers of a squeeze and excitation, as modules `first` and `first + 2` of a sequence."""
    from torch import nn

    pool = [nn.AdaptiveAvgPool2d(1)] * first
    return nn.Sequential(*pool, nn.Conv2d(c, squeezed, 1), nn.ReLU(True), nn.Conv2d(squeezed, c, 1),
                         nn.Sigmoid())


def rcan(base_channels, groups, blocks, reduction):
    import torch
    from torch import nn

    c = base_channels

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_du = channel_attention(c, c // reduction, 0)

        def forward(self, x):
            return x * self.conv_du(torch.mean(x, (2, 3), keepdim=True))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(conv3(c, c), nn.ReLU(True), conv3(c, c), Gate())

        def forward(self, x):
            return self.body(x) + x

    class Group(nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.body = nn.Sequential(*layers, conv3(c, c))

        def forward(self, x):
            return self.body(x) + x

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(conv3(1, c))
            inner = [Group([Block() for _ in range(blocks)]) for _ in range(groups)]
            self.body = nn.Sequential(*inner, conv3(c, c))
            self.tail = nn.Sequential(nn.Identity(), conv3(c, 1))

        def forward(self, x):
            head = self.head(x)
            return self.tail(self.body(head) + head)

    return Network()


def rrdb(base_channels, blocks, growth, unshuffle):
    import torch
    from torch import nn
    from torch.nn import functional as F

    c, act = base_channels, nn.LeakyReLU(0.2, True)

    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            for i in range(4):
                setattr(self, "conv%d" % (i + 1), conv3(c + i * growth, growth))
            self.conv5 = conv3(c + 4 * growth, c)

        def forward(self, x):
            parts = [x]
            for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
                parts.append(act(conv(torch.cat(parts, 1))))
            return self.conv5(torch.cat(parts, 1)) * 0.2 + x

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.rdb1, self.rdb2, self.rdb3 = Dense(), Dense(), Dense()

        def forward(self, x):
            return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_first = conv3(unshuffle**2, c)
            self.body = nn.Sequential(*[Block() for _ in range(blocks)])
            self.conv_body, self.conv_hr, self.conv_last = conv3(c, c), conv3(c, c), conv3(c, 1)
            self.ups = ["conv_up%d" % (i + 1) for i in range(int(math.log2(unshuffle)))]
            for name in self.ups:
                setattr(self, name, conv3(c, c))

        def forward(self, x):
            first = self.conv_first(F.pixel_unshuffle(x, unshuffle))
            y = self.conv_body(self.body(first)) + first
            for name in self.ups:
                y = act(getattr(self, name)(F.interpolate(y, scale_factor=2.0, mode="nearest")))
            return self.conv_last(act(self.conv_hr(y)))

    return Network()


def hat(base_channels, depths, heads, window, overlap, mlp_ratio, compress, squeeze):
    import torch
    from torch import nn
    from torch.nn import functional as F

    c, keys = base_channels, window + int(window * overlap)
    scale = (c // heads) ** -0.5

    def relative(queries, wide):
        """Row of the table for each query and key; negative ones, from its end, as published."""
        q = torch.stack(torch.meshgrid(*[torch.arange(queries)] * 2, indexing="ij")).flatten(1)
        k = torch.stack(torch.meshgrid(*[torch.arange(wide)] * 2, indexing="ij")).flatten(1)
        if wide == queries:
            d = q[:, :, None] - k[:, None, :] + queries - 1
        else:
            d = k[:, None, :] - q[:, :, None] + queries - wide + 1
        return d[0] * (queries + wide - 1) + d[1]

    def to_windows(x, side):
        """[b][h][w][n] -> [b windows][side side][n]."""
        b, h, w, n = x.shape
        x = x.view(b, h // side, side, w // side, side, n).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(-1, side * side, n)

    def from_windows(x, side, b, h, w):
        x = x.view(b, h // side, w // side, side, side, -1).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(b, h, w, -1)

    def attend(q, k, v, bias, mask=None):
        """[windows][tokens][c] -> the same; bias [heads][queries][keys]."""
        n, t = q.shape[:2]
        q, k, v = (x.view(n, -1, heads, c // heads).transpose(1, 2) for x in (q, k, v))
        a = (q * scale) @ k.transpose(-2, -1) + bias
        if mask is not None:
            a = (a.view(-1, len(mask), *a.shape[1:]) + mask[:, None]).view(a.shape)
        return (torch.softmax(a, -1) @ v).transpose(1, 2).reshape(n, t, c)

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(c, int(c * mlp_ratio))
            self.fc2 = nn.Linear(int(c * mlp_ratio), c)

        def forward(self, x):
            return self.fc2(F.gelu(self.fc1(x)))

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
            table = torch.zeros((2 * window - 1) ** 2, heads)
            self.relative_position_bias_table = nn.Parameter(table)
            self.register_buffer("index", relative(window, window), persistent=False)

        def forward(self, x, mask):
            bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
            return self.proj(attend(*self.qkv(x).chunk(3, -1), bias, mask))

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = channel_attention(c, c // squeeze, 1)

        def forward(self, x):
            return x * self.attention(x)

    class ConvBranch(nn.Module):
        def __init__(self):
            super().__init__()
            self.cab = nn.Sequential(conv3(c, c // compress), nn.GELU(), conv3(c // compress, c),
                                     Gate())

        def forward(self, x):
            return self.cab(x)

    class Hybrid(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.shift = shift
            self.norm1, self.attn = nn.LayerNorm(c), Attention()
            self.conv_block, self.norm2, self.mlp = ConvBranch(), nn.LayerNorm(c), Mlp()

        def forward(self, x, mask):
            """x [b][h][w][c]."""
            b, h, w, _ = x.shape
            n = self.norm1(x)
            conv = self.conv_block(n.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            s = self.shift
            moved = torch.roll(n, (-s, -s), (1, 2)) if s else n
            a = self.attn(to_windows(moved, window), mask if s else None)
            a = from_windows(a, window, b, h, w)
            x = x + (torch.roll(a, (s, s), (1, 2)) if s else a) + conv * 0.01
            return x + self.mlp(self.norm2(x))

    class Overlap(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2, self.mlp = nn.LayerNorm(c), nn.LayerNorm(c), Mlp()
            self.qkv, self.proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
            table = torch.zeros((window + keys - 1) ** 2, heads)
            self.relative_position_bias_table = nn.Parameter(table)
            self.register_buffer("index", relative(window, keys), persistent=False)

        def forward(self, x, mask):
            b, h, w, _ = x.shape
            q, kv = self.qkv(self.norm1(x)).split((c, 2 * c), -1)
            q = to_windows(q, window)
            kv = F.unfold(kv.permute(0, 3, 1, 2), keys, stride=window, padding=(keys - window) // 2)
            k, v = kv.view(b, 2, c, keys * keys, -1).permute(1, 0, 4, 3, 2).reshape(
                2, -1, keys * keys, c)
            bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
            a = from_windows(attend(q, k, v, bias), window, b, h, w)
            x = x + self.proj(a)
            return x + self.mlp(self.norm2(x))

    class Blocks(nn.Module):
        def __init__(self, depth):
            super().__init__()
            shifts = [i % 2 * (window // 2) for i in range(depth)]
            self.blocks = nn.ModuleList([Hybrid(s) for s in shifts])
            self.overlap_attn = Overlap()

        def forward(self, x, mask):
            for block in self.blocks:
                x = block(x, mask)
            return self.overlap_attn(x, mask)

    class Layer(nn.Module):
        def __init__(self, depth):
            super().__init__()
            self.residual_group, self.conv = Blocks(depth), conv3(c, c)

        def forward(self, x, mask):
            y = self.residual_group(x, mask).permute(0, 3, 1, 2)
            return x + self.conv(y).permute(0, 2, 3, 1)

    class Embed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(c)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_first, self.patch_embed = conv3(1, c), Embed()
            self.layers = nn.ModuleList([Layer(d) for d in depths])
            self.norm, self.conv_after_body = nn.LayerNorm(c), conv3(c, c)
            self.conv_before_upsample = nn.Sequential(conv3(c, 64), nn.LeakyReLU(inplace=True))
            self.conv_last = conv3(64, 1)
            self.mask = {}

        def mask_of(self, h, w):
            if (h, w) not in self.mask:
                place = torch.zeros(1, h, w, 1)
                cut = (slice(-window), slice(-window, -(window // 2)), slice(-(window // 2), None))
                for i, rows in enumerate(cut):
                    for j, columns in enumerate(cut):
                        place[:, rows, columns] = 3 * i + j
                place = to_windows(place, window)[..., 0]
                self.mask[h, w] = (place[:, None] != place[:, :, None]).float() * -100
            return self.mask[h, w]

        def forward(self, x):
            mask = self.mask_of(*x.shape[2:])
            first = self.conv_first(x)
            y = self.patch_embed.norm(first.permute(0, 2, 3, 1))
            for layer in self.layers:
                y = layer(y, mask)
            y = self.conv_after_body(self.norm(y).permute(0, 3, 1, 2)) + first
            return self.conv_last(self.conv_before_upsample(y))

    return Network()


NETWORKS = {"rcan": rcan, "rrdb": rrdb, "hat": hat}

# ---- parity ----

FIXTURES = {
    "rcan": dict(base_channels=16, groups=2, blocks=3, reduction=4),
    "rrdb": dict(base_channels=16, blocks=2, growth=8, unshuffle=4),
    "hat": dict(PUBLISHED["hat"], base_channels=24, depths=[2, 2], heads=2, window=8, squeeze=6),
}


def check(folder, name, channels_last):
    import torch

    _, t = read_safetensors(os.path.join(folder, name + ".safetensors"))
    net = NETWORKS[name](**FIXTURES[name])
    net.load_state_dict({k[6:]: v for k, v in t.items() if k.startswith("param/")})
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    y = net(t["input/lr"])
    loss = torch.nn.functional.l1_loss(y, t["target"])
    loss.backward()
    errors = {"output": relative_error(y.detach(), t["output"])}
    for key, p in net.named_parameters():
        errors["grad/" + key] = relative_error(p.grad, t["grad/" + key], 1e-6)
    worst = max(errors, key=errors.get)
    row = {"check": name, "channels_last": channels_last, "tensors": len(errors)}
    row.update(output=errors["output"], worst=worst, error=errors[worst])
    print(json.dumps(row))
    return errors[worst] < 1e-4 and errors["output"] < 1e-5


# ---- timing ----


def train_step(net, cast, x, target):
    import torch

    update = updates(net)

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            y = net(x)
        return torch.nn.functional.l1_loss(y.float(), target)

    return lambda: update(loss)


def measure(a, sizes):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    last, cast = MODES[a.mode]
    layout = torch.channels_last if last else torch.contiguous_format
    x, target = torch.randn(2, a.batch, 1, a.size, a.size).unbind()
    net = NETWORKS[a.net](**sizes).to(memory_format=layout).train()
    step = train_step(net, cast, x.contiguous(memory_format=layout), target)
    row = {"peer": "PyTorch " + torch.__version__, "net": a.net, "mode": a.mode}
    row.update(batch=a.batch, threads=a.threads, parameters=sum(p.numel() for p in net.parameters()))
    row.update(timed(step, a))
    print(json.dumps(dict(row, peak_rss_bytes=peak_rss_bytes())))


def sizes_of(net, settings):
    sizes = dict(PUBLISHED[net])
    for it in settings:
        key, text = it.split("=")
        kind = type(sizes[key])
        sizes[key] = [int(x) for x in text.split(",")] if kind is list else kind(text)
    return sizes


def main():
    p = argparse.ArgumentParser(description="rcan, rrdb, hat in PyTorch: parity and speed")
    p.add_argument("--check", metavar="FOLDER", help="folder of the parity fixtures")
    p.add_argument("--net", choices=list(NETWORKS), default="rcan")
    p.add_argument("--set", action="append", default=[], metavar="SIZE=N", help="groups=2")
    p.add_argument("--mode", choices=list(MODES), default="fp32")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--warmup", type=int, default=2, help="steps before the first that counts")
    p.add_argument("--size", type=int, default=160, help="side of the images, pixels")
    a = p.parse_args()
    restart_in_environment(a.threads)
    if a.check:
        good = [check(a.check, name, last) for name in NETWORKS for last in (False, True)]
        sys.exit(0 if all(good) else 1)
    measure(a, sizes_of(a.net, a.set))


if __name__ == "__main__":
    main()
