//! Every stage with every prelude, validated and written out for Vulkan, Metal and DirectX 12. Needs no GPU.

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{GlobalVariable, Handle, Module, Type, TypeInner, front::wgsl};
use pyrograph_shaders::{Field, Needs, Scalar, Stage};

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

/// Every stage for both types of tensors, with a name and its text.
fn stages() -> Vec<(Stage, String, String)> {
    let stages = Stage::all().into_iter().flat_map(|stage| Scalar::ALL.map(|scalar| (stage, scalar)));
    stages.map(|(stage, scalar)| (stage, format!("{stage:?} {scalar:?}"), stage.source(scalar))).collect()
}

#[test]
fn every_stage_is_valid_everywhere() {
    for (stage, name, source) in stages() {
        check(&name, &source, stage.needs());
    }
}

/// The variable of a binding.
fn bound(module: &Module, number: u32) -> Option<&GlobalVariable> {
    let mut variables = module.global_variables.iter().map(|(_, variable)| variable);
    variables.find(|variable| variable.binding.is_some_and(|at| at.binding == number))
}

/// The messages about mixed types use these names.
#[test]
fn every_stage_names_its_inputs() {
    for (stage, name, source) in stages() {
        let module = wgsl::parse_str(&source).expect("the test above has parsed it");
        let names = [0, 1, 2].map(|number| bound(&module, number).and_then(|variable| variable.name.clone()));
        assert_eq!(names, stage.inputs().map(|input| Some(input.to_owned())), "{name}");
    }
}

#[test]
fn every_stage_has_the_parameters_of_its_struct_in_rust() {
    for (stage, name, source) in stages() {
        let module = wgsl::parse_str(&source).expect("the test above has parsed it");
        let parameters = bound(&module, 4).unwrap_or_else(|| panic!("{name} has parameters"));
        compare(&module, parameters.ty, stage.parameters(), &name);
    }
}

/// Names, types and places of the members of a struct, and of those inside.
fn compare(module: &Module, found: Handle<Type>, expected: &[Field], name: &str) {
    let TypeInner::Struct { members, .. } = &module.types[found].inner else { panic!("{name} has a struct") };
    assert_eq!(members.len(), expected.len(), "{name}: members");
    for (member, field) in members.iter().zip(expected) {
        assert_eq!(member.name.as_deref(), Some(field.name), "{name}");
        assert_eq!(member.offset as usize, field.offset, "{name}: {}", field.name);
        let inner = &module.types[member.ty];
        let type_name = match inner.inner {
            TypeInner::Scalar(naga::Scalar::U32) => Some("u32"),
            TypeInner::Scalar(naga::Scalar::F32) => Some("f32"),
            _ => inner.name.as_deref(),
        };
        assert_eq!(type_name, Some(field.type_name), "{name}: {}", field.name);
        if !field.fields.is_empty() {
            compare(module, member.ty, field.fields, name);
        }
    }
}

/// The limits that WebGPU guarantees on every device.
#[test]
fn every_stage_keeps_within_the_default_limits() {
    for (_, name, source) in stages() {
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
