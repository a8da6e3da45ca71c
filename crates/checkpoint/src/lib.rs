//! Reads the checkpoint files people share into named tensors.
