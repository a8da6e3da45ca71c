//! CLIP for pyrograph: BPE tokenizer and text tower.
