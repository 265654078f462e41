#!/usr/bin/python3
"""The degradation against the same steps as tensor operations, one process, one thread.

  peers_degrade.py BENCH_DEGRADE [--crop 160] [--slice 320] [--pairs 100] [--rounds 15]

BENCH_DEGRADE is the program of this folder; it runs as a co-process, so that all contestants take
turns in one run. Level 7: a crop from a slice, every step of docs/method.md in its order, parameters
drawn for each pair. First the peers degrade with parameters that the program drew (noise off), and
the images are compared; a peer that computes something else is no peer, and ends the run. Then each
round times `pairs` pairs of each (thread CPU time); medians, and the ratio to the fastest peer.

The peers are what somebody at home in PyTorch or SciPy would write, without a slow line on purpose:
  torch        steps on the whole slice, then the crop; grid_sample, conv2d, matrix products
  torch, crop  the shortcuts of our C: only the columns of the crop, profile and gap composed
  scipy        as `torch, crop`, with scipy.ndimage and numpy
What depends on the resolution alone (slice profile, the spline's matrix) they take from a cache.
torchvision is not packaged by Debian; its blur, brightness and contrast are a line of torch each.
"""
import argparse
import math
import os
import random
import statistics
import subprocess
import sys
import time

# One thread, and the BLAS kernels of this machine, whatever the environment says.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
os.environ.pop("OPENBLAS_CORETYPE", None)

import numpy as np
import scipy.ndimage as ndimage
import torch
import torch.nn.functional as F

HR_MM = 0.8571
RESOLUTIONS_MM = [4 + 0.25 * i for i in range(21)]
PSF_MAX_TAPS = 63
STEPS = ("rescale rotate psf gap down_up slice_noise interlace blur noise bias jitter").split()
CHANCE = dict(rescale=0.3, rotate=0.3, interlace=0.15, blur=0.3, noise=0.3, bias=0.3)
BLUR_HALF = 4
# Record of bench_degrade: these numbers, then the windows, HR and LR.
FIELDS = ("steps lr_mm magnification angle_deg gap_rows slice_noise_sigma interlace_rows "
          "interlace_shift blur_sigma_px noise_sigma brightness contrast row col").split()


def draw(rng, side, crop):
    """Parameters of one pair; names and ranges of dg_draw."""
    uniform = rng.uniform
    d = {"fires": {s for s in STEPS if s not in CHANCE or rng.random() < CHANCE[s]}}
    d["lr_mm"] = rng.choice(RESOLUTIONS_MM)
    d["magnification"] = uniform(0.75, 1.5)
    d["angle_deg"] = uniform(-5, 5)
    d["gap_rows"] = rng.randint(1, max(1, int(0.5 * d["lr_mm"] / HR_MM)))
    d["slice_noise_sigma"] = uniform(0, 0.015)
    d["interlace_rows"] = rng.randint(4, 10)
    d["interlace_shift"] = rng.choice((-1, 1)) * uniform(0.002, 0.02)
    d["blur_sigma_px"] = uniform(0.5, 4)
    d["noise_sigma"] = uniform(0, 0.05)
    d["bias"] = [uniform(0, 0.5) for _ in range(10)]
    d["brightness"], d["contrast"] = uniform(0.8, 1.2), uniform(0.8, 1.2)
    d["row"], d["col"] = rng.randint(0, side - crop), rng.randint(0, side - crop)
    return d


def windows(n, rows, uniform):
    """Weights [n][rows] of the gap windows: U(0.1, 1) mirrored about the centre, sum 1."""
    half = uniform(0.1, 1.0, (n, (rows + 1) // 2))
    w = np.concatenate([half, half[:, : rows // 2][:, ::-1]], 1)
    return w / w.sum(1, keepdims=True)


def mirror(i, n):
    """Indices folded into 0..n-1 about the end samples."""
    i = np.abs(i) % (2 * n - 2)
    return np.minimum(i, 2 * n - 2 - i)


class Resolution:
    """What depends on the spacing alone: grid of slices, profile, spline."""

    def __init__(self, lr_mm, tap, side):
        r = lr_mm / HR_MM
        self.n = max(1, round(side / r))
        self.first = 0.5 * (side - 1) - 0.5 * (self.n - 1) * r
        self.r, self.tap = r, tap.astype(np.float32)
        rows = np.arange(side)
        self.psf = np.zeros((side, side), np.float32)  # the profile at each row, as a matrix
        for t, weight in enumerate(tap):
            np.add.at(self.psf, (rows, mirror(rows + t - len(tap) // 2, side)), weight)
        # rows from slices: the interpolating cubic spline, edge slices continued
        unit = ndimage.spline_filter1d(np.eye(self.n), 3, axis=0, mode="mirror")
        p = np.clip((rows - self.first) / r, 0, self.n - 1)
        i, t = np.floor(p).astype(int), p - np.floor(p)
        weight = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3, t**3)
        self.up = sum(w[:, None] / 6 * unit[mirror(i + k - 1, self.n)] for k, w in enumerate(weight))
        self.up = self.up.astype(np.float32)
        self.side, self.sampling = side, {}

    def sample(self, rows):
        """Matrices' indices and cubic weights (Keys) of a window of `rows` about each slice centre."""
        if rows not in self.sampling:
            start = self.first + self.r * np.arange(self.n) - 0.5 * (rows - 1)
            t = (start - np.floor(start))[:, None]
            keys = np.concatenate([t * (-0.5 + t * (1 - 0.5 * t)), 1 + t * t * (-2.5 + 1.5 * t),
                                   t * (0.5 + t * (2 - 1.5 * t)), t * t * (-0.5 + 0.5 * t)], 1)
            index = np.floor(start).astype(int)[:, None] - 1 + np.arange(rows + 3)
            self.sampling[rows] = keys, mirror(index, self.side)
        return self.sampling[rows]

    def gap(self, window):
        """Matrix [n][side] from rows to slices."""
        rows = window.shape[1]
        keys, index = self.sample(rows)
        weight = np.zeros((self.n, rows + 3))
        for c in range(4):
            weight[:, c : c + rows] += keys[:, c : c + 1] * window
        m = np.zeros((self.n, self.side), np.float32)
        line = np.arange(self.n)
        for k in range(rows + 3):  # one column of indices at a time: none repeats in a line
            m[line, index[:, k]] += weight[:, k]
        return m


class Peer:
    """What the peers share: constants of the crop and the slice."""

    def __init__(self, image, crop, tables):
        self.side, self.crop = image.shape[0], crop
        self.resolution = {mm: Resolution(mm, tap, self.side) for mm, tap in tables.items()}
        u = (2 * np.arange(crop) + 1.0) / crop - 1
        self.basis = np.stack([np.outer(u**j, u**i) for i in range(4) for j in range(4 - i)])
        self.basis = self.basis.reshape(10, -1).astype(np.float32)
        self.image = image
        self.random = np.random.Generator(np.random.SFC64(1))

    def window(self, d, n):
        given = d.get("window")
        return windows(n, d["gap_rows"], self.random.uniform) if given is None else given

    def region(self, d):
        """First and last column that the crop needs."""
        margin = math.ceil(abs(d["interlace_shift"]) * self.side) + 1
        return max(0, d["col"] - margin), min(self.side, d["col"] + self.crop + margin)

    def turn(self, d):
        m = d["magnification"] if "rescale" in d["fires"] else 1.0
        a = math.radians(d["angle_deg"]) if "rotate" in d["fires"] else 0.0
        return math.cos(a) / m, math.sin(a) / m

    def moved(self, d, rows):
        return rows % (2 * d["interlace_rows"]) < d["interlace_rows"]

    def blur_taps(self, d):
        t = np.exp(-0.5 * (np.arange(-BLUR_HALF, BLUR_HALF + 1) / d["blur_sigma_px"]) ** 2)
        return (t / t.sum()).astype(np.float32)


class Torch(Peer):
    def __init__(self, image, crop, tables, shortcuts):
        super().__init__(image, crop, tables)
        self.shortcuts = shortcuts
        self.x = torch.from_numpy(image)
        self.axis = torch.linspace(-1, 1, self.side)  # grid_sample's coordinates, corners aligned
        self.rows = torch.arange(self.side)
        self.columns = torch.arange(self.side, dtype=torch.float32)
        self.field = torch.from_numpy(self.basis)
        for r in self.resolution.values():
            r.psf_t, r.up_t = torch.from_numpy(r.psf), torch.from_numpy(r.up)
            r.tap_t = torch.from_numpy(r.tap).view(1, 1, -1, 1)

    def warp(self, d, left, right):
        c, s = self.turn(d)
        dx, dy = self.axis[None, left:right], self.axis[:, None]
        grid = torch.stack([c * dx - s * dy, s * dx + c * dy], -1)
        return F.grid_sample(self.x[None, None], grid[None], mode="bilinear",
                             padding_mode="reflection", align_corners=True)[0, 0]

    def acquire(self, d, x):
        """Slices [n][columns] as measured, and rows again."""
        r = self.resolution[d["lr_mm"]]
        gap = torch.from_numpy(r.gap(self.window(d, r.n)))
        if self.shortcuts:
            y = (gap @ r.psf_t) @ x
        else:
            half = r.tap_t.shape[2] // 2
            x = F.pad(x[None, None], (0, 0, half, half), mode="reflect")
            y = gap @ F.conv2d(x, r.tap_t)[0, 0]
        if "slice_noise" in d["fires"]:
            y = torch.randn_like(y).mul_(d["slice_noise_sigma"]).add_(y)
        up = r.up_t[d["row"] : d["row"] + self.crop] if self.shortcuts else r.up_t
        return up @ y

    def interlace(self, d, x, first_row):
        shift = d["interlace_shift"] * self.side
        whole = math.floor(-shift)
        a = torch.arange(x.shape[1]) + whole
        fold = lambda i: (x.shape[1] - 1) - ((x.shape[1] - 1) - i.abs()).abs()
        shifted = torch.lerp(x[:, fold(a)], x[:, fold(a + 1)], -shift - whole)
        moved = self.moved(d, self.rows[first_row : first_row + x.shape[0]])
        return torch.where(moved[:, None], shifted, x)

    def blur(self, d, x):
        tap = torch.from_numpy(self.blur_taps(d))
        x = F.pad(x[None, None], (BLUR_HALF,) * 4, mode="reflect")
        return F.conv2d(F.conv2d(x, tap.view(1, 1, -1, 1)), tap.view(1, 1, 1, -1))[0, 0]

    def pair(self, d):
        fires, row, col, crop = d["fires"], d["row"], d["col"], self.crop
        left, right = self.region(d) if self.shortcuts else (0, self.side)
        if "rescale" in fires or "rotate" in fires:
            x = self.warp(d, left, right)
        else:
            x = self.x[:, left:right]
        hr = x[row : row + crop, col - left : col - left + crop].clone()
        x = self.acquire(d, x)
        first_row = row if self.shortcuts else 0
        if "interlace" in fires:
            x = self.interlace(d, x, first_row)
        x = x[row - first_row : row - first_row + crop, col - left : col - left + crop]
        if "blur" in fires:
            x = self.blur(d, x)
        if "noise" in fires:
            x = torch.randn(crop, crop).mul_(d["noise_sigma"]).add_(x).clamp_(0, 1)
        if "bias" in fires:
            f = torch.tensor(d["bias"]) @ self.field
            x = f.neg_().exp_().view(crop, crop).mul_(x).clamp_(0, 1)
        if "jitter" in fires:
            x = (x * d["brightness"]).clamp_(0, 1)
            mean = x.mean()
            x = x.mul_(d["contrast"]).add_(mean * (1 - d["contrast"])).clamp_(0, 1)
        return hr, x


class Scipy(Peer):
    def warp(self, d, left, right):
        c, s = self.turn(d)
        mid = 0.5 * (self.side - 1)
        matrix = np.array([[c, s], [-s, c]])
        offset = mid + matrix @ np.array([-mid, left - mid])
        return ndimage.affine_transform(self.image, matrix, offset, (self.side, right - left),
                                        order=1, mode="mirror")

    def interlace(self, d, x):
        shift = d["interlace_shift"] * self.side
        whole = math.floor(-shift)
        f = np.float32(-shift - whole)
        a = np.arange(x.shape[1]) + whole
        moved = self.moved(d, np.arange(d["row"], d["row"] + self.crop))
        rows, n = x[moved], x.shape[1]
        x[moved] = (1 - f) * rows[:, mirror(a, n)] + f * rows[:, mirror(a + 1, n)]
        return x

    def pair(self, d):
        fires, row, col, crop = d["fires"], d["row"], d["col"], self.crop
        left, right = self.region(d)
        if "rescale" in fires or "rotate" in fires:
            x = self.warp(d, left, right)
        else:
            x = self.image[:, left:right]
        hr = x[row : row + crop, col - left : col - left + crop].copy()
        r = self.resolution[d["lr_mm"]]
        x = (r.gap(self.window(d, r.n)) @ r.psf) @ x
        if "slice_noise" in fires:
            x += np.float32(d["slice_noise_sigma"]) * self.random.standard_normal(x.shape, np.float32)
        x = r.up[row : row + crop] @ x
        if "interlace" in fires:
            x = self.interlace(d, x)
        x = x[:, col - left : col - left + crop]
        if "blur" in fires:
            tap = self.blur_taps(d)
            x = ndimage.correlate1d(x, tap, 0, mode="mirror")
            x = ndimage.correlate1d(x, tap, 1, mode="mirror")
        if "noise" in fires:
            x = x + np.float32(d["noise_sigma"]) * self.random.standard_normal(x.shape, np.float32)
            np.clip(x, 0, 1, out=x)
        if "bias" in fires:
            f = np.float32(d["bias"]) @ self.basis
            x = np.exp(-f).reshape(crop, crop) * x
            np.clip(x, 0, 1, out=x)
        if "jitter" in fires:
            x = np.clip(x * np.float32(d["brightness"]), 0, 1)
            mean = x.mean(dtype=np.float64)
            x = x * np.float32(d["contrast"]) + np.float32((1 - d["contrast"]) * mean)
            np.clip(x, 0, 1, out=x)
        return hr, x


class Ours:
    """The program as a co-process: one line in, one line out."""

    def __init__(self, program, crop, side):
        self.process = subprocess.Popen([program, "serve", str(crop), str(side)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def seconds(self, first, pairs):
        print(first, pairs, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def read_dump(program, crop, side, pairs):
    """The slice, the profiles, and pairs of the program with what it drew for them."""
    data = subprocess.run([program, "dump", str(crop), str(side), str(pairs)], check=True,
                          stdout=subprocess.PIPE).stdout
    at = 0

    def take(dtype, *shape):
        nonlocal at
        n = math.prod(shape)
        x = np.frombuffer(data, dtype, n, at).reshape(shape)
        at += x.nbytes
        return x

    image = take(np.float32, side, side).copy()
    tables = {}
    for mm in RESOLUTIONS_MM:
        (n,) = take(np.float64, 1)
        tables[mm] = take(np.float64, int(n))
    record = []
    for _ in range(pairs):
        d = dict(zip(FIELDS, take(np.float64, len(FIELDS)).tolist()))
        d["bias"] = take(np.float64, 10).tolist()
        d["fires"] = {s for i, s in enumerate(STEPS) if int(d["steps"]) >> i & 1}
        for k in ("gap_rows", "interlace_rows", "row", "col"):
            d[k] = int(d[k])
        n_slices = max(1, round(side / (d["lr_mm"] / HR_MM)))
        d["window"] = take(np.float64, n_slices, d["gap_rows"])
        d["hr"], d["lr"] = take(np.float32, crop, crop), take(np.float32, crop, crop)
        record.append(d)
    assert at == len(data), "the dump has another layout"
    return image, tables, record


def check(peers, record, tolerance=2e-4):
    """A peer's images are ours where no noise is drawn."""
    fired = {s: sum(s in d["fires"] for d in record) for s in STEPS}
    print(f"check on {len(record)} pairs:", " ".join(f"{s} {n}" for s, n in fired.items()))
    for name, peer in peers.items():
        worst = [0.0, 0.0]
        for d in record:
            for k, (got, want) in enumerate(zip(peer.pair(d), (d["hr"], d["lr"]))):
                worst[k] = max(worst[k], float(np.abs(np.asarray(got) - want).max()))
        print(f"  {name:12s} largest difference HR {worst[0]:.1e}, LR {worst[1]:.1e}")
        if max(worst) > tolerance:
            sys.exit(f"{name} computes something else")


def seconds(peer, rng, pairs):
    start = time.thread_time()
    for _ in range(pairs):
        peer.pair(draw(rng, peer.side, peer.crop))
    return time.thread_time() - start


def main():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("program", metavar="BENCH_DEGRADE")
    for name, default in (("crop", 160), ("slice", 320), ("pairs", 100), ("rounds", 15)):
        a.add_argument("--" + name, type=int, default=default)
    a = a.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)

    image, tables, record = read_dump(a.program, a.crop, a.slice, 60)
    peers = {"torch": Torch(image, a.crop, tables, False),
             "torch, crop": Torch(image, a.crop, tables, True),
             "scipy": Scipy(image, a.crop, tables)}
    check(peers, record)

    ours, rng = Ours(a.program, a.crop, a.slice), random.Random(1)
    times = {name: [] for name in ["ours", *peers]}
    factor = 10  # ours takes more pairs a turn, so that the turn is long enough to be timed
    for turn in range(-1, a.rounds):  # the first warms up
        ms = {"ours": 1e3 * ours.seconds((turn + 1) * factor * a.pairs, factor * a.pairs) /
              (factor * a.pairs)}
        for name, peer in peers.items():
            ms[name] = 1e3 * seconds(peer, rng, a.pairs) / a.pairs
        for name, t in ms.items():
            if turn >= 0:
                times[name].append(t)
    ours.close()

    print(f"level 7, {a.crop} x {a.crop} from {a.slice} x {a.slice}, one thread, "
          f"median of {a.rounds} turns (numpy {np.__version__}, torch {torch.__version__})")
    print(f"  {'':12s} {'ms/pair':>8s} {'min':>7s} {'max':>7s} {'pairs/s':>8s} {'ratio':>6s}")
    for name, t in times.items():
        ratio = statistics.median(x / y for x, y in zip(t, times["ours"]))
        m = statistics.median(t)
        print(f"  {name:12s} {m:8.4f} {min(t):7.4f} {max(t):7.4f} {1e3 / m:8.0f} {ratio:6.1f}")


if __name__ == "__main__":
    main()
