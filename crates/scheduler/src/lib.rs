//! Noise schedules, samplers and random numbers for pyrograph.
