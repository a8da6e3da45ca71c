//! AutoencoderKl and AutoencoderTiny for pyrograph.
