//! Parameters of the stages: structs that WGSL and Rust lay out alike.

use bytemuck::Pod;

/// A type of WGSL that lies in memory here as it does there.
pub trait Layout: Pod {
    /// Its name in WGSL.
    const NAME: &'static str;
    /// The members of a struct, none of a number.
    const FIELDS: &'static [Field];
}

/// A member of a struct.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in WGSL and in Rust.
    pub name: &'static str,
    /// Bytes before it.
    pub offset: usize,
    /// The name of its type in WGSL.
    pub type_name: &'static str,
    /// The members of its type.
    pub fields: &'static [Self],
}

impl Layout for u32 {
    const NAME: &'static str = "u32";
    const FIELDS: &'static [Field] = &[];
}

impl Layout for f32 {
    const NAME: &'static str = "f32";
    const FIELDS: &'static [Field] = &[];
}

/// Declares a struct with its [`Layout`].
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::Layout for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [$crate::Field] = &[$($crate::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                type_name: <$type as $crate::Layout>::NAME,
                fields: <$type as $crate::Layout>::FIELDS,
            }),*];
        }
    };
}
pub(crate) use layout;

layout! {
    /// Distances in a tensor that is added to a result, in elements; 0 along what is repeated.
    Steps {
        /// Between the matrices or images of a batch.
        batch: u32,
        /// Between rows or channels.
        row: u32,
        /// Between columns or pixels.
        column: u32,
    }
}
