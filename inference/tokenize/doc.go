// Package tokenize turns text into token ids and ids back into text, from the tokenizer.json beside a
// model or from the vocabulary inside a GGUF file.
//
// What always holds:
//
//   - A text is encoded in full or refused: no cut at a NUL, no characters dropped, no answer after Close, no truncation
//     that a file asks for.
//   - Decoded text is valid UTF-8 without U+FFFD, and the pieces of a Stream joined are exactly Decode of the same ids,
//     wherever the stream is cut.
//   - A tokenizer.json that cannot be used is an *Error with file, field or byte offset and reason, within a second and
//     with memory in proportion to the file. No content of the file may panic, abort the process or hang.
//
// Decisions:
//
//   - Encoding is done by the Hugging Face library through github.com/daulet/tokenizers (hf.go), decoding here
//     (decoder.go, stream.go). The library has no streaming, marks undecodable bytes with U+FFFD where we must skip
//     them, returns nothing for text that holds a NUL, and a panic of its decoder ends the process because it cannot
//     cross the C boundary. A decoder boiled down to bytes for each token has none of these faults and costs a look-up.
//     Tests hold it against the library's own decoder.
//   - For the same reason the file is checked in full before the library sees it (reader.go, vocabulary.go,
//     components.go, template.go, regex.go): panics and error texts with a NUL inside the library's loader abort.
//   - The vocabulary of a GGUF file becomes a tokenizer.json in memory (gguf_document.go) and takes the same way, so
//     there is one encoder and one decoder. What such a file says in a word is written out as the models' own files have
//     it: merges from the scores of a SentencePiece-like vocabulary (gguf_spm.go), the splitting of a byte-level one from
//     its name (gguf_pre.go). A name is read when its steps are published; any other is refused, since a text that is
//     split in another way than in training makes a worse model without a word. NFC belongs to a splitting where the
//     model's own tokenizer has it, though the metadata does not.
//   - Merges in a SentencePiece-like file, where there are any, go before those from scores: they are the ones of the
//     model's tokenizer.json. Control tokens are never the product of a merge.
//   - The way back, for a writer of GGUF files, is ToGGUF. It refuses what such a file cannot say rather than write one that
//     is read otherwise. Where scores cannot give the merges of a tokenizer.json, the file gets both, and we go by the merges.
//   - Components that no Llama-like model uses (Unigram and WordPiece models, precompiled character maps, CTC …) are
//     refused by name.
//   - Control tokens written in a raw prompt are control tokens, as in the reference implementation. Text that came from
//     a user and is framed by a template is encoded with EncodeOptions.Literal.
//   - The library's memory for a long text (up to 800 bytes for each byte) is bounded by Options.MaxTextBytes and by
//     encoding long texts one at a time.
//
// Sources: the file format as written by Hugging Face tokenizers 0.22; byte-level spelling from the GPT-2 encoder; the
// tokenizer keys of the GGUF specification.
package tokenize
