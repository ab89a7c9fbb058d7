#!/usr/bin/env python3
"""Writes rope.json: rotary frequencies and a few cos/sin, as float32 bits.

Worked out without our code: exact decimal powers, one rounding to float32 per
operation that transformers does in float32 (modeling_rope_utils.py and
LlamaRotaryEmbedding of transformers 5.23, read for the order of operations),
python floats where transformers has them. Standard library only.
"""
import json
import math
import pathlib
import struct
from decimal import Decimal, getcontext

getcontext().prec = 60


def f(x):  # a float64 rounded to float32: exact for + - * / of two float32
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bits(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def power(base, exponent):  # float32 nearest to base^exponent
    return f(float(Decimal(f(base)) ** Decimal(exponent)))


def over(x, y):  # torch: a python number over a float32 tensor
    return f(f(1 / y) * f(x))


def frequencies(dim, theta, s):
    pos = [power(theta, f(f(2 * i) / f(dim))) for i in range(dim // 2)]
    inv = [f(1 / p) for p in pos]
    kind = s.get("rope_type", "default")
    if kind == "linear":
        return [f(w / f(s["factor"])) for w in inv]
    if kind == "llama3":
        return [llama3(w, s) for w in inv]
    if kind == "yarn":
        return yarn(dim, theta, pos, inv, s)
    if kind == "longrope":
        factors = s["long_factor"] if MAX_POSITIONS > s["original_max_position_embeddings"] else s["short_factor"]
        return [f(1 / f(f(x) * p)) for x, p in zip(factors, pos)]
    return inv


def llama3(w, s):
    old, lo, hi, factor = (s[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "factor"))
    wavelen = over(2 * math.pi, w)
    if wavelen > f(old / lo):
        return f(w / f(factor))
    if wavelen < f(old / hi):
        return w
    smooth = f(f(over(old, wavelen) - f(lo)) / f(hi - lo))
    return f(f(f(f(1 - smooth) * w) / f(factor)) + f(smooth * w))


def yarn(dim, theta, pos, inv, s):
    def at(turns):
        return dim * math.log(s["original_max_position_embeddings"] / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = at(s.get("beta_fast", 32)), at(s.get("beta_slow", 1))
    if s.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    out = []
    for i, (p, w) in enumerate(zip(pos, inv)):
        ramp = min(max(f(f(i - f(low)) / f(high - low)), 0.0), 1.0)
        keep = f(1 - ramp)
        inter = f(1 / f(f(s["factor"]) * p))
        out.append(f(f(inter * f(1 - keep)) + f(w * keep)))
    return out


def attention(s):
    if s.get("rope_type") not in ("yarn", "longrope"):
        return 1.0
    if "attention_factor" in s:
        return s["attention_factor"]
    if s["rope_type"] == "longrope":
        old = s["original_max_position_embeddings"]
        factor = s.get("factor", MAX_POSITIONS / old)
        return math.sqrt(1 + math.log(factor) / math.log(old)) if factor > 1 else 1.0
    m = lambda w: 1.0 if s["factor"] <= 1 else 0.1 * w * math.log(s["factor"]) + 1.0
    if s.get("mscale") and s.get("mscale_all_dim"):
        return m(s["mscale"]) / m(s["mscale_all_dim"])
    return m(1)


MAX_POSITIONS = 4096  # of the config and of the table
SHORT = {"short_factor": [1.0, 1.05, 1.1, 1.3, 1.7, 2.1, 2.6, 3.0]}
LONG = {"long_factor": [1.0, 1.2, 1.9, 3.7, 8.0, 17.5, 30.1, 62.25]}

CASES = [
    ("default", 64, 10000.0, {}),
    ("default, theta 1e6, dim 128", 128, 1e6, {}),
    ("default, dim no power of two", 20, 10000.0, {}),
    ("linear", 64, 10000.0, {"rope_type": "linear", "factor": 4.0}),
    ("linear, factor no power of two", 16, 10000.0, {"rope_type": "linear", "factor": 2.7}),
    ("llama3 of Llama 3.1", 128, 500000.0, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
    ("llama3 of Llama 3.2", 64, 500000.0, {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
    ("yarn of Qwen2.5", 128, 1e6, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}),
    ("yarn, not truncated", 64, 150000.0, {"rope_type": "yarn", "factor": 32.0, "truncate": False, "original_max_position_embeddings": 4096}),
    ("yarn, betas and mscale", 64, 10000.0, {"rope_type": "yarn", "factor": 40.0, "beta_fast": 24, "beta_slow": 2, "mscale": 1.0, "mscale_all_dim": 0.707, "original_max_position_embeddings": 4096}),
    ("yarn, attention factor", 32, 10000.0, {"rope_type": "yarn", "factor": 16.0, "attention_factor": 0.83, "original_max_position_embeddings": 2048}),
    ("yarn, factor 1", 32, 10000.0, {"rope_type": "yarn", "factor": 1.0, "original_max_position_embeddings": 2048}),
    ("longrope, beyond the first context", 16, 10000.0, {"rope_type": "longrope", "original_max_position_embeddings": 1024, **SHORT, **LONG}),
    ("longrope, within it", 16, 10000.0, {"rope_type": "longrope", "original_max_position_embeddings": 4096, "factor": 32.0, **SHORT, **LONG}),
    ("longrope, attention factor", 16, 5e5, {"rope_type": "longrope", "original_max_position_embeddings": 512, "attention_factor": 1.25, **SHORT, **LONG}),
    ("yarn, bounds meet", 8, 10000.0, {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4}),
]
POSITIONS = [0, 1, 2, 7, 300, 4095]


def main():
    out = []
    for name, dim, theta, s in CASES:
        inv, scale = frequencies(dim, theta, s), f(attention(s))
        pairs = sorted({0, 1, 3, dim // 4, dim // 2 - 1})
        table = []
        for p in POSITIONS:
            for i in pairs:
                angle = f(p * inv[i])
                table.append([p, i, bits(f(f(math.cos(angle)) * scale)), bits(f(f(math.sin(angle)) * scale))])
        out.append({"name": name, "head_dim": dim, "rope_theta": theta, "rope_scaling": s, "attention": attention(s), "inv_freq": [bits(x) for x in inv], "table": table})
    lines = ",\n".join(json.dumps(c) for c in out)
    pathlib.Path(__file__).with_name("rope.json").write_text("[\n" + lines + "\n]\n")


main()
