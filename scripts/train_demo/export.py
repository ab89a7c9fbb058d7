"""Writes the trained model in transformers' layout, loads it back through transformers and lets it speak."""

import dataclasses
import json
import shutil

import torch
from safetensors.torch import save_file

PROMPTS = (
    "Once upon a time", "Tell me a story about a lost kite.", "Lily and Tom went to the beach", "The little dragon was sad because",
    "Hello, my name is", "\"Why is the sky blue?\" asked",
)


def write(model, tokenizer_folder, out):
    """Writes bf16 weights in two shards with an index, and the JSON files beside them."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: p.detach().to(torch.bfloat16).cpu().contiguous() for name, p in model.named_parameters()}
    half = model.config.num_hidden_layers // 2
    in_first = lambda name: "embed_tokens" in name or any(f".layers.{i}." in name for i in range(half))
    shards = [{n: w for n, w in weights.items() if in_first(n) == first} for first in (True, False)]
    index = {"metadata": {"total_size": sum(w.numel() * w.element_size() for w in weights.values())}, "weight_map": {}}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, str(out / name), metadata={"format": "pt"})
        index["weight_map"].update(dict.fromkeys(shard, name))
    index["weight_map"] = dict(sorted(index["weight_map"].items()))
    _json(out / "model.safetensors.index.json", index)
    config = dataclasses.asdict(model.config)
    config.update(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", tie_word_embeddings=True, attention_bias=False,
                  mlp_bias=False, attention_dropout=0.0, rope_scaling=None, bos_token_id=1, eos_token_id=2, torch_dtype="bfloat16",
                  initializer_range=0.02, use_cache=True)
    _json(out / "config.json", config)
    _json(out / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "do_sample": True, "temperature": 0.8, "top_p": 0.95})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_folder / name).resolve() != (out / name).resolve():
            shutil.copy(tokenizer_folder / name, out / name)


def _json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def verify(model, out, held_out_loss):
    """Loads the folder through transformers; returns the loss of what was written, and samples. Raises if it is not the same model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").cuda().eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = tokenizer("Once upon a time, there was a little fox named Pip. Pip was hungry.", return_tensors="pt")["input_ids"].cuda()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(torch.bfloat16))
        difference = (loaded(ids).logits - model(ids)).abs().max().item()
    print(f"transformers against ours: largest logit difference {difference:.2e}")
    if difference > 1e-3:
        raise SystemExit("export: transformers computes another model from these files")
    samples = [_sample(loaded, tokenizer, prompt, temperature) for temperature in (0.0, 0.8, 1.0) for prompt in PROMPTS]
    greedy = samples[0]
    if greedy["tokens"] < 60 or len(greedy["text"]) < 150 or not greedy["ended"]:
        raise SystemExit("export: the greedy story is too short or never ends")
    return {"held_out_bf16": round(held_out_loss(model), 4), "logit_difference": difference, "samples": samples}


def _sample(model, tokenizer, prompt, temperature):
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"].cuda()
    torch.manual_seed(42)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {"do_sample": False, "temperature": None, "top_p": None}
    with torch.no_grad():
        new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=600, pad_token_id=2, **how)[0, ids.shape[1]:]
    text = tokenizer.decode(new, skip_special_tokens=True)
    print(f"--- temperature {temperature}, {len(new)} tokens: {prompt}||{text}\n", flush=True)
    return {"prompt": prompt, "temperature": temperature, "tokens": len(new), "ended": new[-1].item() == 2, "text": text}


def card(facts):
    """Returns the model card. Every figure in it comes from the run."""
    quote = lambda s: "\n".join("> " + line for line in (f"**{s['prompt']}**{s['text']}").split("\n"))
    shown = [s for s in facts["samples"] if s["prompt"] in PROMPTS[:2] and s["temperature"] < 1]
    samples = "\n\n".join(f"Temperature {s['temperature']}, {s['tokens']} tokens:\n\n{quote(s)}" for s in shown)
    curve = "\n".join(f"| {h['step']} | {h['train']:.3f} | {h['held_out']:.3f} |" for h in facts["history"])
    return CARD.format_map({**{k: f"{v:,}" if isinstance(v, int) else v for k, v in facts.items()}, "samples": samples, "curve": curve})


CARD = """# The demo model

A Llama of {parameters} parameters that tells short children's stories. It exists so that `make demo` and the tests have a real model:
weights in bf16, in two shards with an index, grouped-query attention (8 query heads, 4 key/value heads), tied embeddings, 2,048 positions,
a SentencePiece-like tokenizer of 2,048 entries with byte fallback. It knows nothing but its stories.

## Data

{stories} stories ({corpus_tokens} tokens) from the generator in `scripts/train_demo`: eighteen plots, and days of small events without a plot, over a grammar of characters, places and
things. No text from anywhere else was used. Names are partly made of random syllables, so a name in the prompt is usually kept. About one story
in four begins with a request ("Tell me a story about …"), and a story ends with `</s>`.

## Training

{steps} steps of 65,536 tokens ({trained_tokens} in all), three in four as rows of 512 tokens, one in four of 2,048; AdamW, peak learning rate {lr},
cosine, bf16 autocast; {seconds} s on one {device} with torch {torch}.

| step | training loss | held-out loss |
| --- | --- | --- |
{curve}

Held-out loss of the weights as stored (bf16): {held_out_bf16}. Losses are nats a token; the grammar's own choices set their floor.
Loaded through transformers in float32, the logits differ from the trainer's by at most {logit_difference:.1e}.

## Samples

{samples}

## Reproduce

```
cd scripts/train_demo
python3 tokenizer.py --out ../../deploy/demo/model
python3 train.py --model ../../deploy/demo/model --out ../../deploy/demo/model
```

Needs a CUDA device, torch, transformers, tokenizers, safetensors and numpy. The corpus and the tokenizer come out the same everywhere; the weights
depend on the device and the libraries. `training.json` holds the run's figures and all samples.

Licence: that of the repository.
"""
