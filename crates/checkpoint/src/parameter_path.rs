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
        let names: Vec<_> = fields.collect();
        names.join(".")
    }
}
