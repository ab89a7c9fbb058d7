// Package manifest keeps the digests of a model's files beside them, in llorch.manifest.json, and tells what differs from
// it: the file, and of a weight file the tensor.
//
// What always holds:
//   - Every file that can change a model's answers is covered: the weights, their index, config.json,
//     generation_config.json and what the tokenizer is made of. One of these that is in the folder and not in the manifest
//     is a difference, as is the reverse.
//   - A GGUF file has all of that in it. Its manifest covers the model's files alone, and lies beside the first of them
//     under its name: one folder may hold several models.
//   - A manifest's names are compared and never opened.
//   - A manifest appears whole or not at all, and one that says otherwise is only replaced when told to.
//
// Decisions:
//   - A load computes XXH3-128 of each whole file, in one pass, the number that `xxhsum -H2` prints. It is hidden behind
//     reading the disk. XXH3 finds damage; it does not stop somebody who wants two files with one digest. SHA-256 does,
//     costs more than reading a fast disk, and is computed only where it was asked for.
//   - The digests of the tensors are in the manifest and are not computed by a load: they are needed only to name the
//     tensor once a file's digest is wrong, and are computed then. So naming costs a load nothing.
//   - The digest of the model is that of the sorted names and digests of its files: the same files in another folder, on
//     another host, have the same.
package manifest
