//! Names of parameters in files.

/// The position of a visitor or mapper in a module.
#[derive(Default)]
pub(crate) struct ParameterPath {
    fields: Vec<String>,
    containers: Vec<String>,
}

impl ParameterPath {
    pub(crate) fn enter(&mut self, field: &str, container: &str) {
        self.fields.push(field.to_owned());
        self.containers.push(container.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.fields.pop();
        self.containers.pop();
    }

    /// The name of the parameter in files, without the variants of enums.
    pub(crate) fn name(&self) -> String {
        let fields = self.fields.iter().zip(&self.containers);
        let fields = fields.filter(|(_, container)| !container.starts_with("Enum:")).map(|(field, _)| field.as_str());
        let mut names: Vec<_> = fields.collect();
        if let Some(parameter) = names.last_mut() {
            *parameter = match *parameter {
                "gamma" => "weight",
                "beta" => "bias",
                other => other,
            };
        }
        names.join(".")
    }

    pub(crate) fn is_matrix(&self) -> bool {
        self.containers.last().is_some_and(|container| container == "Struct:Linear")
            && self.fields.last().is_some_and(|field| field == "weight")
    }
}
