"""Makes the vocabularies, as a GGUF file carries them, and the vectors that the tests of inference/tokenize compare with.

Two small vocabularies, each with the ids that the tokenizer of the same model's Hugging Face folder gives for 1,000 texts:

    gguf-llama  trained by SentencePiece (BPE, byte fallback, control and user-defined pieces); the folder's tokenizer has
                the merges that transformers derives, a space put before each text and byte fallback, as Llama 2. Where the
                text has no control or user-defined piece, SentencePiece itself must agree.
    gguf-gpt2   byte-level, with the expression and the NFC of Qwen2; the folder's tokenizer is trained by tokenizers.

    pip install tokenizers transformers sentencepiece protobuf
    python3 scripts/gguf_vectors.py inference/tokenize/testdata
"""

import io
import json
import pathlib
import random
import sys

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import SentencePieceExtractor

from tokenizer_vectors import CORPUS, TEXTS

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
PARTS = [
    "the river", "Hello", " world", "  ", "\t", "\n", "\r\n", "\n\n", "    ", " a", "A", "I'm", "WE'LL", "don't", "12", "3456789", "3.14", "٣٤", "½",
    "func main() {", "}", "if x != nil:", "return", "//", "==", "->", "_name", "camelCase", "#!/bin/sh", "<b>", "&amp;", "\\u0041", "%d\\n",
    "ñ", "n\u0303", "é", "e\u0301", "Å", "Привет", " мир", "你好", "世界", "日本語", "한국어", "العربية", "שלום", "हिन्दी", "ไทย", "ﬁ", "𝕳",
    "👋", "🎉🎊", "👨‍👩‍👧", "🇩🇪", "▁", "▁▁x", "\u00a0", "\u200b", "\ufeff", "\u2028", "�", "\x01", "\x7f", "…", "—", "“q”", "€", "$99", "?!", "..", ",",
    "fox", "owl", "said", "and", "they laughed", "hungry", "Once upon a time", "ab", "abab", "aaaa", "bbbbb", "The", "  the",
]
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<0x41>", "[INST]", "<user>"]


def texts():
    """1,000 different texts: those of the other vectors that hold no NUL, then what chance makes of the parts."""
    draw = random.Random(11)
    out = dict.fromkeys(t for t in TEXTS if "\x00" not in t and len(t) < 200)
    while len(out) < 1000:
        parts = draw.choices(PARTS, k=draw.randrange(1, 9))
        if draw.random() < 0.1:
            parts.insert(draw.randrange(len(parts)), draw.choice(SPECIAL))
        if draw.random() < 0.1:
            parts.append(chr(draw.choice([*range(0x21, 0x7f), *range(0xa1, 0x2000), *range(0x1f300, 0x1f600)])))
        out[draw.choice(["", " "]).join(parts)] = None
    return list(out)


def llama():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, *PARTS] * 3), model_writer=model, model_type="bpe", vocab_size=640, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        control_symbols=["<|im_start|>", "<|im_end|>"], user_defined_symbols=["[INST]"], minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    path = pathlib.Path("/tmp/gguf_vectors.model")
    path.write_bytes(model.getvalue())
    parts = SentencePieceExtractor(str(path)).extract(models.BPE)
    path.unlink()
    t = Tokenizer(models.BPE(vocab=parts["vocab"], merges=parts["merges"], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    added = {p.piece: p.type for p in proto.pieces if p.type in (UNKNOWN, CONTROL, USER_DEFINED)}
    t.add_tokens([AddedToken(p, special=kind != USER_DEFINED, normalized=False) for p, kind in added.items()])
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    own = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    for text in texts():
        if not any(a in text for a in added) and text and t.encode(text, add_special_tokens=False).ids != own.encode(text):
            print(f"{text!r}: {t.encode(text, add_special_tokens=False).tokens}, {own.encode(text, out_type=str)} by SentencePiece")
    return t, {"Model": "llama", "Pre": "default", "Tokens": [p.piece for p in proto.pieces], "Scores": [p.score for p in proto.pieces],
               "Types": [p.type for p in proto.pieces], "BOS": 1, "EOS": 2, "UNK": 0, "PAD": -1, "AddBOS": True, "AddEOS": False}


def gpt2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator([*CORPUS, *PARTS] * 3, trainers.BpeTrainer(
        vocab_size=640, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]])
    t.add_tokens([AddedToken("[INST]", special=False, normalized=False)])
    t.decoder = decoders.ByteLevel()
    file = json.loads(t.to_str())
    added = {a["content"]: CONTROL if a["special"] else USER_DEFINED for a in file["added_tokens"]}
    tokens = [t.id_to_token(i) for i in range(t.get_vocab_size())]
    end = t.token_to_id("<|endoftext|>")
    return t, {"Model": "gpt2", "Pre": "qwen2", "Tokens": tokens, "Types": [added.get(p, NORMAL) for p in tokens],
               "Merges": [m if isinstance(m, str) else " ".join(m) for m in file["model"]["merges"]],
               "BOS": end, "EOS": end, "UNK": -1, "PAD": end, "AddBOS": False}


def main(folder):
    for name, make in {"gguf-llama": llama, "gguf-gpt2": gpt2}.items():
        t, gguf = make()
        out = {"library": f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}, "
                          f"sentencepiece {sentencepiece.__version__}",
               "gguf": {**gguf, "EOT": -1, "EOM": -1}, "vectors": []}
        for text in texts():
            ids = t.encode(text).ids
            out["vectors"].append([text, ids, t.decode(ids)])
        target = pathlib.Path(folder) / name
        target.mkdir(parents=True, exist_ok=True)
        t.save(str(target / "tokenizer.json"), pretty=False)
        lines = [json.dumps(v, ensure_ascii=True, separators=(",", ":")) for v in out.pop("vectors")]
        (target / "vectors.json").write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":"))[:-1] +
                                             ',"vectors":[\n' + ",\n".join(lines) + "\n]}\n")
        print(name, t.get_vocab_size(), "tokens", len(lines), "texts")


if __name__ == "__main__":
    main(sys.argv[1])
