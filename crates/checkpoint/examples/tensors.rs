//! Lists the tensors of a file, one per line: name, type, shape, and the SHA-256 of the elements as stored by
//! `torch.Tensor`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use pyrograph_checkpoint::open_weights;
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: tensors FILE")?;
    let weights = open_weights(Path::new(&path))?;
    let mut out = std::io::stdout().lock();
    for name in weights.names() {
        let info = weights.info(name).ok_or("a name without a tensor")?;
        let digest = Sha256::digest(weights.read(name)?.as_bytes());
        let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{name} {} {:?} {hexadecimal}", info.dtype, info.shape)?;
    }
    Ok(())
}
