// Shared by the product of matrices and the convolution on matrix units: tiles in workgroup memory, and the blocks of the result
// that a subgroup computes, one if it is 32 invocations wide.
//
// Constants: TILE, 64 rows and columns of a workgroup. 128 invocations; 16 KiB of workgroup memory, 12 KiB for f16.

const DEPTH = 16u; // terms at a time
const BLOCK = 32u; // rows and columns of a block
const BLOCKS = 4u;
const SHARE = 2u; // blocks of a subgroup of 64 invocations, the widest
const SIDE = BLOCK / MATRIX;

alias Sums = array<Sum, SHARE * SIDE * SIDE>;

var<workgroup> left: array<Elem, TILE * DEPTH>;
var<workgroup> right: array<Elem, DEPTH * TILE>;
var<workgroup> result: array<f32, TILE * BLOCK>; // blocks above one another

// Adds the product of the two tiles.
fn multiply(sum: ptr<function, Sums>, subgroup: u32, subgroups: u32) {
    for (var share = 0u; share < SHARE; share++) {
        let block = share * subgroups + subgroup;
        if block < BLOCKS {
            for (var k = 0u; k < DEPTH; k += MATRIX) {
                for (var i = 0u; i < SIDE; i++) {
                    let b_part = coopLoadT<Right>(&right[k * TILE + block % 2u * BLOCK + i * MATRIX], TILE);
                    for (var r = 0u; r < SIDE; r++) {
                        let a_part = coopLoadT<Left>(&left[(block / 2u * BLOCK + r * MATRIX) * DEPTH + k], DEPTH);
                        let at = (share * SIDE + r) * SIDE + i;
                        (*sum)[at] = coopMultiplyAdd(a_part, b_part, (*sum)[at]);
                    }
                }
            }
        }
    }
}

// Lays a strip of blocks out in `result`.
fn lay_out(sum: ptr<function, Sums>, strip: u32, subgroup: u32, subgroups: u32) {
    for (var share = 0u; share < SHARE; share++) {
        let block = share * subgroups + subgroup;
        if block < BLOCKS && block % 2u == strip {
            for (var i = 0u; i < SIDE * SIDE; i++) {
                let row = block / 2u * BLOCK + i / SIDE * MATRIX;
                coopStoreT((*sum)[share * SIDE * SIDE + i], &result[row * BLOCK + i % SIDE * MATRIX], BLOCK);
            }
        }
    }
}
