//! Configuration files of networks.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// A component's configuration.
pub(crate) fn parse<T: DeserializeOwned>(component: &'static str, config: &Value) -> Result<T, Error> {
    T::deserialize(config).map_err(|cause| Error::Json { component, cause })
}
