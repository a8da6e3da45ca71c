// What the forms of the convolution share. Where DOUBLED is 1 the input is first enlarged to twice its size, or one pixel
// less, by repeating pixels.
//
// Constants: KERNEL; DOUBLED.

@group(0) @binding(0) var<storage, read_write> x: array<Elem>; // [batch, channels_in, height, width]
@group(0) @binding(1) var<storage, read_write> weight: array<Weights>; // [channels_out, channels_in, KERNEL, KERNEL]
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [channels_out]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>; // [batch, channels_out, height_out, width_out]
// batch, channels_in, height and width (enlarged), channels_out, height_out, width_out, stride, padding above, padding to the
// left; the addend's steps between pictures, channels and pixels
@group(0) @binding(4) var<storage, read_write> sizes: array<u32, 13>;

// Height or width of the input as it is stored.
fn stored(size: u32) -> u32 {
    return (size + DOUBLED) >> DOUBLED;
}

// Writes a value, with the bias and what follows.
fn finish(picture: u32, channel: u32, pixel: u32, value: f32) {
    let more = added(picture * sizes[10] + channel * sizes[11] + pixel * sizes[12]);
    y[(picture * sizes[4] + channel) * sizes[5] * sizes[6] + pixel] = Elem(value + f32(bias[channel]) + more);
}
