//! How an error is declared: once, with everything that there is to know of it.

use super::{Detail, ErrorClass};

/// What an error, or a finding of `doctor`, is declared with beside its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    /// The stable code.
    pub code: &'static str,
    /// Who must act.
    pub class: ErrorClass,
    /// The code of Open mSupply's sync log that means the same.
    pub upstream: Option<&'static str>,
    /// What happened. `{name}` stands for a detail.
    pub message: &'static str,
    /// What usually lies behind it.
    pub cause: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// What a message names, by the names in its template.
pub(crate) type Details = Vec<(&'static str, Detail)>;

/// A field of an error. Its type decides whether the message can name it, and whether it is the cause.
pub(crate) trait ErrorField {
    /// Adds the field to what the message names.
    fn add_to(&self, details: &mut Details, field: &'static str);

    /// The field as the cause of the error.
    fn as_cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

/// Types whose text is the detail.
macro_rules! shown_fields {
    ($($kind:ty),*) => {$(
        impl $crate::text::ErrorField for $kind {
            fn add_to(&self, details: &mut $crate::text::Details, field: &'static str) {
                details.push((field, $crate::text::Detail::Plain(self.to_string())));
            }
        }
    )*};
}
pub(crate) use shown_fields;

shown_fields!(String, &'static str, u16, u32, u64, i64, usize);

impl ErrorField for Detail {
    fn add_to(&self, details: &mut Details, field: &'static str) {
        details.push((field, self.clone()));
    }
}

/// Declares an enumeration of errors: for each its fields with an example, its code and class, and what is said of it.
///
/// Every field is a detail of the message, by its name and in this order, or the cause of the error, as its type says
/// ([`ErrorField`]); `as FUNCTION` makes the detail otherwise. After `..` there may be one variant whose errors are declared
/// elsewhere: the module after the arrow has `declared` and `details`, which take the fields, and `examples`.
macro_rules! declare_errors {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident {
                    $(fields: { $($field:ident: $type:ty $(as $shown:path)? = $example:expr),* $(,)? },)?
                    code: $code:literal, class: $class:ident,
                    $(upstream: $upstream:literal,)?
                    message: $message:literal,
                    cause: $cause:literal,
                    advice: $advice:literal,
                }
            )*
            $(..
                $(#[$other_doc:meta])*
                $other:ident { $($part:ident: $part_type:ty),* } => $module:ident
            )?
        }
    ) => {
        $(#[$meta])*
        pub enum $enum {
            $($(#[$doc])* $variant $({ $($field: $type),* })?,)*
            $($(#[$other_doc])* $other { $($part: $part_type),* },)?
        }

        impl $enum {
            /// What they are declared with, in the order of the declaration; without those that are declared elsewhere.
            pub(crate) const DECLARED: &'static [$crate::text::Declared] = &[$(
                $crate::text::declare_errors!(@declared $code $class ($($upstream)?) $message, $cause, $advice)
            ),*];

            /// What this one is declared with.
            pub(crate) fn declared(&self) -> &'static $crate::text::Declared {
                match self {
                    $(Self::$variant { .. } => {
                        &$crate::text::declare_errors!(@declared $code $class ($($upstream)?) $message, $cause, $advice)
                    })*
                    $(Self::$other { $($part),* } => $module::declared($($part),*),)?
                }
            }

            /// What the message names, by name.
            pub(crate) fn details(&self) -> $crate::text::Details {
                let mut details = $crate::text::Details::new();
                match self {
                    $(Self::$variant { $($($field),*)? } => {
                        $($($crate::text::declare_errors!(@detail details $field $($shown)?);)*)?
                    })*
                    $(Self::$other { $($part),* } => details.extend($module::details($($part),*)),)?
                }
                details
            }

            /// Each with examples in its fields, in the order of the declaration.
            pub(crate) fn examples() -> Vec<Self> {
                let here = vec![$(Self::$variant { $($($field: $example),*)? }),*];
                here.into_iter()$(.chain($module::examples()))?.collect()
            }
        }

        impl std::error::Error for $enum {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $(Self::$variant { $($($field),*)? } => {
                        None$($(.or_else(|| $crate::text::ErrorField::as_cause($field)))*)?
                    })*
                    $(Self::$other { $($part: _),* } => None,)?
                }
            }
        }
    };
    (@declared $code:literal $class:ident ($($upstream:literal)?) $message:literal, $cause:literal, $advice:literal) => {
        $crate::text::Declared {
            code: $code,
            class: $crate::text::ErrorClass::$class,
            upstream: $crate::text::declare_errors!(@option $($upstream)?),
            message: $message,
            cause: $cause,
            advice: $advice,
        }
    };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
    (@detail $details:ident $field:ident) => {
        $crate::text::ErrorField::add_to($field, &mut $details, stringify!($field))
    };
    (@detail $details:ident $field:ident $shown:path) => {
        $details.push((stringify!($field), $shown($field).into()))
    };
}
pub(crate) use declare_errors;
