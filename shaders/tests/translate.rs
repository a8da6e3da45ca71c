//! Every stage with every prelude, validated and written out for Vulkan, Metal and DirectX 12. Needs no GPU.

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{Module, front::wgsl};
use pyrograph_shaders::{Needs, STAGES, Scalar, Stage};

fn check(name: &str, source: &str, needs: Needs) {
    let module = wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
    let capabilities = match needs {
        Needs::Nothing => Capabilities::SHADER_FLOAT16,
        Needs::MatrixUnits => Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP,
    };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
    vulkan(name, &module, &info);
    metal(name, &module, &info);
    if needs == Needs::Nothing {
        directx(name, &module, &info); // which has no matrix units in naga
    }
}

fn vulkan(name: &str, module: &Module, info: &ModuleInfo) {
    let options = spv::Options { lang_version: (1, 6), ..spv::Options::default() };
    spv::write_vec(module, info, &options, None).unwrap_or_else(|error| panic!("{name} as SPIR-V: {error}"));
}

fn metal(name: &str, module: &Module, info: &ModuleInfo) {
    let options = msl::Options { fake_missing_bindings: true, lang_version: (2, 4), ..msl::Options::default() };
    msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .unwrap_or_else(|error| panic!("{name} as MSL: {error}"));
}

fn directx(name: &str, module: &Module, info: &ModuleInfo) {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        fake_missing_bindings: true,
        ..hlsl::Options::default()
    };
    hlsl::Writer::new(&mut String::new(), &options, &hlsl::PipelineOptions::default())
        .write(module, info, None)
        .unwrap_or_else(|error| panic!("{name} as HLSL: {error}"));
}

/// All texts of a stage, each with a name.
fn sources(stage: &Stage) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for constants in stage.variants {
        for &epilogue in stage.epilogues {
            for scalar in Scalar::ALL {
                let name = format!("{} {scalar:?} {epilogue:?} {constants:?}", stage.name);
                sources.push((name, stage.source(scalar, constants, epilogue)));
            }
        }
    }
    assert!(!sources.is_empty(), "{} has variants", stage.name);
    sources
}

#[test]
fn every_stage_is_valid_everywhere() {
    for stage in STAGES {
        for (name, source) in sources(stage) {
            check(&name, &source, stage.needs);
        }
    }
}

/// The messages about mixed types use these names.
#[test]
fn every_stage_names_its_inputs() {
    for stage in STAGES {
        for (name, source) in sources(stage) {
            let module = wgsl::parse_str(&source).expect("the test above has parsed it");
            let bound = |number| {
                let mut variables = module.global_variables.iter().map(|(_, variable)| variable);
                let found = variables.find(|variable| variable.binding.is_some_and(|at| at.binding == number));
                found.and_then(|variable| variable.name.clone()).unwrap_or_default()
            };
            assert_eq!([0, 1, 2].map(bound), stage.inputs, "{name}");
        }
    }
}

/// What WebGPU guarantees on every device.
#[test]
fn every_stage_keeps_within_the_default_limits() {
    for stage in STAGES {
        for (name, source) in sources(stage) {
            let module = wgsl::parse_str(&source).expect("the test above has parsed it");
            let mut layouter = naga::proc::Layouter::default();
            layouter.update(module.to_ctx()).expect("valid types have a layout");
            let bytes = |space: naga::AddressSpace| {
                let variables = module.global_variables.iter().filter(move |(_, variable)| variable.space == space);
                variables.map(|(_, variable)| layouter[variable.ty].size).sum::<u32>()
            };
            assert!(bytes(naga::AddressSpace::WorkGroup) <= 16_384, "{name}: workgroup memory");
            let [entry] = module.entry_points.as_slice() else { panic!("{name} has one entry point") };
            assert_eq!(entry.name, "main", "{name}");
            assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{name}: invocations");
            let bindings = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()).count();
            assert!(bindings <= 8, "{name}: storage buffers");
        }
    }
}
