// TOKENIZERS_DIR is the folder of the Go binding's module, so its source and this archive cannot drift apart.
include!(concat!(env!("TOKENIZERS_DIR"), "/src/lib.rs"));
