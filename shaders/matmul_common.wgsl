// Shared by the forms of the product of matrices: a matrix times each matrix of a batch, plus a bias, then the epilogue.
//
// Constants: LINEAR, 1 for a linear layer, whose weights are `b`; 0 for a convolution of single pixels, whose weights are `a`. GATED
// of the epilogue.

struct Steps {
    batch: u32,
    row: u32,
    column: u32,
}

struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    addend: Steps,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4<Elem>>; // [rows, depth]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<Elem>>; // [batch, depth, columns], or [columns, depth] if LINEAR
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [rows], or [columns] if LINEAR
@group(0) @binding(3) var<storage, read_write> c: array<vec4<Elem>>; // [batch, rows, columns, or half of them if GATED]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

// Which group of four columns a tile has in a slot, from `first` on: where they are gated, every second `half` slots hold the
// right halves of those before.
fn column(first: u32, slot: u32, half: u32) -> u32 {
    if GATED == 1u {
        return first + slot / (2u * half) * half + slot % half + slot / half % 2u * (parameters.columns / 8u);
    }
    return first + slot;
}

// Four terms of four columns of `b`: column i of the result is term i.
fn block(matrix: u32, term4: u32, quad: u32) -> mat4x4<f32> {
    if LINEAR == 1u {
        let step = parameters.depth / 4u;
        let at = quad * 4u * step + term4;
        return transpose(mat4x4<f32>(
            vec4<f32>(b[at]), vec4<f32>(b[at + step]), vec4<f32>(b[at + 2u * step]), vec4<f32>(b[at + 3u * step]),
        ));
    }
    let step = parameters.columns / 4u;
    let at = (matrix * parameters.depth + term4 * 4u) * step + quad;
    return mat4x4<f32>(
        vec4<f32>(b[at]), vec4<f32>(b[at + step]), vec4<f32>(b[at + 2u * step]), vec4<f32>(b[at + 3u * step]),
    );
}

// Writes four columns of a row with the bias and the epilogue.
fn finish(matrix: u32, row: u32, quad: u32, value: vec4<f32>, gate_value: vec4<f32>) {
    let width4 = parameters.columns / 4u / (1u + GATED); // of the output
    if row >= parameters.rows || quad >= width4 {
        return;
    }
    var result = value + shift(row, quad * 4u);
    if GATED == 1u {
        result *= gate(gate_value + shift(row, (quad + width4) * 4u));
    }
    let step = parameters.addend.column;
    let at = matrix * parameters.addend.batch + row * parameters.addend.row + quad * 4u * step;
    result += vec4<f32>(added(at), added(at + step), added(at + 2u * step), added(at + 3u * step));
    c[(matrix * parameters.rows + row) * width4 + quad] = vec4<Elem>(result);
}

// The bias of a row, or of four columns.
fn shift(row: u32, column: u32) -> vec4<f32> {
    if LINEAR == 1u {
        return vec4<f32>(vec4<Elem>(bias[column], bias[column + 1u], bias[column + 2u], bias[column + 3u]));
    }
    return vec4<f32>(f32(bias[row]));
}
