//! `pyrograph devices`.

use std::io::{Write, stdout};

/// Lists the adapters.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for adapter in pyrograph::adapters() {
        let limits = &adapter.limits;
        writeln!(out, "{}", adapter.name)?;
        writeln!(out, "  {} through {}, driver {}", adapter.kind, adapter.api, adapter.driver)?;
        writeln!(out, "  largest binding      {} MiB", limits.max_storage_buffer_binding_size >> 20)?;
        writeln!(out, "  largest buffer       {} MiB", limits.max_buffer_size >> 20)?;
        writeln!(out, "  workgroup memory     {} KiB", limits.max_compute_workgroup_storage_size >> 10)?;
        writeln!(out, "  workgroup            {} invocations", limits.max_compute_invocations_per_workgroup)?;
        writeln!(out, "  workgroups           {} per dimension", limits.max_compute_workgroups_per_dimension)?;
        writeln!(out, "  storage buffers      {} per stage", limits.max_storage_buffers_per_shader_stage)?;
        let features: Vec<&str> = adapter.features.iter_names().map(|(name, _)| name).collect();
        writeln!(out, "  features             {}\n", features.join(" "))?;
    }
    writeln!(out, "cpu\n  always there: {} threads", std::thread::available_parallelism()?)?;
    Ok(())
}
