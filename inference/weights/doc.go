// Package weights reads the files a model's weights lie in: SafeTensors, one
// file or several with a shard index, and GGUF, one file or several. It says where each tensor
// lies and of what format it is, maps the files read-only, brings them into
// memory with progress, and says when somebody changes them underneath.
//
// What always holds:
//   - Nothing is allocated, mapped or read because a file says so before the
//     number was checked against the file's real size; sizes and offsets are
//     computed in checked.go alone.
//   - A malformed file is an *Error that names the file, the tensor, key or byte,
//     and the reason. Memory stays below max(64 MiB, 4 × header).
//   - Open parses and maps nothing, so that inspecting a model and planning its
//     memory are cheap. Headers are read with pread, never through the mapping.
//   - Mapped bytes are read by guarded alone: a file truncated underneath raises
//     SIGBUS, which guarded turns into an *Error. ReadTensor reads with pread and
//     fails with an error; Populate asks the kernel, which answers with an error
//     code. The backend that reads Tensor.Data in its kernels handles the signal,
//     and asks Changed for the cause.
//   - A device with memory of its own needs no mapping: Pass reads the files by pread,
//     several goroutines at once, into memory of the caller, and checks what it has read.
//   - What Examine hashed and searched is what the mapping held when Populate had
//     brought it in, each byte read once, by a goroutine a processor, up to eight,
//     and a file that changed meanwhile is an error. It does not wait for the disk,
//     and the disk does not wait for it.
//   - Nothing of a model folder is executed: pickle files are refused by name.
//
// Decisions:
//   - The format's own rules are enforced in full, also where common readers are
//     lax: no holes, overlaps, tails (a ZIP behind the tensors), duplicate keys,
//     unknown keys in an entry, or tensors not aligned to their element size.
//   - Formats we cannot compute with (integers, float8, sub-byte) are parsed and
//     their spans checked; such a tensor has Type 0, and whoever needs it
//     refuses it by Format. A format the specification does not name is an error
//     at once, since its span cannot be checked.
//   - A tensor that a shard has and the index does not list is kept, as
//     transformers keeps it; one listed for a shard that lacks it, or found in
//     two shards, is an error.
//   - metadata.total_size that is not the sum of the tensors is a warning: files
//     in use count tied tensors twice or were cut down by tools.
//   - model.safetensors beside an index of other shards: the single file is
//     read, as transformers does, with a warning.
//   - GGUF is held to the same rules: the tensors follow each other in the order
//     of the header, without holes but the padding, and nothing follows them. Shapes
//     are turned round, to outermost first. Versions 2 and 3 are read; they differ
//     in nothing that little-endian machines see.
//   - Of the arrays of a GGUF file, the vocabulary, only the place is kept; they are
//     read when they are asked for, by the type they are written in and no other.
//   - The parts of a split GGUF model must agree by name, number and count. A part
//     of another model with the same counts cannot be told apart but by its tensors,
//     and by a manifest.
//   - At most 131072 tensors and 4096 shards a model, 100 MB of header a file,
//     32 MiB of index; 65536 keys and 4 MiB a string in a GGUF header.
package weights
