// Shared by the forms of the convolution. Where DOUBLED is 1 the input is first enlarged to twice its size, or one pixel
// less, by repeating pixels.
//
// Constants: KERNEL; DOUBLED.

struct Steps {
    batch: u32,
    row: u32, // between channels
    column: u32, // between pixels
}

struct Parameters {
    batch: u32,
    channels_in: u32,
    height: u32, // enlarged
    width: u32,
    channels_out: u32,
    height_out: u32,
    width_out: u32,
    stride: u32,
    padding_top: u32,
    padding_left: u32,
    addend: Steps,
}

@group(0) @binding(0) var<storage, read_write> x: array<Elem>; // [batch, channels_in, height, width]
@group(0) @binding(1) var<storage, read_write> weight: array<Weights>; // [channels_out, channels_in, KERNEL, KERNEL]
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [channels_out]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>; // [batch, channels_out, height_out, width_out]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

// Height or width of the input as it is stored.
fn stored(size: u32) -> u32 {
    return (size + DOUBLED) >> DOUBLED;
}

// Writes a value with the bias and the epilogue.
fn finish(image: u32, channel: u32, pixel: u32, value: f32) {
    let more = added(image * parameters.addend.batch + channel * parameters.addend.row + pixel * parameters.addend.column);
    y[(image * parameters.channels_out + channel) * parameters.height_out * parameters.width_out + pixel] = Elem(value + f32(bias[channel]) + more);
}
