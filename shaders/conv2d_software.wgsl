// A convolution for adapters that are a CPU, where workgroup memory and barriers cost more than they save: an invocation
// holds ROWS output channels of four neighbouring pixels, and invocations of a workgroup share the weights.
//
// Constants: STRIDE; ROWS; THREADS.

alias Weights = Elem;

const SPAN = 3u * STRIDE + KERNEL; // pixels of an input row under four output pixels

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let channels_in = parameters.channels_in;
    let height = i32(parameters.height);
    let width = i32(parameters.width);
    let stored_height = i32(stored(parameters.height));
    let stored_width = i32(stored(parameters.width));
    let channels_out = parameters.channels_out;
    let height_out = parameters.height_out;
    let width_out = parameters.width_out;
    let quads = (width_out + 3u) / 4u;
    // Where there are few pixels, invocations take further channels.
    let across = min(THREADS, parameters.batch * height_out * quads);
    let quad = (group.z * 65535u + group.x) * across + index % across;
    let column = quad % quads * 4u;
    let line = quad / quads % height_out;
    let image = quad / quads / height_out;
    let m0 = (group.y * (THREADS / across) + index / across) * ROWS;
    if image >= parameters.batch || index >= THREADS / across * across || m0 >= channels_out {
        return;
    }
    let left = i32(column * STRIDE) - i32(parameters.padding_left);
    var sum: array<vec4<f32>, ROWS>;
    for (var channel = 0u; channel < channels_in; channel++) {
        for (var tap_y = 0u; tap_y < KERNEL; tap_y++) {
            let in_y = i32(line * STRIDE + tap_y) - i32(parameters.padding_top);
            let inside = in_y >= 0 && in_y < height;
            let row = (i32(image * channels_in + channel) * stored_height + (clamp(in_y, 0, height - 1) >> DOUBLED)) * stored_width;
            var span: array<f32, SPAN>;
            for (var i = 0u; i < SPAN; i++) {
                let in_x = left + i32(i);
                let value = f32(x[row + (clamp(in_x, 0, width - 1) >> DOUBLED)]);
                span[i] = select(0.0, value, inside && in_x >= 0 && in_x < width);
            }
            for (var m = 0u; m < ROWS; m++) {
                let first = ((min(m0 + m, channels_out - 1u) * channels_in + channel) * KERNEL + tap_y) * KERNEL;
                for (var tap_x = 0u; tap_x < KERNEL; tap_x++) {
                    let four = vec4<f32>(span[tap_x], span[tap_x + STRIDE], span[tap_x + 2u * STRIDE], span[tap_x + 3u * STRIDE]);
                    sum[m] += f32(weight[first + tap_x]) * four;
                }
            }
        }
    }
    for (var m = 0u; m < ROWS; m++) {
        let channel = m0 + m;
        if channel < channels_out {
            for (var j = 0u; j < 4u; j++) {
                if column + j < width_out {
                    finish(image, channel, line * width_out + column + j, sum[m][j]);
                }
            }
        }
    }
}
