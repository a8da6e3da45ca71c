// Shared by the forms of attention.

struct Heads {
    batch: u32,
    head: u32,
    token: u32,
}

struct Parameters {
    heads: u32,
    tokens: u32,
    keys: u32,
    head_dim: u32,
    causal: u32, // 0 or 1
    q: Heads,
    k: Heads,
    v: Heads,
}

@group(0) @binding(0) var<storage, read_write> q: array<vec4<Elem>>; // [batch, heads, tokens, head_dim]
@group(0) @binding(1) var<storage, read_write> k: array<vec4<Elem>>; // [batch, heads, keys, head_dim]
@group(0) @binding(2) var<storage, read_write> v: array<vec4<Elem>>; // [batch, heads, keys, head_dim]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>; // [batch, tokens, heads, head_dim]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

const LOWEST = -1e30; // the score of a key that a query does not see
