"""Trains the demo model's tokenizer: byte-pair encoding in the layout of the Llama tokenizers.

Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes <0x00> to <0xFF>, then characters and merges. A space is written as U+2581;
what the vocabulary lacks falls back to bytes, so any prompt can be encoded.

python3 tokenizer.py --out DIR    writes DIR/tokenizer.json and DIR/tokenizer_config.json
"""

import argparse
import json
import pathlib
import string

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import stories

VOCAB_SIZE = 2048
CORPUS_SEED, CORPUS_STORIES = 20_000_001, 40_000
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{i:02X}>" for i in range(256)]


def train(texts):
    """Returns the trained tokenizer. Merges are learnt inside words only: letters, punctuation and newlines stay apart."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="first"),
        pre_tokenizers.Split(Regex(r"\n+|▁?[A-Za-z]+|▁?[^A-Za-z\n▁]"), behavior="isolated"),
    ])
    learner.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL) - len(BYTES), show_progress=False,
        initial_alphabet=list(string.ascii_letters + string.digits + string.punctuation + "▁\n")))
    learned = json.loads(learner.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].get)
    vocab = {piece: i for i, piece in enumerate(SPECIAL + BYTES + pieces)}
    return _assemble(vocab, [tuple(merge) for merge in learned["merges"]])


def _assemble(vocab, merges):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    # A space goes in front always, also before a space: dropping one on decode then gives the text back exactly.
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])])
    return tokenizer


def check(tokenizer):
    """Raises if a text does not survive encoding and decoding, or falls to <unk>."""
    texts = stories.corpus(CORPUS_SEED + 1, 200) + [
        "Once upon a time", "Hello 世界 🌍", "e\u0301 👨‍👩‍👧 \x00 ñ", "  two  spaces ", "1 + 2 = 3;\ttab", "a\n\n\nb", "?"]
    for text in texts:
        encoding = tokenizer.encode(text)
        if tokenizer.decode(encoding.ids) != text or encoding.ids[0] != 1 or 0 in encoding.ids:
            raise ValueError(f"tokenizer: {text[:60]!r} comes back as {tokenizer.decode(encoding.ids)[:60]!r}")
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise ValueError(f"tokenizer: {tokenizer.get_vocab_size()} entries, want {VOCAB_SIZE}")


def save(tokenizer, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False, "model_max_length": 2048, "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    tokenizer = train(stories.corpus(CORPUS_SEED, CORPUS_STORIES))
    check(tokenizer)
    save(tokenizer, args.out)
    sample = stories.corpus(CORPUS_SEED + 2, 2000)
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(sample))
    print(f"{VOCAB_SIZE} entries, {sum(map(len, sample)) / tokens:.2f} characters a token, {tokens / len(sample):.0f} tokens a story")


if __name__ == "__main__":
    main()
