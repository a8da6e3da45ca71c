//! Blocks that the UNet and the autoencoder of pyrograph share.
