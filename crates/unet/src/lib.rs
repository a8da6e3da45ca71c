//! UNet2dConditionModel for pyrograph.
