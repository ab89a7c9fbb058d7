"""Trains the demo model and writes it where transformers and llorch can load it.

python3 train.py --model ../../deploy/demo/model --out OUT    tokenizer.json is read from --model, everything is written to --out
"""

import argparse
import json
import math
import pathlib
import time

import torch
import torch.nn.functional as F

import corpus
import export
from model import Config, Llama

TRAIN_SEED, HELD_OUT_SEED = 1_000_000, 9_000_000


class Corpus:
    """Rows of whole stories, each beginning with <s>, so that position 0 is seen in training as it is met in use."""

    def __init__(self, ids, starts, device):
        self.ids = torch.from_numpy(ids.astype("int16")).to(device)
        self.starts = torch.from_numpy(starts).to(device)

    def rows(self, count, length, generator):
        """Returns ids [count, length + 1]: random stories and what follows them in the corpus."""
        usable = self.starts[: int((self.starts < len(self.ids) - length - 1).sum())]
        picked = usable[torch.randint(len(usable), (count,), generator=generator, device=usable.device)]
        return self.ids[picked[:, None] + torch.arange(length + 1, device=usable.device)].long()


def loss_of(model, rows):
    with torch.autocast("cuda", torch.bfloat16):
        logits = model(rows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model, data):
    """Returns the mean loss over 128 rows of 1024 tokens, the same ones every time."""
    generator = torch.Generator(data.ids.device).manual_seed(0)
    return sum(loss_of(model, data.rows(32, 1024, generator)).item() for _ in range(4)) / 4


def learning_rate(step, args):
    """Linear warm-up, then a cosine down to a fiftieth."""
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    progress = (step - args.warmup) / max(1, args.steps - args.warmup)
    return args.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def optimizer_of(model, args):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=True)


def train(model, data, held_out, args):
    """Three steps of four use rows of 512 tokens, the fourth rows of 2048, so that every position is trained."""
    step_of = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    optimizer = optimizer_of(model, args)
    generator = torch.Generator(data.ids.device).manual_seed(args.seed)
    history, began = [], time.time()
    for step in range(args.steps):
        length = 2048 if step % 4 == 3 else 512
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        loss = step_of(model, data.rows(args.tokens // length, length, generator))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % args.report == 0 or step == args.steps - 1:
            held = held_out_loss(model, held_out)
            history.append({"step": step, "train": round(loss.item(), 4), "held_out": round(held, 4)})
            print(f"step {step:5d}  train {loss.item():.4f}  held-out {held:.4f}  {time.time() - began:.0f} s", flush=True)
        if time.time() - began > args.seconds:
            raise SystemExit(f"train: {args.seconds} s are over at step {step} of {args.steps}")
    return history, time.time() - began


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of tokenizer.json")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the result")
    parser.add_argument("--stories", type=int, default=1_200_000)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--tokens", type=int, default=65536, help="tokens a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--report", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="give up when training takes longer")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    return parser.parse_args()


def main():
    args = arguments()
    torch.manual_seed(args.seed)
    began = time.time()
    tokenizer = args.model / "tokenizer.json"
    # Both before the device is touched: the corpus is made by forked processes.
    made = corpus.tokens(tokenizer, TRAIN_SEED, args.stories), corpus.tokens(tokenizer, HELD_OUT_SEED, 4000)
    data, held_out = (Corpus(ids, starts, "cuda") for ids, starts in made)
    print(f"corpus: {len(data.starts)} stories, {len(data.ids)} tokens, {time.time() - began:.0f} s", flush=True)
    model = Llama(Config()).cuda()
    history, seconds = train(model, data, held_out, args)
    facts = {
        "stories": len(data.starts), "corpus_tokens": len(data.ids), "steps": args.steps, "trained_tokens": args.steps * args.tokens,
        "seconds": round(seconds), "device": torch.cuda.get_device_name(), "torch": torch.__version__, "seed": args.seed,
        "lr": args.lr, "parameters": sum(p.numel() for p in model.parameters()), "history": history,
    }
    export.write(model, args.model, args.out)
    facts.update(export.verify(model, args.out, lambda m: held_out_loss(m, held_out)))
    (args.out / "training.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    (args.out / "README.md").write_text(export.card(facts))


if __name__ == "__main__":
    main()
