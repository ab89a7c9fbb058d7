"""Writes tiny random models and what transformers computes with them: the goldens of the tests.

python3 scripts/golden.py --out inference/testdata                  every tiny model
python3 scripts/golden.py --out inference/testdata --demo DIR       the trained demo model in DIR, under OUT/demo

Reference: transformers, float32 maths, eager attention, on the CPU. Greedy ids come from a full forward pass for every token, without
a cache, so that a cache's bugs cannot be in them. What the files hold is described in inference/testdata/README.md.
"""

import argparse
import json
import pathlib
import sys
import zlib

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

PROMPT_LENGTHS = (1, 2, 17, 64, 65, 130, 300)
CHECKPOINT_LENGTH = 17
GREEDY_TOKENS = 32
SMALLEST_MARGIN = 1e-3  # a prompt whose greedy ids are closer calls than this is drawn again: rounding must not decide a test
LAST_POSITIONS = 4
DEMO_PROMPTS = ("Once upon a time", "Tell me a story about a lost kite.", "Lily and Tom went to the beach.")
DEMO_GREEDY_TOKENS = 64

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"factor": 4.0, "original_max_position_embeddings": 128}


def llama(**changes):
    """Returns a config.json of the Llama family; the sizes are small and mostly no multiples of a vector's width."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 264, "hidden_size": 64, "intermediate_size": 92,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": 512, "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
    }
    config.update(changes)
    return {key: value for key, value in config.items() if value is not None}


def other(model_type, architecture, **changes):
    return llama(model_type=model_type, architectures=[architecture], attention_bias=None, mlp_bias=None, **changes)


def scaled(**changes):
    """A model for RoPE scaling: heads of 32, so that frequencies fall on both sides of every threshold."""
    return llama(hidden_size=48, num_attention_heads=2, num_key_value_heads=1, head_dim=32, tie_word_embeddings=True, **changes)


def longrope(pairs):
    """Returns LongRoPE parameters; contexts end where the first training's did, so that the short factors hold for every text."""
    return {"rope_type": "longrope", "factor": 4.0, "short_factor": [round(1 + 0.07 * i, 2) for i in range(pairs)],
            "long_factor": [round(1.5**i, 2) for i in range(pairs)]}


# name → (config.json, how the weights are stored: dtype, number of shards)
MODELS = {
    "llama-mha": (llama(num_key_value_heads=4, intermediate_size=108), torch.float32, 1),
    "llama-gqa": (llama(hidden_size=96, num_attention_heads=6, num_key_value_heads=2, intermediate_size=100,
                        tie_word_embeddings=True), torch.float32, 1),
    "llama-tied": (llama(tie_word_embeddings=True, vocab_size=307, num_key_value_heads=1), torch.float32, 1),
    "llama-head-dim": (llama(hidden_size=72, num_attention_heads=3, num_key_value_heads=1, head_dim=32, rope_theta=500000.0), torch.float32, 1),
    "llama-attention-bias": (llama(attention_bias=True), torch.float32, 1),
    "llama-mlp-bias": (llama(mlp_bias=True), torch.float32, 1),
    "llama-rope-linear": (scaled(rope_scaling={"type": "linear", "factor": 2.5}), torch.float32, 1),
    "llama-rope-llama3": (scaled(rope_theta=500000.0, rope_scaling={"rope_type": "llama3", **LLAMA3}), torch.float32, 1),
    "llama-rope-llama3-parameters": (scaled(rope_theta=None, rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3}), torch.float32, 1),
    "llama-rope-yarn": (scaled(rope_scaling={"type": "yarn", **YARN}), torch.float32, 1),
    "llama-rope-yarn-parameters": (scaled(rope_theta=None, rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "beta_fast": 16.0, "beta_slow": 2.0,
                                                          "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": False, **YARN}), torch.float32, 1),
    "llama-eos-list": (llama(tie_word_embeddings=True, rope_theta=None, rope_parameters={"rope_type": "default", "rope_theta": 20000.0}),
                       torch.float32, 1),
    "llama-f16": (llama(torch_dtype="float16", intermediate_size=172), torch.float16, 1),
    "llama-bf16": (llama(torch_dtype="bfloat16", head_dim=64, num_attention_heads=2, num_key_value_heads=1,
                         num_hidden_layers=3, intermediate_size=172), torch.bfloat16, 1),
    "llama-sharded": (llama(tie_word_embeddings=True), torch.float32, 3),
    "mistral-window": (other("mistral", "MistralForCausalLM", num_attention_heads=2, num_key_value_heads=1, sliding_window=16), torch.float32, 1),
    "phi3": (other("phi3", "Phi3ForCausalLM", pad_token_id=2, sliding_window=20), torch.float32, 1),
    "phi3-longrope": (other("phi3", "Phi3ForCausalLM", pad_token_id=2, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, partial_rotary_factor=0.75,
                            original_max_position_embeddings=512, rope_scaling=longrope(12)), torch.float32, 1),
    "qwen2": (other("qwen2", "Qwen2ForCausalLM", rms_norm_eps=1e-6, rope_theta=1000000.0, use_sliding_window=False, sliding_window=16,
                    max_window_layers=1), torch.float32, 1),
    "qwen2-window": (other("qwen2", "Qwen2ForCausalLM", rms_norm_eps=1e-6, tie_word_embeddings=True, use_sliding_window=True,
                           sliding_window=16, max_window_layers=1), torch.float32, 1),
    "qwen3": (other("qwen3", "Qwen3ForCausalLM", rms_norm_eps=1e-6, rope_theta=1000000.0, head_dim=64, num_attention_heads=2,
                    num_key_value_heads=1, tie_word_embeddings=True, use_sliding_window=False, sliding_window=None, max_window_layers=2),
              torch.float32, 1),
}


def seed_of(name):
    """A model's seed depends on its name only, so a new one leaves the others as they are; those for RoPE share their weights."""
    return zlib.crc32(name.partition("-rope-")[0].encode())


def draw(name, shape, generator):
    """Draws one weight. Matrices: standard deviation 2/√fan_in, because with the usual 0.02 all logits nearly tie."""
    values = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    if len(shape) == 2:
        return values * (2 / shape[1] ** 0.5)
    return values * 0.2 if name.endswith("bias") else 1 + 0.1 * values


def write_model(folder, config, dtype, shards):
    """Writes config.json, generation_config.json, tokenizer.json and the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"]})
    byte_tokenizer(config["vocab_size"]).save(str(folder / "tokenizer.json"), pretty=False)
    skeleton = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    generator = np.random.default_rng(seed_of(folder.name))
    weights = {name: draw(name, tuple(p.shape), generator).to(dtype) for name, p in sorted(skeleton.named_parameters())}
    write_weights(folder, weights, shards)


def write_weights(folder, weights, shards):
    if shards == 1:
        save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
        return
    names, index = list(weights), {"metadata": {"total_size": sum(w.numel() * w.element_size() for w in weights.values())}, "weight_map": {}}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = names[i * len(names) // shards: (i + 1) * len(names) // shards]
        save_file({n: weights[n] for n in part}, str(folder / file), metadata={"format": "pt"})
        index["weight_map"].update(dict.fromkeys(part, file))
    write_json(folder / "model.safetensors.index.json", index)


def byte_tokenizer(vocab_size):
    """Returns a byte-level tokenizer with exactly vocab_size entries: three specials, 256 bytes, then pairs of letters as merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = ["<unk>", "<s>", "</s>"] + alphabet, []
    pairs = [(a, b) for a in "thenrias" for b in "haeionrst"]
    for a, b in pairs[: vocab_size - len(pieces)]:
        merges.append((a, b))
    pieces += [a + b for a, b in merges]
    if len(pieces) != vocab_size or len(set(pieces)) != vocab_size:
        raise ValueError(f"golden: cannot make a tokenizer of {vocab_size} entries")
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


class Tap:
    """Collects what modules return during one forward pass, by module name."""

    def __init__(self, model):
        self.seen = {}
        for name, module in model.named_modules():
            module.register_forward_hook(lambda _m, _in, out, name=name: self.seen.__setitem__(name, out))

    def __getitem__(self, name):
        out = self.seen[name]
        return out[0] if isinstance(out, tuple) else out


def forward(model, ids):
    """Returns the logits [positions, vocab] of one prompt, computed without a cache."""
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, ids, count):
    """Returns count ids, each the largest logit's, and by how much it beat the second; end-of-sequence ids do not stop it."""
    ids, margins = list(ids), []
    for _ in range(count):
        top = torch.topk(forward(model, ids)[-1], 2)
        ids.append(top.indices[0].item())
        margins.append((top.values[0] - top.values[1]).item())
    return ids[-count:], margins


def checkpoints(model, tap):
    """Returns the intermediate values of layer 0 of the pass just made, each [positions, width], heads side by side."""
    layer, heads = "model.layers.0", lambda x: x[0].transpose(0, 1).flatten(1)
    attention = model.model.layers[0].self_attn
    split = lambda x: x.view(1, x.shape[1], -1, attention.head_dim).transpose(1, 2)
    if f"{layer}.self_attn.qkv_proj" in tap.seen:
        wide = [n * attention.head_dim for n in (model.config.num_attention_heads, model.config.num_key_value_heads, model.config.num_key_value_heads)]
        q, k, v = tap[f"{layer}.self_attn.qkv_proj"].split(wide, dim=-1)
    else:
        q, k, v = (tap[f"{layer}.self_attn.{name}_proj"] for name in "qkv")
    values = {
        "norm": tap[f"{layer}.input_layernorm"][0], "q": q[0], "k": k[0], "v": v[0],
        "attention": tap[f"{layer}.self_attn.o_proj"][0], "ffn": tap[f"{layer}.mlp"][0], "block": tap[layer][0],
    }
    q, k = split(q), split(k)
    if hasattr(attention, "q_norm"):
        q, k = attention.q_norm(q), attention.k_norm(k)
        values["q_norm"], values["k_norm"] = heads(q), heads(k)
    cos, sin = tap.seen["model.rotary_emb"]
    q, k = sys.modules[type(model).__module__].apply_rotary_pos_emb(q, k, cos, sin)
    values["q_rope"], values["k_rope"] = heads(q), heads(k)
    return {"checkpoint." + name: value.detach().clone().contiguous() for name, value in values.items()}


def positions_of(length):
    return sorted({0, *range(max(0, length - LAST_POSITIONS), length)})


def golden(folder, prompts, count):
    """Returns golden.json's prompts and golden.safetensors' tensors for one model; prompts: (model) → lists of ids."""
    model = load(folder)
    tap, tensors, entries, logits = Tap(model), {}, [], []
    layers = model.config.num_hidden_layers
    for ids in prompts(model):
        logits.append(forward(model, ids)[-1].clone())
        positions = positions_of(len(ids))
        tensors[f"hidden.{len(entries)}"] = torch.stack([tap[f"model.layers.{i}"][0][positions] for i in range(layers)]).clone()
        if len(ids) == CHECKPOINT_LENGTH:
            with torch.no_grad():
                tensors.update(checkpoints(model, tap))
        tokens, margins = greedy(model, ids, count)
        entries.append({"ids": ids, "hidden_positions": positions, "greedy": tokens, "margins": [round(m, 6) for m in margins]})
    tensors["logits"] = torch.stack(logits)
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise ValueError(f"golden: {folder.name}: not finite")
    return entries, tensors


def write_golden(folder, entries, tensors, facts):
    save_file(tensors, str(folder / "golden.safetensors"))
    made_with = {"transformers": transformers.__version__, "torch": torch.__version__, "attention": "eager", "dtype": "float32", "device": "cpu"}
    write_json(folder / "golden.json", {"made_with": made_with, **facts, "prompts": entries})


def write_json(path, value):
    text = json.dumps(value, indent=1, ensure_ascii=False)
    # Lists of numbers on one line each: a diff then shows which list changed.
    out, depth = [], 0
    for line in text.split("\n"):
        stripped = line.strip()
        if depth:
            out[-1] += (" " if out[-1][-1] == "," else "") + stripped
        else:
            out.append(line)
        if stripped.endswith("[") and not stripped.endswith('"prompts": ['):
            depth += 1
        elif stripped.rstrip(",") == "]" and depth:
            depth -= 1
    path.write_text("\n".join(out) + "\n")


def random_prompts(name, model):
    """Yields a prompt of each length; no special ids."""
    generator = np.random.default_rng(seed_of(name) + 1)
    for length in PROMPT_LENGTHS:
        margins = [0.0]
        while min(margins) < SMALLEST_MARGIN:
            ids = [int(i) for i in generator.integers(3, model.config.vocab_size, length)]
            _, margins = greedy(model, ids, GREEDY_TOKENS)
        yield ids


def tiny(out, name):
    """Writes one tiny model and its goldens."""
    config, dtype, shards = MODELS[name]
    folder = out / name
    write_model(folder, config, dtype, shards)
    entries, tensors = golden(folder, lambda model: random_prompts(name, model), GREEDY_TOKENS)
    facts = {"checkpoint_prompt": PROMPT_LENGTHS.index(CHECKPOINT_LENGTH)}
    if name == "llama-eos-list":
        facts["stop"] = stop_on_list(folder, config, entries)
    write_golden(folder, entries, tensors, facts)
    least = min(m for e in entries for m in e["margins"])
    print(f"{name:30s} logits ±{tensors['logits'].abs().max():.1f}  smallest margin {least:.2e}  "
          f"distinct greedy ids {[len(set(e['greedy'])) for e in entries]}", flush=True)


def stop_on_list(folder, config, entries):
    """Rewrites the end-of-sequence ids as a list that the greedy ids meet, and returns what generate() does with it."""
    entry = entries[3]
    late, never = entry["greedy"][9], next(i for i in range(3, config["vocab_size"]) if i not in entry["greedy"])
    write_json(folder / "config.json", {**config, "eos_token_id": [2, never]})
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, never, late]})
    ids = torch.tensor([entry["ids"]])
    made = load(folder).generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=GREEDY_TOKENS, pad_token_id=0)
    made = made[0, ids.shape[1]:].tolist()
    if made != entry["greedy"][: entry["greedy"].index(late) + 1]:
        raise ValueError(f"golden: generate() with a list of ends gave {made}")
    return {"prompt": 3, "eos_token_id": [2, never, late], "ids_until_stop": made}


def demo(out, folder):
    """Writes the goldens of the trained demo model: text in, ids and text out."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompts = [tokenizer(text)["input_ids"] for text in DEMO_PROMPTS]
    entries, tensors = golden(folder, lambda _: prompts, DEMO_GREEDY_TOKENS)
    for text, entry in zip(DEMO_PROMPTS, entries):
        entry["text"] = text
        entry["greedy_text"] = tokenizer.decode(entry["ids"] + entry["greedy"], skip_special_tokens=True)[len(text):]
        print(f"{text!r} → {entry['greedy_text']!r}, smallest margin {min(entry['margins']):.2e}", flush=True)
    (out / "demo").mkdir(parents=True, exist_ok=True)
    write_golden(out / "demo", entries, tensors, {})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--demo", type=pathlib.Path, help="folder of the demo model")
    parser.add_argument("--only", nargs="*", default=list(MODELS), help="names of tiny models")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of additions, whatever the machine
    if args.demo:
        demo(args.out, args.demo)
        return
    for name in args.only:
        tiny(args.out, name)


if __name__ == "__main__":
    main()
